//! What a proxy has done, in numbers: calls and faults by handler, connections, bytes.

/// What a proxy has done, from its start to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Calls by handler: those of the mix in its order, then those of earlier ones by name.
    pub calls: Vec<(String, u64)>,
    /// Those of them to which the handler did something, by handler in the same order.
    pub faults: Vec<(String, u64)>,
    /// Clients that were accepted.
    pub connections: u64,
    /// Those of them that are there now.
    pub open: u64,
    /// Bytes that clients sent.
    pub to_backend: u64,
    /// Bytes that the backend sent; what the proxy itself answered is not among them.
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
        of(&self.calls, handler)
    }

    /// To how many calls the handler of this name did something: it delayed them, held them, answered or ended them.
    #[must_use]
    pub fn faults_of(&self, handler: &str) -> u64 {
        of(&self.faults, handler)
    }

    /// What both have done together.
    pub(crate) fn with(mut self, other: Self) -> Self {
        let add = |counts: &mut Vec<(String, u64)>, more: Vec<(String, u64)>| {
            for (name, count) in more {
                match counts.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known += count,
                    None => counts.push((name, count)),
                }
            }
        };
        add(&mut self.calls, other.calls);
        add(&mut self.faults, other.faults);
        self.connections += other.connections;
        self.open += other.open;
        self.to_backend += other.to_backend;
        self.to_client += other.to_client;
        self.opaque += other.opaque;
        self.backend_failures += other.backend_failures;
        self
    }

    /// One line for each handler, and one for the connections.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let calls = self.calls.iter().map(|(name, calls)| {
            let faults = self.faults_of(name);
            format!("{name}: {calls} calls, {faults} faults")
        });
        let connections = format!(
            "{} connections, {} bytes from clients, {} bytes from backends, {} opaque, {} dial failures",
            self.connections, self.to_backend, self.to_client, self.opaque, self.backend_failures
        );
        calls.chain([connections]).collect()
    }
}

fn of(counts: &[(String, u64)], handler: &str) -> u64 {
    counts.iter().find(|(name, _)| name == handler).map_or(0, |(_, count)| *count)
}
