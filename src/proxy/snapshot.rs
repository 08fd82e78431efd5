//! What a proxy has done, read once.

use super::Proxy;
use crate::metrics::counters::Counters;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot, RuleSnapshot, ToxicSnapshot};
use crate::plan::rule::Rule;
use crate::toxic::Toxic;

impl Proxy {
    pub(crate) fn snapshot(&self) -> ProxySnapshot {
        let Counters { opaque, opaque_reasons, backend_failures, refused, dial, pass, .. } = &self.context.counters;
        let config = self.config();
        let in_plan: Vec<String> =
            self.context.plan.load().handlers().map(|selected| selected.label.to_string()).collect();
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
            HandlerSnapshot { in_mix: in_plan.contains(&handler.label()), ..handler }
        });
        let mut handlers: Vec<_> = handlers.collect();
        let place = |handler: &HandlerSnapshot| in_plan.iter().position(|label| *label == handler.label());
        handlers.sort_by_key(|handler| place(handler).unwrap_or(usize::MAX));
        let plan = self.context.plan.load_full();
        let rule = |rule: &Rule| {
            let counts = plan.rule_counts().find(|counts| counts.name == rule.name());
            let ours = handlers.iter().filter(|handler| handler.rule.as_deref() == Some(rule.name()));
            RuleSnapshot {
                name: rule.name().to_owned(),
                rule: rule.to_string(),
                calls: ours.map(|handler| handler.calls).sum(),
                excluded: counts.as_ref().map_or(0, |counts| counts.excluded),
                times_left: counts.as_ref().and_then(|counts| counts.times_left),
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
