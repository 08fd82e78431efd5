//! What happens to a call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::handler::{DynHandler, Scope};
use crate::seed::{Draws, Streams};

/// All that decides the fate of calls on one proxy.
#[derive(Debug)]
pub(crate) struct Plan {
    slots: Vec<Slot>,
    scope: Scope,
}

/// A handler and its share of the calls.
#[derive(Debug)]
struct Slot {
    /// Draws below this, and not below the slots before, are its own.
    below: f64,
    drawn: Drawn,
}

/// The handler that a call was drawn for.
#[derive(Clone)]
pub(crate) struct Drawn {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<dyn DynHandler>,
    pub(crate) scope: Scope,
    calls: Arc<AtomicU64>,
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drawn {
    pub(crate) fn new(name: &str, handler: Arc<dyn DynHandler>) -> Self {
        let scope = handler.scope();
        Self { name: name.into(), handler, scope, calls: Arc::default() }
    }

    /// Counts `calls` that it took.
    pub(crate) fn count(&self, calls: u64) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
    }

    /// How many calls it took.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Plan {
    /// Handlers with their percentages; `rest` gets the calls that are left over.
    pub(crate) fn new(mix: impl IntoIterator<Item = (f64, Drawn)>, rest: Drawn) -> Self {
        let mut slots = Vec::new();
        let mut below = 0.0;
        for (percent, drawn) in mix {
            below += percent;
            slots.push(Slot { below, drawn });
        }
        // Percentages such as 3 times 33.333 add up to a little less than they mean.
        if below < 100.0 - 1e-9 {
            slots.push(Slot { below: f64::INFINITY, drawn: rest });
        } else if let Some(last) = slots.last_mut() {
            last.below = f64::INFINITY;
        }
        let scope = slots.iter().map(|slot| slot.drawn.scope).max().unwrap_or(Scope::Nothing);
        Self { slots, scope }
    }

    /// What the handlers need to see, taken together.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// The handlers, in order, `rest` last.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &Drawn> {
        self.slots.iter().map(|slot| &slot.drawn)
    }

    /// The handler for call number `call`. A plan of one handler leaves nothing to chance, and draws nothing.
    pub(crate) fn draw(&self, streams: Streams, draws: &mut Option<Draws>, call: u64) -> &Drawn {
        if let [only] = self.slots.as_slice() {
            return &only.drawn;
        }
        let percent = draws.get_or_insert_with(|| streams.draws()).percent(call);
        let slot = self.slots.iter().find(|slot| percent < slot.below);
        &slot.or(self.slots.last()).expect("a plan has at least one handler").drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Handler;

    struct Named;
    impl Handler for Named {}

    fn drawn(name: &str) -> Drawn {
        Drawn::new(name, Arc::new(Named))
    }

    fn shares(mix: &[(f64, &str)]) -> Vec<(String, usize)> {
        let plan = Plan::new(mix.iter().map(|(percent, name)| (*percent, drawn(name))), drawn("rest"));
        let streams = Streams::new(42, "default", 1);
        let mut draws = None;
        let names: Vec<Arc<str>> = (1..=100_000).map(|call| plan.draw(streams, &mut draws, call).name.clone()).collect();
        plan.handlers().map(|slot| (slot.name.to_string(), names.iter().filter(|name| **name == slot.name).count())).collect()
    }

    #[test]
    fn each_handler_gets_its_share_and_the_rest_is_left() {
        let shares = shares(&[(20.0, "delay"), (0.5, "error")]);
        let within = |count: usize, percent: f64| (count as f64 / 1000.0 - percent).abs() < 0.5;
        assert!(within(shares[0].1, 20.0) && within(shares[1].1, 0.5) && within(shares[2].1, 79.5), "{shares:?}");
    }

    #[test]
    fn nothing_is_left_of_a_hundred() {
        assert_eq!(shares(&[(100.0, "delay")]), [("delay".to_owned(), 100_000)]);
        assert_eq!(shares(&[(33.3, "a"), (33.3, "b"), (33.4, "c")]).len(), 3);
    }

    #[test]
    fn nothing_at_all_is_all_left() {
        assert_eq!(shares(&[]), [("rest".to_owned(), 100_000)]);
    }
}
