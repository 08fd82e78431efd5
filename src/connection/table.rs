//! The connections that a proxy has now, as those who look at it from outside see them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::snapshot::{ConnectionTotals, Traffic};
use crate::plan::SelectedHandler;
use crate::pump::End;

/// A number that only a connection's own task changes, and that others read.
#[derive(Debug, Default)]
pub(crate) struct Own(AtomicU64);

impl Own {
    pub(crate) fn add(&self, more: u64) {
        // Cheaper than adding in one step, which only more writers would need.
        self.set(self.get().wrapping_add(more));
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was taken from one side for the other.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) bytes: Own,
    pub(crate) reads: Own,
}

impl Moved {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
        self.reads.add(1);
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its client is there, and its first call's handler has its turn.
    Accepted,
    /// The backend is being connected to.
    Dialling,
    /// Calls pass, or wait for a handler.
    Open,
    /// Bytes pass whose messages cannot be told apart.
    Opaque,
    /// The client has been told that it is over.
    Closing,
}

impl State {
    const ALL: [Self; 5] = [Self::Accepted, Self::Dialling, Self::Open, Self::Opaque, Self::Closing];
}

/// One connection that is there now.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) number: u64,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    pub(crate) to_backend: Moved,
    pub(crate) to_client: Moved,
    pub(crate) calls: Own,
    since: Instant,
    state: AtomicU8,
    /// The handler that has a call in hand.
    at_work: Mutex<Option<Arc<SelectedHandler>>>,
    cut: AtomicU8,
    /// Wakes its task, which has one waker as long as it lives.
    waker: OnceLock<Waker>,
}

/// What [`ConnectionHandle::cut`] has been set to.
const UNCUT: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;

impl ConnectionHandle {
    pub(crate) fn new(number: u64, peer: SocketAddr) -> Self {
        Self {
            number,
            peer,
            to_backend: Moved::default(),
            to_client: Moved::default(),
            calls: Own::default(),
            since: Instant::now(),
            state: AtomicU8::new(State::Accepted as u8),
            at_work: Mutex::default(),
            cut: AtomicU8::new(UNCUT),
            waker: OnceLock::new(),
        }
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn state(&self) -> State {
        State::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    pub(crate) fn is(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// The handler that has a call in hand, if one has.
    pub(crate) fn handler(&self) -> Option<Arc<SelectedHandler>> {
        self.hands().clone()
    }

    /// `drawn` has a call in hand for as long as the answer lives.
    pub(crate) fn works(&self, drawn: &Arc<SelectedHandler>) -> AtWork<'_> {
        *self.hands() = Some(drawn.clone());
        AtWork(self)
    }

    fn hands(&self) -> MutexGuard<'_, Option<Arc<SelectedHandler>>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it at once: by a reset, or in order.
    pub(crate) fn cut(&self, reset: bool) {
        self.cut.store(if reset { RESET } else { CLOSED }, Ordering::Relaxed);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Runs a phase of the connection to its end, unless the connection is cut.
    pub(crate) async fn until_cut<T>(&self, mut phase: impl Future<Output = T> + Unpin) -> Result<T, End> {
        poll_fn(|cx| match self.cut.load(Ordering::Relaxed) {
            UNCUT => Pin::new(&mut phase).poll(cx).map(Ok),
            RESET => Poll::Ready(Err(End::Reset)),
            _ => Poll::Ready(Err(End::Close)),
        })
        .await
    }
}

/// A handler has a call in hand.
pub(crate) struct AtWork<'a>(&'a ConnectionHandle);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        *self.0.hands() = None;
    }
}

/// The connections of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    live: BTreeMap<u64, Arc<ConnectionHandle>>,
    /// Those that have ended.
    ended: ConnectionTotals,
}

fn add(mut totals: ConnectionTotals, connection: &ConnectionHandle) -> ConnectionTotals {
    let add = |total: &mut Traffic, moved: &Moved| {
        total.bytes += moved.bytes.get();
        total.reads += moved.reads.get();
    };
    totals.accepted += 1;
    add(&mut totals.to_backend, &connection.to_backend);
    add(&mut totals.to_client, &connection.to_client);
    totals
}

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins, in the task that asks.
    pub(crate) async fn enter(&self, live: Arc<ConnectionHandle>) -> Entered<'_> {
        // Before it is there for others, so that nobody cuts it in vain.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        live.waker.get_or_init(|| waker);
        self.table().live.insert(live.number, live.clone());
        Entered { connections: self, live }
    }

    /// All that are there now, by number.
    pub(crate) fn all(&self) -> Vec<Arc<ConnectionHandle>> {
        self.table().live.values().cloned().collect()
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<ConnectionHandle>> {
        self.table().live.get(&number).cloned()
    }

    pub(crate) fn totals(&self) -> ConnectionTotals {
        let table = self.table();
        let all = table.live.values().fold(table.ended, |totals, live| add(totals, live));
        ConnectionTotals { open: table.live.len() as u64, ..all }
    }
}

/// A connection that is there, until this is dropped.
pub(crate) struct Entered<'a> {
    connections: &'a Connections,
    pub(crate) live: Arc<ConnectionHandle>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.live.remove(&self.live.number);
        table.ended = add(table.ended, &self.live);
    }
}
