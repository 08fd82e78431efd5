//! How many connections there are descriptors for.
//!
//! A client that is let in needs a second descriptor for its backend, and that its client has left is seen in a table that
//! has to be opened. So none is let in that would take the last ones: it would be of no use to it, and to nobody else.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Descriptors that no connection gets: for the client that waits to be let in, for looking at the table of sockets, for
/// resolving a name.
const SPARE: usize = 8;

/// The client's and the backend's.
const FOR_EACH: usize = 2;

/// Descriptors that a program has open before its first client, where it cannot count them.
const OPEN_AT_FIRST: usize = 24;

/// How many connections may be open at once.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    free: Arc<Semaphore>,
    connections: usize,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionLimit {
    /// What the process may still open now, but for `others`, who may have a quarter of it at most.
    pub(crate) fn left(others: usize) -> Self {
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let open = std::fs::read_dir("/dev/fd").map_or(OPEN_AT_FIRST, Iterator::count);
        let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open + SPARE);
        let left = left - others.min(left / 4);
        let connections = (left / FOR_EACH).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(connections)), connections }
    }

    /// For how many connections there is room in all.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// A place, if one is free now.
    pub(crate) fn take(&self) -> Option<Permit> {
        self.free.clone().try_acquire_owned().ok().map(|permit| Permit { _permit: Some(permit) })
    }

    /// A place, as soon as one is free.
    pub(crate) async fn wait(&self) -> Permit {
        // The only error is a semaphore that was closed, which this never is.
        Permit { _permit: self.free.clone().acquire_owned().await.ok() }
    }
}
