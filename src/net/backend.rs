//! Where a proxy's calls go: dialled for each connection, or kept from one client for the next.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use super::dial::dial;
use super::pool::Pool;
use super::stream::Stream;

/// A backend, and its connections that no client uses.
#[derive(Debug)]
pub(crate) struct Backend {
    address: Address,
    connect_timeout: Duration,
    pool: Arc<Pool>,
}

impl Backend {
    pub(crate) fn new(address: Address, connect_timeout: Duration, pool_size: usize, pool_timeout: Duration) -> Self {
        Self { address, connect_timeout, pool: Pool::new(pool_size, pool_timeout) }
    }

    /// A connection: one from the pool if there is one, else a new one. The name is resolved at each dial.
    ///
    /// # Errors
    ///
    /// The error of the last address, or of resolving the name.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        if let Some(kept) = self.pool.take() {
            return Ok(kept);
        }
        let stream = dial(&self.address, Instant::now() + self.connect_timeout).await?;
        stream.set_nodelay(true)?;
        Ok(stream.into())
    }

    /// Keeps a connection for the next client.
    pub(crate) fn keep(&self, stream: Stream) {
        self.pool.put(stream);
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}
