//! Limits connections to the available file descriptors.
//!
//! A connection needs a descriptor for the client and one for the backend. Detecting that a client has left takes
//! another for a moment, to read the system's table of sockets. So no client is accepted that would take the last
//! descriptors: it could not be served.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Descriptors that connections do not use: for a client waiting for its permit, for reading the table of sockets, for
/// resolving a name.
const SPARE: usize = 8;

/// Descriptors of one connection: the client's and the backend's.
const PER_CONNECTION: usize = 2;

/// Assumed number of open descriptors at the start, where they cannot be counted.
const OPEN_AT_START: usize = 24;

/// Limits how many connections are open at once.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    free: Arc<Semaphore>,
    connections: usize,
}

/// Allows one connection; returned to the limit when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Semaphore>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl ConnectionLimit {
    /// Half the descriptors that the process may still open now, without `others` of them, which are at most a quarter.
    pub(crate) fn left(others: usize) -> Self {
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let open = std::fs::read_dir("/dev/fd").map_or(OPEN_AT_START, Iterator::count);
        let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open + SPARE);
        let left = left - others.min(left / 4);
        let connections = (left / PER_CONNECTION).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(connections)), connections }
    }

    /// How many connections may be open at once.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// A permit, if one is free now.
    pub(crate) fn take(&self) -> Option<Permit> {
        let permit = self.free.try_acquire().ok()?;
        Some(self.keep(permit))
    }

    /// A permit, if one is free now and half of them are left for connections.
    pub(crate) fn take_spare(&self) -> Option<Permit> {
        if self.free.available_permits() > self.connections / 2 { self.take() } else { None }
    }

    /// A permit, as soon as one is free.
    pub(crate) async fn wait(&self) -> Permit {
        match self.free.acquire().await {
            Ok(permit) => self.keep(permit),
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    fn keep(&self, permit: SemaphorePermit<'_>) -> Permit {
        permit.forget();
        Permit(self.free.clone())
    }
}
