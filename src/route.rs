//! How a connection is made: what holds from its first byte to its last, whatever happens to its calls.

use crate::backend::Backend;
use crate::config::ProxyConfig;
use crate::handler::Scope;
use crate::plan::Plan;
use crate::protocol::Protocol;

/// What a proxy's connections have in common. A new one applies to connections that begin after it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) protocol: Protocol,
    pub(crate) buffer: Option<usize>,
    pub(crate) keep_alive: bool,
    pub(crate) reuse_socket: bool,
    pub(crate) backend: Backend,
}

impl Route {
    pub(crate) fn new(config: &ProxyConfig) -> Self {
        let address = config.backend.clone();
        Self {
            protocol: config.protocol,
            buffer: config.buffer,
            keep_alive: config.keep_alive,
            reuse_socket: config.reuse_socket,
            backend: Backend::new(address, config.connect_timeout, config.pool_size, config.pool_timeout),
        }
    }

    /// Whether bytes need only be copied: no handler wants to see calls, and nothing else depends on where they end.
    pub(crate) fn copies(&self, plan: &Plan) -> bool {
        self.protocol == Protocol::Tcp && plan.scope() == Scope::Nothing && !self.keep_alive && !self.reuse_socket
    }

    /// The file's keys, in its order, of what differs in how connections are made.
    pub(crate) fn differences(one: &ProxyConfig, other: &ProxyConfig) -> Vec<&'static str> {
        let keys = [
            ("backend", one.backend != other.backend),
            ("protocol", one.protocol != other.protocol),
            ("buffer", one.buffer != other.buffer),
            ("keep_alive", one.keep_alive != other.keep_alive),
            ("reuse_socket", one.reuse_socket != other.reuse_socket),
            ("pool_size", one.pool_size != other.pool_size),
            ("pool_timeout", one.pool_timeout != other.pool_timeout),
            ("connect_timeout", one.connect_timeout != other.connect_timeout),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}
