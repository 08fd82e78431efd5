//! Connecting to a name: every address that it resolves to is tried.

use std::io;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::Address;

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
