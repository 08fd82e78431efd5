//! What a proxy has done, read once.

use std::collections::HashMap;

use super::Proxy;
use crate::metrics::counters::Counters;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot, RuleSnapshot, ToxicSnapshot};
use crate::plan::rule::Rule;
use crate::toxic::Toxic;

impl Proxy {
    pub(crate) fn snapshot(&self) -> ProxySnapshot {
        let counters = &self.context.counters;
        let Counters { opaque, opaque_reasons, backend_failures, refused, dial, pass, .. } = counters;
        let config = self.config();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, selected) in self.context.plan.load().handlers().enumerate() {
            places.entry(selected.label.to_string()).or_insert(place);
        }
        let handlers = counters.by_handler().into_iter().map(|((rule, name), counters)| {
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
        let plan = self.context.plan.load_full();
        let counts: HashMap<&str, _> = plan.rule_counts().map(|counts| (counts.name, counts)).collect();
        let rule = |rule: &Rule| {
            let (calls, faults) = of_rules.get(rule.name()).copied().unwrap_or_default();
            let counts = counts.get(rule.name());
            RuleSnapshot {
                name: rule.name().to_owned(),
                rule: rule.to_string(),
                calls,
                faults,
                excluded: counts.map_or(0, |counts| counts.excluded),
                times_left: counts.and_then(|counts| counts.times_left),
                is_protective: counts.is_some_and(|counts| counts.is_protective),
            }
        };
        ProxySnapshot {
            name: self.name().to_owned(),
            backend: config.backend.to_string(),
            protocol: self.settings().protocol,
            mix: config.mix.to_string(),
            rules: config.rules.iter().map(rule).collect(),
            toxics: self.toxics(&config.toxics),
            enabled: config.enabled,
            connections: self.connections.totals(),
            refused: refused.get(),
            opaque: opaque.get(),
            opaque_reasons: opaque_reasons.all(),
            dial_failures: backend_failures.get(),
            dial_reasons: counters.backend_reasons.all(),
            handshake_failures: counters.handshake_failures.get(),
            handshake_reasons: counters.handshake_reasons.all(),
            handlers,
            dial: dial.clone(),
            pass: pass.clone(),
        }
    }

    /// The toxics that it has, and those that it had.
    fn toxics(&self, now: &[Toxic]) -> Vec<ToxicSnapshot> {
        let counted = self.context.counters.by_toxic();
        let mut toxics: Vec<_> = counted
            .into_iter()
            .map(|(name, counters)| ToxicSnapshot {
                toxic: now.iter().find(|toxic| toxic.name() == name).map(ToString::to_string),
                connections: counters.connections.get(),
                faults: counters.faults.get(),
                name,
            })
            .collect();
        let place = |toxic: &ToxicSnapshot| now.iter().position(|known| known.name() == toxic.name);
        toxics.sort_by_key(|toxic| place(toxic).unwrap_or(usize::MAX));
        toxics
    }
}
