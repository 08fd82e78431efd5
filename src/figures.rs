//! What a proxy has done, as its summary, metrics and statsd have it.

use std::sync::Arc;

use crate::connections::Totals;
use crate::counts::{Counts, HandlerCounts, Summary};
use crate::metrics::{HandlerFigures, ProxyFigures};
use crate::protocol::Protocol;
use crate::proxy::Proxy;
use crate::report;
use crate::statsd;

impl Proxy {
    /// What it has done so far.
    pub(crate) fn summary(&self) -> Summary {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let plan = self.plan();
        let mut handlers: Vec<(String, Arc<HandlerCounts>)> =
            plan.handlers().map(|drawn| (drawn.name.to_string(), drawn.counts.clone())).collect();
        let current = handlers.len();
        // Those of earlier plans that have done something.
        let earlier = self.counts.by_handler().into_iter().filter(|(name, counts)| {
            counts.calls.get() > 0 && handlers[..current].iter().all(|(known, _)| known != name)
        });
        let earlier: Vec<_> = earlier.collect();
        handlers.extend(earlier);
        Summary {
            calls: handlers.iter().map(|(name, counts)| (name.clone(), counts.calls.get())).collect(),
            faults: handlers.iter().map(|(name, counts)| (name.clone(), counts.faults.get())).collect(),
            connections,
            open,
            to_backend: to_backend.0,
            to_client: to_client.0,
            opaque: self.counts.opaque.get(),
            backend_failures: self.counts.backend_failures.get(),
        }
    }

    /// The same as a report has it; `summary` is its own.
    pub(crate) fn told(&self, summary: &Summary) -> report::Proxy {
        let counts = self.counts.by_handler();
        let waited = |handler: &str| counts.iter().find(|(name, _)| name == handler)?.1.waited();
        let handler = |(name, calls): &(String, u64)| report::Handler {
            name: name.clone(),
            calls: *calls,
            faults: summary.faults_of(name),
            waited: waited(name),
        };
        let config = self.config();
        report::Proxy {
            name: config.name,
            backend: config.backend.to_string(),
            protocol: config.protocol.to_string(),
            mix: config.mix.to_string(),
            connections: summary.connections,
            opaque: summary.opaque,
            dial_failures: summary.backend_failures,
            to_backend: summary.to_backend,
            to_client: summary.to_client,
            handlers: summary.calls.iter().map(handler).collect(),
        }
    }

    /// The same as metrics have it.
    pub(crate) fn figures(&self) -> ProxyFigures {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let Counts { opaque, backend_failures, refused, dial, pass, .. } = &self.counts;
        let handler = |(name, counts): (String, Arc<HandlerCounts>)| HandlerFigures {
            name,
            calls: counts.calls.get(),
            faults: counts.faults.get(),
            delay: counts.delay(),
        };
        ProxyFigures {
            name: self.name.to_string(),
            enabled: self.is_enabled(),
            connections_total: connections,
            connections_open: open,
            connections_refused: refused.get(),
            connections_opaque: opaque.get(),
            to_backend: to_backend.0,
            to_client: to_client.0,
            handlers: self.counts.by_handler().into_iter().map(handler).collect(),
            dial_failures: backend_failures.get(),
            dial: dial.clone(),
            pass: pass.clone(),
        }
    }

    /// The same as statsd has it, with the protocol that it has now.
    pub(crate) fn reads(&self) -> (Arc<str>, Protocol, statsd::Totals) {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let totals = statsd::Totals {
            start: connections,
            end: connections - open,
            to_backend: to_backend.1,
            to_client: to_client.1,
        };
        (self.name.clone(), self.route().protocol, totals)
    }
}
