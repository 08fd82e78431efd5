//! Calls and faults by label: which test met which fault.

use std::collections::HashMap;

use serde::Serialize;

use crate::labels::{Labels, MAX_LABELS};
use crate::metrics::counters::label as full_name;
use crate::metrics::labels::{ByLabel, Counted};
use crate::metrics::snapshot::ProxySnapshot;
use crate::proxy::Proxy;

/// What was counted of the calls of each label.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct LabelReport {
    /// The first [`MAX_LABELS`], in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Labelled>,
    /// Of the labels beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_labels: Option<Figures>,
    /// Of calls without a label, if there are labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlabelled: Option<Figures>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Labelled {
    pub(crate) label: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    /// Those of toxics as well.
    pub(crate) faults: u64,
    pub(crate) handlers: Vec<HandlerFigures>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) toxics: Vec<ToxicFigures>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct HandlerFigures {
    proxy: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    calls: u64,
    faults: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ToxicFigures {
    proxy: String,
    name: String,
    faults: u64,
}

impl LabelReport {
    /// Of these proxies, whose snapshots were taken before.
    pub(crate) fn of<'p>(labels: &Labels, proxies: impl IntoIterator<Item = (&'p ProxySnapshot, &'p Proxy)>) -> Self {
        let labels = labels.all();
        if labels.is_empty() {
            return Self::default();
        }
        let mut report = Self {
            labels: labels
                .iter()
                .map(|label| Labelled { label: label.text.to_string(), figures: Figures::default() })
                .collect(),
            ..Self::default()
        };
        for (snapshot, proxy) in proxies {
            report.add(snapshot, proxy);
        }
        report
    }

    fn add(&mut self, snapshot: &ProxySnapshot, proxy: &Proxy) {
        let counters = &proxy.context.counters;
        let handlers: HashMap<_, _> = counters.by_handler().into_iter().collect();
        for handler in &snapshot.handlers {
            let all = Counted { calls: handler.calls, faults: handler.faults };
            let key = (handler.rule.clone(), handler.name.clone());
            let by_label = handlers.get(&key).map(|counters| counters.labels.all()).unwrap_or_default();
            self.share(all, &by_label, |figures, Counted { calls, faults }| {
                let (name, rule) = (handler.name.clone(), handler.rule.clone());
                figures.handlers.push(HandlerFigures { proxy: snapshot.name.clone(), name, rule, calls, faults });
            });
        }
        let toxics: HashMap<_, _> = counters.by_toxic().into_iter().collect();
        for toxic in &snapshot.toxics {
            let all = Counted { calls: 0, faults: toxic.faults };
            let by_label = toxics.get(&toxic.name).map(|counters| counters.labels.all()).unwrap_or_default();
            self.share(all, &by_label, |figures, Counted { faults, .. }| {
                let (proxy, name) = (snapshot.name.clone(), toxic.name.clone());
                figures.toxics.push(ToxicFigures { proxy, name, faults });
            });
        }
    }

    /// Adds what was counted `by_label`, and what is left of `all` to the calls without one.
    fn share(&mut self, all: Counted, by_label: &ByLabel, mut add: impl FnMut(&mut Figures, Counted)) {
        let mut add = |figures: &mut Figures, counted: Counted| {
            if counted != Counted::default() {
                figures.calls += counted.calls;
                figures.faults += counted.faults;
                add(figures, counted);
            }
        };
        let mut rest = all;
        for (place, counted) in by_label {
            rest.calls = rest.calls.saturating_sub(counted.calls);
            rest.faults = rest.faults.saturating_sub(counted.faults);
            match place.and_then(|place| self.labels.get_mut(usize::from(place))) {
                Some(labelled) => add(&mut labelled.figures, *counted),
                None => add(self.other_labels.get_or_insert_default(), *counted),
            }
        }
        if rest != Counted::default() {
            add(self.unlabelled.get_or_insert_default(), rest);
        }
    }

    /// Each label with its figures, then those of further labels and of calls without one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (LabelName<'_>, &Figures)> {
        let labels = self.labels.iter().map(|labelled| (LabelName::Label(&labelled.label), &labelled.figures));
        let others = self.other_labels.iter().map(|figures| (LabelName::Others, figures));
        labels.chain(others).chain(self.unlabelled.iter().map(|figures| (LabelName::None, figures)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What calls are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelName<'a> {
    Label(&'a str),
    Others,
    None,
}

/// What stands for labels beyond the first ones.
pub(crate) fn others() -> String {
    format!("labels after the first {MAX_LABELS}")
}

impl Figures {
    /// The handlers and toxics with faults: the proxy, the name as people write it, and how many.
    pub(crate) fn faults_by_name(&self) -> impl Iterator<Item = (&str, String, u64)> {
        let handlers = self
            .handlers
            .iter()
            .map(|handler| (&*handler.proxy, full_name(handler.rule.as_deref(), &handler.name), handler.faults));
        let toxics = self.toxics.iter().map(|toxic| (&*toxic.proxy, toxic.name.clone(), toxic.faults));
        handlers.chain(toxics).filter(|(_, _, faults)| *faults > 0)
    }
}

#[cfg(test)]
impl LabelReport {
    /// A report with these labels, each with the faults of a handler of the proxy `default` and a call more.
    pub(crate) fn example(labels: &[(&str, &str, u64)]) -> Self {
        let figures = |handler: &str, faults: u64| {
            let figures = |name: &str, calls, faults| HandlerFigures {
                proxy: "default".to_owned(),
                name: name.to_owned(),
                rule: None,
                calls,
                faults,
            };
            let handlers = vec![figures(handler, faults, faults), figures("dummy", 1, 0)];
            Figures { calls: faults + 1, faults, handlers, toxics: Vec::new() }
        };
        let labelled = |&(label, handler, faults): &(&str, &str, u64)| Labelled {
            label: label.to_owned(),
            figures: figures(handler, faults),
        };
        let labels: Vec<_> = labels.iter().map(labelled).collect();
        Self { labels, other_labels: Some(figures("error", 3)), unlabelled: Some(figures("error", 0)) }
    }
}
