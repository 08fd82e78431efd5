//! What a proxy has done, read once.

use std::collections::HashMap;

use super::Proxy;
use crate::metrics::counters::Counters;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot, RuleSnapshot};
use crate::plan::rule::Rule;

impl Proxy {
    pub(crate) fn snapshot(&self) -> ProxySnapshot {
        let Counters { opaque, opaque_reasons, backend_failures, refused, dial, pass, .. } = &self.context.counters;
        let config = self.config();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, selected) in self.context.plan.load().handlers().enumerate() {
            places.entry(selected.label.to_string()).or_insert(place);
        }
        let handlers = self.context.counters.by_handler().into_iter().map(|((rule, name), counters)| {
            let handler = HandlerSnapshot {
                name,
                rule,
                in_mix: false,
                calls: counters.calls.get(),
                faults: counters.faults.get(),
                delay: counters.delay(),
                waited: counters.waited(),
            };
            let place = places.get(&handler.label());
            (place.copied().unwrap_or(usize::MAX), HandlerSnapshot { in_mix: place.is_some(), ..handler })
        });
        let mut handlers: Vec<_> = handlers.collect();
        handlers.sort_by_key(|(place, _)| *place);
        let handlers: Vec<_> = handlers.into_iter().map(|(_, handler)| handler).collect();
        let mut of_rules: HashMap<&str, (u64, u64)> = HashMap::new();
        for handler in &handlers {
            if let Some(rule) = handler.rule.as_deref() {
                let (calls, faults) = of_rules.entry(rule).or_default();
                *calls += handler.calls;
                *faults += handler.faults;
            }
        }
        let rule = |rule: &Rule| {
            let (calls, faults) = of_rules.get(rule.name()).copied().unwrap_or_default();
            RuleSnapshot { name: rule.name().to_owned(), rule: rule.to_string(), calls, faults }
        };
        ProxySnapshot {
            name: self.name().to_owned(),
            backend: config.backend.to_string(),
            protocol: self.settings().protocol,
            mix: config.mix.to_string(),
            rules: config.rules.iter().map(rule).collect(),
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
