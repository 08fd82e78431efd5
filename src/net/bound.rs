//! What a proxy listens on: TCP sockets, or a Unix socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::task::{Context, Poll, ready};

use serde::{Serialize, Serializer};
use tokio::net::TcpListener;
use tokio::net::UnixListener;

use super::address::Address;
use super::listener;
use super::socket::Socket;
use super::unix_path::UnixPath;
use super::unix_socket::{self, SocketFile};

/// Where a proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BoundAddress {
    Ip(SocketAddr),
    Unix(UnixPath),
}

impl BoundAddress {
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    fn unix(&self) -> Option<&UnixPath> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(path) => Some(path),
        }
    }
}

impl From<SocketAddr> for BoundAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<&BoundAddress> for Address {
    fn from(address: &BoundAddress) -> Self {
        match address {
            BoundAddress::Ip(address) => Self::new(address.ip().to_string(), address.port()),
            BoundAddress::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

impl Serialize for BoundAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The addresses to listen on for `address`.
///
/// # Errors
///
/// `address` cannot be resolved.
pub(crate) async fn to_listen_on(address: &Address) -> io::Result<Vec<BoundAddress>> {
    Ok(match address {
        Address::Tcp(address) => listener::to_listen_on(address).await?.into_iter().map(BoundAddress::Ip).collect(),
        Address::Unix(path) => vec![BoundAddress::Unix(path.clone())],
    })
}

/// Whether two of these addresses cannot be listened on at once: they have the same port, or are the same Unix socket.
pub(crate) fn collide(own: &[BoundAddress], others: &[BoundAddress]) -> bool {
    let both = |one: &BoundAddress, other: &BoundAddress| match (one, other) {
        (BoundAddress::Ip(one), BoundAddress::Ip(other)) => one.port() == other.port(),
        (BoundAddress::Unix(one), BoundAddress::Unix(other)) => one.is_same(other),
        _ => false,
    };
    own.iter().any(|one| others.iter().any(|other| both(one, other)))
}

/// Whether who connects to the Unix socket `path` reaches a listener on one of `own`.
pub(crate) fn leads_to(path: &UnixPath, own: &[BoundAddress]) -> bool {
    own.iter().filter_map(BoundAddress::unix).any(|own| own.is_same(path))
}

/// Sockets that listen.
pub(crate) enum Bound {
    Tcp(Vec<std::net::TcpListener>),
    Unix { path: UnixPath, listener: StdUnixListener, file: Option<SocketFile> },
}

impl Bound {
    /// Listens on all `addresses`, which are either TCP's or one Unix socket.
    ///
    /// # Errors
    ///
    /// The error of the first address that fails.
    pub(crate) fn on(addresses: &[BoundAddress]) -> io::Result<Self> {
        match addresses {
            [BoundAddress::Unix(path)] => {
                let (listener, file) = unix_socket::bind(path)?;
                Ok(Self::Unix { path: path.clone(), listener, file })
            }
            addresses => {
                let addresses: Vec<_> = addresses.iter().filter_map(BoundAddress::ip).collect();
                listener::listen(&addresses).map(Self::Tcp)
            }
        }
    }

    /// The file of a Unix socket, without what listens on it.
    pub(crate) fn into_file(self) -> Option<SocketFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix { file, .. } => file,
        }
    }

    pub(crate) fn addresses(&self) -> io::Result<Vec<BoundAddress>> {
        match self {
            Self::Tcp(listeners) => listeners.iter().map(|one| one.local_addr().map(BoundAddress::Ip)).collect(),
            Self::Unix { path, .. } => Ok(vec![BoundAddress::Unix(path.clone())]),
        }
    }

    /// Duplicates of the listeners, for the runtime that this is called in.
    pub(crate) fn share(&self) -> io::Result<Vec<Listener>> {
        let tcp = |one: &std::net::TcpListener| Ok(Listener::Tcp(TcpListener::from_std(one.try_clone()?)?));
        match self {
            Self::Tcp(listeners) => listeners.iter().map(tcp).collect(),
            Self::Unix { listener, .. } => Ok(vec![Listener::Unix(UnixListener::from_std(listener.try_clone()?)?)]),
        }
    }
}

/// A listener of one worker.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Accepts a client: with its IP address, if it has one.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Option<SocketAddr>)>> {
        Poll::Ready(Ok(match self {
            Self::Tcp(listener) => {
                let (client, address) = ready!(listener.poll_accept(cx))?;
                (client.into(), Some(address))
            }
            Self::Unix(listener) => (ready!(listener.poll_accept(cx))?.0.into(), None),
        }))
    }
}
