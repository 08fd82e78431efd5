//! How connections are made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::ByteFault;
use crate::net::backend::Backend;
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
    /// What the bytes of each direction go through.
    pub(crate) faults: Faults,
    /// How much a direction with faults may hold, in bytes.
    pub(crate) shape_buffer: usize,
    pub(crate) backend: Backend,
}

/// The way that bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToBackend,
    ToClient,
}

/// What the bytes of each direction go through, whatever calls they belong to.
#[derive(Clone, Default)]
pub(crate) struct Faults(Option<Arc<MakeFaults>>);

/// Faults for a direction of a new connection, in order.
type MakeFaults = dyn Fn(Direction) -> Vec<Box<dyn ByteFault>> + Send + Sync;

impl Faults {
    #[cfg(test)]
    pub(crate) fn new(make: impl Fn(Direction) -> Vec<Box<dyn ByteFault>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// For a direction of a new connection.
    pub(super) fn of(&self, direction: Direction) -> Vec<Box<dyn ByteFault>> {
        self.0.as_ref().map_or_else(Vec::new, |make| make(direction))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults" } else { "no faults" })
    }
}

impl ConnectionSettings {
    /// Whether bytes need only be copied: neither a rule nor a handler wants to see calls, and nothing else depends on where they end.
    pub(crate) fn copies(&self, plan: &Plan) -> bool {
        self.protocol == Protocol::Tcp && plan.sees_nothing() && !self.keep_alive && !self.reuse_socket
    }
}
