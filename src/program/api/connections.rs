//! The API's connections. If there are too many, the one that has waited longest for its client makes room.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    open: Mutex<Vec<Arc<Connection>>>,
    waits: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// Since when it waits for its client to send a request or to read an answer; none while a request is worked on.
    waits_since: Mutex<Option<Instant>>,
    /// How many streams of events are read.
    streams: AtomicUsize,
    /// Tells it to end.
    evicted: Notify,
    /// Notified whenever a connection begins to wait for its client.
    waits: Arc<Notify>,
}

/// A place among the connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) connection: Arc<Connection>,
    connections: Arc<Connections>,
    /// The semaphore is never closed.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A stream of events, until it is dropped.
#[derive(Debug)]
pub(super) struct Stream(Arc<Connection>);

impl Connections {
    /// At most `limit` of them.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(limit));
        Arc::new(Self { permits, open: Mutex::default(), waits: Arc::default() })
    }

    /// A place for a new connection, for which another one ends if there is no other.
    pub(super) async fn enter(self: &Arc<Self>) -> Admitted {
        let permit = self.permit().await;
        let connection = Arc::new(Connection {
            waits_since: Mutex::new(Some(Instant::now())),
            streams: AtomicUsize::new(0),
            evicted: Notify::new(),
            waits: self.waits.clone(),
        });
        self.open().push(connection.clone());
        Admitted { connection, connections: self.clone(), _permit: permit }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        let mut permit = pin!(self.permits.clone().acquire_owned());
        let mut has_room = self.make_room();
        loop {
            tokio::select! {
                permit = &mut permit => return permit.ok(),
                () = self.waits.notified(), if !has_room => has_room = self.make_room(),
            }
        }
    }

    /// Ends the connection that has waited longest for its client. Whether there is one.
    fn make_room(&self) -> bool {
        let mut open = self.open();
        let waiting = open.iter().enumerate().filter_map(|(at, one)| Some((one.waits_since()?, at)));
        let Some((_, at)) = waiting.min() else { return false };
        open.swap_remove(at).evicted.notify_one();
        true
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.open().retain(|one| !Arc::ptr_eq(one, &self.connection));
    }
}

impl Connection {
    /// A request is complete, and worked on.
    pub(crate) fn works(&self) {
        self.set(None);
    }

    /// A request is answered: it waits for the client to read this, and to ask again.
    pub(super) fn waits(&self) {
        self.set(Some(Instant::now()));
        self.waits.notify_waiters();
    }

    /// It is needed for as long as its client reads events.
    pub(super) fn stream(self: &Arc<Self>) -> Stream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Stream(self.clone())
    }

    /// Resolves when it has to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn set(&self, since: Option<Instant>) {
        *self.waits_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn waits_since(&self) -> Option<Instant> {
        let since = *self.waits_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.filter(|_| self.streams.load(Ordering::Relaxed) == 0)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
        self.0.waits.notify_waiters();
    }
}
