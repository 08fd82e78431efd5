//! Where a proxy's calls go: dialled for each connection, or kept from one client for the next.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use super::dial::Dialer;
use super::pool::Pool;
use super::stream::Stream;

/// The log has at most one line about failures in this time.
const TOLD: Duration = Duration::from_secs(10);

/// A backend, and its connections that no client uses.
#[derive(Debug)]
pub(crate) struct Backend {
    address: Address,
    connect_timeout: Duration,
    dialer: Dialer,
    pool: Arc<Pool>,
    failures: Mutex<Failures>,
}

/// Failures to reach a backend, as the log tells them.
#[derive(Debug, Default)]
struct Failures {
    told: Option<Instant>,
    /// How many were not logged since.
    untold: u64,
}

impl Backend {
    pub(crate) fn new(address: Address, connect_timeout: Duration, pool_size: usize, pool_timeout: Duration) -> Self {
        let pool = Pool::new(pool_size, pool_timeout);
        Self { address, connect_timeout, dialer: Dialer::default(), pool, failures: Mutex::default() }
    }

    /// A connection: one from the pool if there is one, else a new one. The name is resolved at each dial. It never leads to
    /// `own` listeners.
    ///
    /// # Errors
    ///
    /// The error of the last address, or of resolving the name.
    pub(crate) async fn connect(&self, own: &[SocketAddr]) -> io::Result<Stream> {
        if let Some(kept) = self.pool.take() {
            return Ok(kept);
        }
        let stream = self.dialer.dial(&self.address, own, Instant::now() + self.connect_timeout).await?;
        stream.set_nodelay(true)?;
        Ok(stream.into())
    }

    /// Keeps a connection for the next client.
    pub(crate) fn keep(&self, stream: Stream) {
        self.pool.put(stream);
    }

    /// Counts a failure to reach it. If it is to be logged, answers how many before it were not.
    pub(crate) fn failed(&self) -> Option<u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failures.told.is_some_and(|told| now < told + TOLD) {
            failures.untold += 1;
            return None;
        }
        failures.told = Some(now);
        Some(std::mem::take(&mut failures.untold))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_tells_one_failure_in_ten_seconds() {
        let backend = Backend::new(Address::new("localhost", 1), TOLD, 1, TOLD);
        assert_eq!([0; 3].map(|_| backend.failed()), [Some(0), None, None]);
        tokio::time::advance(TOLD).await;
        assert_eq!([0; 2].map(|_| backend.failed()), [Some(2), None]);
        tokio::time::advance(TOLD).await;
        assert_eq!(backend.failed(), Some(1));
        tokio::time::advance(TOLD).await;
        assert_eq!(backend.failed(), Some(0));
    }
}
