//! Listening sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::lookup_host;

use super::bound::BoundAddress;
use super::host_port::HostPort;

/// How many connections may wait for `accept`. The system may impose a lower limit.
pub(super) const BACKLOG: i32 = 4096;

/// How many ports that are free on the first address are tried on the other addresses.
const FREE_PORTS: usize = 32;

/// Every address to which `address` resolves.
///
/// # Errors
///
/// `address` cannot be resolved.
pub(crate) async fn resolve(address: &HostPort) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((address.host.as_str(), address.port)).await?.collect())
}

/// The addresses to listen on for `address`. `[::]` stands for all of both families, as in most programs.
///
/// # Errors
///
/// `address` cannot be resolved.
pub(crate) async fn to_listen_on(address: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let everywhere: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    if address.host.parse() == Ok(everywhere[0]) {
        return Ok(everywhere.map(|ip| SocketAddr::new(ip, address.port)).into());
    }
    resolve(address).await
}

/// The address at which a client on this machine reaches a listener on `ip`: loopback for an unspecified address.
pub(crate) fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Whether who connects to `address` reaches a listener on one of `own`.
pub(crate) fn leads_to(address: SocketAddr, own: &[BoundAddress]) -> bool {
    let ip = reachable(address.ip().to_canonical());
    let covers =
        |own: IpAddr| own == ip || own.is_unspecified() && own.is_ipv4() == ip.is_ipv4() && is_of_this_machine(ip);
    own.iter().filter_map(BoundAddress::ip).any(|own| own.port() == address.port() && covers(own.ip()))
}

/// Whether `ip` is an address of this machine: to reach it, a socket gets that very address. Connecting UDP sends nothing.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let here = || {
        let unspecified: IpAddr =
            if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((unspecified, 0))?;
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    ip.is_loopback() || here().is_ok_and(|here| here.ip() == ip)
}

/// Listens on all `addresses`, which have the same port. Port 0 stands for a free port, the same for all.
///
/// Addresses of a family that this machine does not have are skipped, unless all are.
///
/// # Errors
///
/// The error of the first address that fails.
pub(crate) fn listen(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let any_port = addresses.iter().all(|address| address.port() == 0);
    if any_port { listen_on_any_port(addresses) } else { listen_on(addresses) }
}

fn listen_on_any_port(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    for _ in 1..FREE_PORTS {
        match listen_on(addresses) {
            // The port was free on the first address, but not on another.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    listen_on(addresses)
}

fn listen_on(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = None;
    let mut unavailable = None;
    for (at, address) in addresses.iter().enumerate() {
        // A name that is in the hosts file twice may resolve to the same address twice.
        if addresses[..at].contains(address) {
            continue;
        }
        match bind(SocketAddr::new(address.ip(), port.unwrap_or(address.port()))) {
            Ok(listener) => {
                port = Some(listener.local_addr()?.port());
                listeners.push(listener);
            }
            // A name may have addresses of a family that this machine does not have.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable || is_unsupported(&error) => {
                unavailable = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match unavailable {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Whether the machine does not have the address family at all: `EAFNOSUPPORT`.
fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(97)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 addresses get a listener of their own.
        socket.set_only_v6(true)?;
    }
    // A restarted daemon must get its port while old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit this.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_nodelay() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        assert!(listener.accept().await.unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn a_listener_is_recognised_by_every_address_that_leads_to_it() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (dialled, own, same) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("[::1]:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "[::]:80", false),
            // No machine has this address (RFC 5737).
            ("192.0.2.1:80", "0.0.0.0:80", false),
        ] {
            assert_eq!(leads_to(address(dialled), &[address(own).into()]), same, "{dialled} {own}");
        }
    }

    #[tokio::test]
    async fn a_repeated_address_gets_one_listener() {
        let twice = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(listen_on(&[twice, twice]).unwrap().len(), 1);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is not local
    async fn a_free_port_is_free_on_all_addresses() {
        let (here, there) = (SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 2], 0)));
        // Take ports on the second address that may be free on the first.
        let _taken: Vec<_> = (0..2000).map(|_| std::net::TcpListener::bind(there).unwrap()).collect();
        for _ in 0..200 {
            let listeners = listen_on_any_port(&[here, there]).unwrap();
            let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
            assert_eq!(ports, [ports[0]; 2]);
        }
    }
}
