//! The backend: dialled for each connection, or kept from one client for the next.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::config::Address;
use crate::connection::reset;
use crate::pump::End;

/// Where a proxy's calls go.
#[derive(Debug)]
pub(crate) struct Backend {
    address: Address,
    connect_timeout: Duration,
    pool: Arc<Pool>,
}

impl Backend {
    pub(crate) fn new(address: Address, connect_timeout: Duration, pool_size: usize, pool_timeout: Duration) -> Self {
        let pool = Pool { size: pool_size, timeout: pool_timeout, idle: Mutex::default() };
        Self { address, connect_timeout, pool: Arc::new(pool) }
    }

    /// A connection: a kept one where there is one, else a new one. The name is resolved each time, and every address is
    /// tried.
    ///
    /// # Errors
    ///
    /// That of the last address, or that the name could not be resolved.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        if let Some(kept) = self.pool.take() {
            return Ok(kept);
        }
        let deadline = Instant::now() + self.connect_timeout;
        let stream = timeout_at(deadline, self.dial(deadline)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn dial(&self, deadline: Instant) -> io::Result<TcpStream> {
        let addresses: Vec<_> = lookup_host((self.address.host.as_str(), self.address.port)).await?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            // An address that does not answer leaves time for those after it.
            let share = deadline.saturating_duration_since(Instant::now())
                / u32::try_from(addresses.len() - tried).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Ends a connection in the way that its traffic ended, or keeps it for the next client.
    pub(crate) fn leave(&self, stream: TcpStream, end: &End) {
        match end {
            End::Spare => self.pool.put(stream),
            End::ClientReset(_) | End::Reset | End::CutOff => reset(&stream),
            _ => {}
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

/// Connections that no client uses.
#[derive(Debug)]
struct Pool {
    size: usize,
    timeout: Duration,
    /// Each with the time at which it is given up, the oldest first.
    idle: Mutex<VecDeque<(Instant, TcpStream)>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, VecDeque<(Instant, TcpStream)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(self: &Arc<Self>, stream: TcpStream) {
        let until = Instant::now() + self.timeout;
        {
            let mut idle = self.idle();
            if idle.len() >= self.size {
                return;
            }
            idle.push_back((until, stream));
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            if let Some(pool) = pool.upgrade() {
                pool.idle().retain(|(until, _)| *until > Instant::now());
            }
        });
    }

    /// The connection that was put back last, as the most likely to be of use still.
    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop_back()).map(|(_, stream)| stream).find(is_silent)
    }
}

/// Whether the backend has neither spoken nor closed.
fn is_silent(stream: &TcpStream) -> bool {
    // Asked of the socket itself: what the runtime knows of it may be a moment old.
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
