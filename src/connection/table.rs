//! The open connections of a proxy, to list them or to end them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::metrics::snapshot::{ConnectionTotals, Traffic};
use crate::pump::{Activity, Moved, Outcome};
use crate::workers::PerWorker;

/// One connection that is open.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) activity: Activity,
    /// The client's IP address; none on a Unix socket.
    pub(crate) client: Option<SocketAddr>,
    /// The place of the worker that serves it.
    pub(crate) worker: usize,
    since: Instant,
    /// Wakes its task, which has one waker as long as it lives.
    waker: OnceLock<Waker>,
}

impl ConnectionHandle {
    pub(crate) fn new(number: u64, client: Option<SocketAddr>, worker: usize) -> Self {
        let (activity, since) = (Activity::new(number), Instant::now());
        Self { activity, client, worker, since, waker: OnceLock::new() }
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends it at once: by a reset, or in order.
    pub(crate) fn cut(&self, reset: bool) {
        self.activity.cut(reset);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Runs a phase of the connection to its end, unless the connection is cut.
    pub(crate) fn until_cut<T>(
        &self,
        mut phase: impl Future<Output = T> + Unpin,
    ) -> impl Future<Output = Result<T, Outcome>> {
        poll_fn(move |cx| match self.activity.is_cut() {
            None => Pin::new(&mut phase).poll(cx).map(Ok),
            Some(outcome) => Poll::Ready(Err(outcome)),
        })
    }
}

/// The connections of one proxy. Each worker has its own in a table of its own.
#[derive(Debug, Default)]
pub(crate) struct Connections(PerWorker<Table>);

#[derive(Debug, Default)]
struct Table(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    open: BTreeMap<u64, Arc<ConnectionHandle>>,
    /// Those that have ended.
    ended: ConnectionTotals,
}

/// The totals of one connection.
fn totals_of(handle: &ConnectionHandle) -> ConnectionTotals {
    let Activity { to_backend, to_client, .. } = &handle.activity;
    let traffic = |moved: &Moved| Traffic { bytes: moved.bytes.get(), reads: moved.reads.get() };
    ConnectionTotals { accepted: 1, open: 0, to_backend: traffic(to_backend), to_client: traffic(to_client) }
}

impl Table {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// A connection begins in the calling task.
    pub(crate) async fn enter(&self, handle: &Arc<ConnectionHandle>) {
        // Before others see it, so that nobody cuts it in vain.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        handle.waker.get_or_init(|| waker);
        self.of(handle).entries().open.insert(handle.activity.number, handle.clone());
    }

    /// A connection has ended.
    pub(crate) fn leave(&self, handle: &ConnectionHandle) {
        let mut entries = self.of(handle).entries();
        entries.open.remove(&handle.activity.number);
        entries.ended = entries.ended.with(totals_of(handle));
    }

    fn of(&self, handle: &ConnectionHandle) -> &Table {
        self.0.of(handle.worker)
    }

    /// All that are open, by number.
    pub(crate) fn all(&self) -> Vec<Arc<ConnectionHandle>> {
        let mut all: Vec<_> =
            self.0.all().flat_map(|table| table.entries().open.values().cloned().collect::<Vec<_>>()).collect();
        all.sort_unstable_by_key(|handle| handle.activity.number);
        all
    }

    /// Lets all of them look whether the daemon stops.
    pub(crate) fn wake(&self) {
        self.all().iter().for_each(|handle| handle.wake());
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<ConnectionHandle>> {
        self.0.all().find_map(|table| table.entries().open.get(&number).cloned())
    }

    pub(crate) fn totals(&self) -> ConnectionTotals {
        let with = ConnectionTotals::with;
        self.0.all().fold(ConnectionTotals::default(), |totals, table| {
            let entries = table.entries();
            let open = entries.open.values().map(|handle| ConnectionTotals { open: 1, ..totals_of(handle) });
            open.fold(with(totals, entries.ended), with)
        })
    }
}
