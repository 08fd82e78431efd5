//! The backend: dialled for each connection, or kept from one client for the next.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::connection::reset;
use crate::net::address::Address;
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
        let stream = dial(&self.address, Instant::now() + self.connect_timeout).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
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

/// Connects to one of the addresses of `address`, all of which are tried.
///
/// # Errors
///
/// That of the last address, or that the name could not be resolved.
pub(crate) async fn dial(address: &Address, deadline: Instant) -> io::Result<TcpStream> {
    let resolved = timeout_at(deadline, lookup_host((address.host.as_str(), address.port)));
    let addresses: Vec<_> = resolved.await.map_err(|_| io::ErrorKind::TimedOut)??.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // An address that does not answer leaves time for those after it.
        let share =
            deadline.saturating_duration_since(Instant::now()) / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) if leads_back(&stream, address.port()) => last = io::ErrorKind::ConnectionRefused.into(),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Connections that no client uses.
#[derive(Debug)]
struct Pool {
    size: usize,
    timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Each with the time at which it is given up, the oldest first.
    streams: VecDeque<(Instant, TcpStream)>,
    /// A task gives them up in their time. One does for all: one for each would outlive the connection's next use.
    swept: bool,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(self: &Arc<Self>, stream: TcpStream) {
        let mut idle = self.idle();
        if idle.streams.len() < self.size {
            idle.streams.push_back((Instant::now() + self.timeout, stream));
            if !std::mem::replace(&mut idle.swept, true) {
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
    }

    /// The connection that was put back last, as the most likely to be of use still.
    fn take(&self) -> Option<TcpStream> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.streams.pop_back()).map(|(_, stream)| stream).find(is_silent)
    }

    /// Gives up the connections whose time has come, and answers when the next one's does.
    fn give_up(&self) -> Option<Instant> {
        let mut idle = self.idle();
        let now = Instant::now();
        let expired = idle.streams.iter().take_while(|(until, _)| *until <= now).count();
        idle.streams.drain(..expired);
        let next = idle.streams.front().map(|(until, _)| *until);
        idle.swept = next.is_some();
        next
    }
}

/// Gives connections up in their time, for as long as there are any.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.give_up()) {
        tokio::time::sleep_until(next).await;
    }
}

/// Whether the backend has neither spoken nor closed.
fn is_silent(stream: &TcpStream) -> bool {
    // Asked of the socket itself: what the runtime knows of it may be a moment old.
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether the connection leads back to itself. That comes of dialling a port of this machine where nobody listens, when
/// the dialling socket happens to be given that very port: it then reads what it writes.
fn leads_back(stream: &TcpStream, dialled: u16) -> bool {
    // The second question is for few. What was dialled does not answer it: 0.0.0.0 leads to 127.0.0.1.
    let here = stream.local_addr().ok().filter(|here| here.port() == dialled);
    here.is_some_and(|here| stream.peer_addr().is_ok_and(|there| here == there))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_none_to_the_backend() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let everywhere = std::net::SocketAddr::from(([0, 0, 0, 0], port));
        socket.connect(&everywhere.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        assert!(leads_back(&TcpStream::from_std(socket.into()).unwrap(), port));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        assert!(!leads_back(&TcpStream::connect(there).await.unwrap(), there.port()));
    }
}
