//! Where a proxy's calls go: dialled for each connection, or kept from one client for the next.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::bound::BoundAddress;
use super::dial::{Dialer, dial_unix};
use super::pool::Pool;
use super::socket::Socket;
use super::stream::Stream;
use super::tls::{Alpn, BackendTls};

/// The log has at most one line about failures in this time.
const TOLD: Duration = Duration::from_secs(10);

/// A backend, and its connections that no client uses.
#[derive(Debug)]
pub(crate) struct Backend {
    address: Address,
    tls: Option<BackendTls>,
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
    pub(crate) fn new(
        address: Address,
        tls: Option<BackendTls>,
        connect_timeout: Duration,
        pool_size: usize,
        pool_timeout: Duration,
    ) -> Self {
        let pool = Pool::new(pool_size, pool_timeout);
        Self { address, tls, connect_timeout, dialer: Dialer::default(), pool, failures: Mutex::default() }
    }

    /// Whether connections to it are within TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// A connection: one from the pool if there is one, else a new one. The name is resolved at each dial. It never leads to
    /// `own` listeners. Within TLS, the backend is offered the protocols `alpn`.
    ///
    /// # Errors
    ///
    /// The error of the last address, of resolving the name, or of the TLS handshake.
    pub(crate) async fn connect(&self, own: &[BoundAddress], alpn: &[Alpn]) -> io::Result<Stream> {
        match self.pool.take(alpn) {
            Some(kept) => Ok(kept),
            None => self.connect_anew(own, alpn).await,
        }
    }

    /// The same, but never a connection that another client has used.
    pub(crate) async fn connect_anew(&self, own: &[BoundAddress], alpn: &[Alpn]) -> io::Result<Stream> {
        let deadline = Instant::now() + self.connect_timeout;
        let socket = match &self.address {
            Address::Tcp(address) => {
                let stream = self.dialer.dial(address, own, deadline).await?;
                stream.set_nodelay(true)?;
                Socket::from(stream)
            }
            Address::Unix(path) => dial_unix(path, own, deadline).await?,
        };
        let Some(tls) = &self.tls else { return Ok(socket.into()) };
        // Boxed, so that connections without TLS are smaller.
        let handshake = Box::pin(tls.connect(socket, self.address.host(), alpn));
        match timeout_at(deadline, handshake).await {
            Ok(done) => Ok(done?.into()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")),
        }
    }

    /// How long it may take to reach it.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Whether connections to it are encrypted.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
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
        let backend = Backend::new(Address::new("localhost", 1), None, TOLD, 1, TOLD);
        assert_eq!([0; 3].map(|_| backend.failed()), [Some(0), None, None]);
        tokio::time::advance(TOLD).await;
        assert_eq!([0; 2].map(|_| backend.failed()), [Some(2), None]);
        tokio::time::advance(TOLD).await;
        assert_eq!(backend.failed(), Some(1));
        tokio::time::advance(TOLD).await;
        assert_eq!(backend.failed(), Some(0));
    }
}
