//! What a proxy has done, read once.

use super::Proxy;
use crate::metrics::counters::Counters;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot};

impl Proxy {
    pub(crate) fn snapshot(&self) -> ProxySnapshot {
        let Counters { opaque, opaque_reasons, backend_failures, refused, dial, pass, .. } = &self.context.counters;
        let config = self.config();
        let in_mix: Vec<String> =
            self.context.plan.load().handlers().map(|selected| selected.name.to_string()).collect();
        let handlers = self.context.counters.by_handler().into_iter().map(|(name, counters)| HandlerSnapshot {
            in_mix: in_mix.contains(&name),
            name,
            calls: counters.calls.get(),
            faults: counters.faults.get(),
            delay: counters.delay(),
            waited: counters.waited(),
        });
        let mut handlers: Vec<_> = handlers.collect();
        let place = |handler: &HandlerSnapshot| in_mix.iter().position(|name| *name == handler.name);
        handlers.sort_by_key(|handler| place(handler).unwrap_or(usize::MAX));
        ProxySnapshot {
            name: self.name().to_owned(),
            backend: config.backend.to_string(),
            protocol: self.settings().protocol,
            mix: config.mix.to_string(),
            enabled: config.enabled,
            connections: self.connections.totals(),
            refused: refused.get(),
            opaque: opaque.get(),
            opaque_reasons: opaque_reasons.all(),
            dial_failures: backend_failures.get(),
            handlers,
            dial: dial.clone(),
            pass: pass.clone(),
        }
    }
}
