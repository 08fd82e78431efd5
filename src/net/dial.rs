//! Connecting to a name, by any address that it resolves to.

use std::io;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::Address;

/// Tries the addresses of `address` in order.
///
/// # Errors
///
/// The error of the last address, or of resolving the name.
pub(crate) async fn dial(address: &Address, deadline: Instant) -> io::Result<TcpStream> {
    let resolved = timeout_at(deadline, lookup_host((address.host.as_str(), address.port)));
    let addresses: Vec<_> = resolved.await.map_err(|_| io::ErrorKind::TimedOut)??.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // An address that does not answer leaves time for the next ones.
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

/// Whether the connection leads back to itself: it reads what it writes. This happens when a port of this machine is dialled
/// on which nothing listens, and the system gives that very port to the dialling socket.
fn leads_back(stream: &TcpStream, dialled: u16) -> bool {
    // The address that was dialled does not answer it: 0.0.0.0 leads to 127.0.0.1.
    let here = stream.local_addr().ok().filter(|here| here.port() == dialled);
    here.is_some_and(|here| stream.peer_addr().is_ok_and(|there| here == there))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_recognised() {
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
