//! The open connections of a proxy, to list them or to end them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::metrics::snapshot::{ConnectionTotals, Traffic};
use crate::pump::{Activity, Outcome};

/// One connection that is open.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) activity: Activity,
    /// The client's address.
    pub(crate) client: SocketAddr,
    since: Instant,
    /// Wakes its task, which has one waker as long as it lives.
    waker: OnceLock<Waker>,
}

impl ConnectionHandle {
    pub(crate) fn new(number: u64, client: SocketAddr) -> Self {
        let (activity, since) = (Activity::new(number), Instant::now());
        Self { activity, client, since, waker: OnceLock::new() }
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends it at once: by a reset, or in order.
    pub(crate) fn cut(&self, reset: bool) {
        self.activity.cut(reset);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Runs a phase of the connection to its end, unless the connection is cut.
    pub(crate) async fn until_cut<T>(&self, mut phase: impl Future<Output = T> + Unpin) -> Result<T, Outcome> {
        poll_fn(|cx| match self.activity.is_cut() {
            None => Pin::new(&mut phase).poll(cx).map(Ok),
            Some(outcome) => Poll::Ready(Err(outcome)),
        })
        .await
    }
}

/// The connections of one proxy.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<u64, Arc<ConnectionHandle>>,
    /// Those that have ended.
    ended: ConnectionTotals,
}

fn add(mut totals: ConnectionTotals, activity: &Activity) -> ConnectionTotals {
    let Activity { to_backend, to_client, .. } = activity;
    for (total, moved) in [(&mut totals.to_backend, to_backend), (&mut totals.to_client, to_client)] {
        *total = Traffic { bytes: total.bytes + moved.bytes.get(), reads: total.reads + moved.reads.get() };
    }
    totals.accepted += 1;
    totals
}

impl Connections {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins in the calling task, and is in the table until the answer is dropped.
    pub(crate) async fn enter(&self, handle: Arc<ConnectionHandle>) -> Entered<'_> {
        // Before others see it, so that nobody cuts it in vain.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        handle.waker.get_or_init(|| waker);
        self.table().open.insert(handle.activity.number, handle.clone());
        Entered { connections: self, handle }
    }

    /// All that are open, by number.
    pub(crate) fn all(&self) -> Vec<Arc<ConnectionHandle>> {
        self.table().open.values().cloned().collect()
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<ConnectionHandle>> {
        self.table().open.get(&number).cloned()
    }

    pub(crate) fn totals(&self) -> ConnectionTotals {
        let table = self.table();
        let all = table.open.values().fold(table.ended, |totals, handle| add(totals, &handle.activity));
        ConnectionTotals { open: table.open.len() as u64, ..all }
    }
}

/// A connection that is in the table, until this is dropped.
pub(crate) struct Entered<'a> {
    connections: &'a Connections,
    pub(crate) handle: Arc<ConnectionHandle>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.open.remove(&self.handle.activity.number);
        table.ended = add(table.ended, &self.handle.activity);
    }
}
