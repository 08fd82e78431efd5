//! What a proxy has counted, read once: reports, metrics and statsd are all made of this.

use std::sync::Arc;

use super::counters::Waited;
use super::histogram::Histogram;
use super::summary::Summary;
use crate::protocol::Protocol;

/// What a proxy has counted since it was created, and what it runs with now.
#[derive(Debug, Clone)]
pub(crate) struct ProxySnapshot {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) protocol: Protocol,
    /// The mix, as it is written.
    pub(crate) mix: String,
    pub(crate) enabled: bool,
    pub(crate) connections: ConnectionTotals,
    /// How often a client had to wait because none could be accepted.
    pub(crate) refused: u64,
    /// Connections whose messages could not be told apart to their end.
    pub(crate) opaque: u64,
    /// Connections for which the backend could not be reached.
    pub(crate) dial_failures: u64,
    /// Handlers of the mix in its order, then those of earlier mixes by name.
    pub(crate) handlers: Vec<HandlerSnapshot>,
    pub(crate) dial: Arc<Histogram>,
    /// How long passing on a read took, where nothing was done to it: a sample.
    pub(crate) pass: Arc<Histogram>,
}

/// What a proxy counted for one of its handlers. Names are unique within a proxy.
#[derive(Debug, Clone)]
pub(crate) struct HandlerSnapshot {
    pub(crate) name: String,
    pub(crate) in_mix: bool,
    pub(crate) calls: u64,
    /// Those of them to which it did something.
    pub(crate) faults: u64,
    /// How long it delayed calls; unset where it never did.
    pub(crate) delay: Option<Arc<Histogram>>,
    pub(crate) waited: Option<Waited>,
}

/// The connections of a proxy, added up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ConnectionTotals {
    /// Clients that were accepted.
    pub(crate) accepted: u64,
    /// Those of them that are connected now.
    pub(crate) open: u64,
    /// What clients sent.
    pub(crate) to_backend: Traffic,
    /// What backends sent.
    pub(crate) to_client: Traffic,
}

/// What was read from one side.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    pub(crate) reads: u64,
}

impl ProxySnapshot {
    /// The same for people and for tests.
    pub(crate) fn summary(&self) -> Summary {
        let handlers = || self.handlers.iter().filter(|handler| handler.in_mix || handler.calls > 0);
        Summary {
            calls: handlers().map(|handler| (handler.name.clone(), handler.calls)).collect(),
            faults: handlers().map(|handler| (handler.name.clone(), handler.faults)).collect(),
            connections: self.connections.accepted,
            open: self.connections.open,
            to_backend: self.connections.to_backend.bytes,
            to_client: self.connections.to_client.bytes,
            opaque: self.opaque,
            backend_failures: self.dial_failures,
        }
    }
}
