//! How connections are made.

use std::time::Duration;

use crate::net::backend::Backend;
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::net::tls::{ClientTls, TlsStream};
use crate::plan::Plan;
use crate::protocol::Protocol;

/// What holds for a connection from its first byte to its last, whatever happens to its calls. A change applies to
/// connections that begin after it.
#[derive(Debug)]
pub(crate) struct ConnectionSettings {
    pub(crate) protocol: Protocol,
    /// The size of a read in bytes; without one it grows with the traffic.
    pub(crate) buffer: Option<usize>,
    pub(crate) keep_alive: bool,
    pub(crate) reuse_socket: bool,
    /// How long an incomplete head is held for a handler.
    pub(crate) head_timeout: Duration,
    /// The longest head of `http`, in bytes.
    pub(crate) max_head: usize,
    /// How much a direction with faults may hold, in bytes.
    pub(crate) shape_buffer: usize,
    /// How the client's connection is encrypted.
    pub(crate) tls: Option<ClientTls>,
    pub(crate) backend: Backend,
    /// With `http`, what the `Host` of requests is replaced by, if it is.
    pub(crate) host: Option<Box<str>>,
    /// Whether a client whose backend cannot be reached is closed in order, where others are reset.
    pub(crate) closes_if_unreachable: bool,
}

impl ConnectionSettings {
    /// The stream of a client on this socket.
    pub(crate) fn client(&self, socket: Socket) -> Stream {
        if self.tls.is_some() { TlsStream::of_client(socket).into() } else { socket.into() }
    }

    /// Whether bytes need only be copied: neither a rule nor a handler wants to see calls, and nothing else depends on where they end.
    pub(crate) fn copies(&self, plan: &Plan) -> bool {
        self.protocol == Protocol::Tcp && plan.sees_nothing() && !self.keep_alive && !self.reuse_socket
    }
}
