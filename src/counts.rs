//! What a proxy has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a proxy counts. Calls are counted where they are drawn, in its plan.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: Count,
    pub(crate) to_backend: Count,
    pub(crate) to_client: Count,
    pub(crate) opaque: Count,
    pub(crate) backend_failures: Count,
}

/// What a proxy has done, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Calls by handler, in the order of the mix.
    pub calls: Vec<(String, u64)>,
    /// Clients that were accepted.
    pub connections: u64,
    /// Bytes that clients sent.
    pub to_backend: u64,
    /// Bytes that the backend sent.
    pub to_client: u64,
    /// Connections whose messages could not be told apart to their end.
    pub opaque: u64,
    /// Connections for which the backend could not be reached.
    pub backend_failures: u64,
}

impl Summary {
    /// How many calls the handler of this name took.
    #[must_use]
    pub fn calls_of(&self, handler: &str) -> u64 {
        self.calls.iter().find(|(name, _)| name == handler).map_or(0, |(_, calls)| *calls)
    }

    /// One line for each handler, and one for the connections.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let calls = self.calls.iter().map(|(name, calls)| format!("{name}: {calls} calls"));
        let connections = format!(
            "{} connections, {} bytes to the backend, {} bytes to clients, {} opaque, {} backend failures",
            self.connections, self.to_backend, self.to_client, self.opaque, self.backend_failures
        );
        calls.chain([connections]).collect()
    }
}
