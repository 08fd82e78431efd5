//! What happens to a call.

pub mod mix;
pub(crate) mod parse;

use std::fmt;
use std::sync::Arc;

use tracing::trace;

use crate::handler::{DynHandler, Scope};
use crate::metrics::counters::HandlerCounters;
use crate::plan::mix::{Mix, Share};
use crate::rng::{Draws, Streams};
use crate::shutdown::{Shutdown, ShutdownTrigger};

/// Decides which handler each call of a proxy gets. A plan never changes: it is replaced.
#[derive(Debug)]
pub(crate) struct Plan {
    slots: Vec<Slot>,
    scope: Scope,
    replaced: ShutdownTrigger,
}

/// A handler and its share of the calls.
#[derive(Debug)]
struct Slot {
    /// Draws below this, and not below the slots before, are its own.
    below: f64,
    handler: Arc<SelectedHandler>,
}

/// The handler that a call was drawn for.
pub(crate) struct SelectedHandler {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<dyn DynHandler>,
    pub(crate) scope: Scope,
    pub(crate) counters: Arc<HandlerCounters>,
    /// Begins when its plan is replaced, or the daemon stops: what the handler holds goes on, or ends.
    pub(crate) released: Shutdown,
}

impl fmt::Debug for SelectedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl SelectedHandler {
    /// Counts call number `call` of a connection as its own, and logs it.
    pub(crate) fn count(&self, streams: Streams, call: u64) {
        self.trace(streams, call);
        self.counters.calls.add(1);
    }

    fn trace(&self, streams: Streams, call: u64) {
        trace!(connection = streams.connection(), call, "drawn for {}", self.name);
    }
}

/// Counts the calls of a pipeline. All connections share a handler's count, so calls that follow each other are added to it
/// at once.
#[derive(Debug, Default)]
pub(crate) struct Tally<'p> {
    last: Option<&'p SelectedHandler>,
    calls: u64,
}

impl<'p> Tally<'p> {
    /// As [`SelectedHandler::count`].
    pub(crate) fn count(&mut self, handler: &'p SelectedHandler, streams: Streams, call: u64) {
        handler.trace(streams, call);
        if !self.last.is_some_and(|last| std::ptr::eq(last, handler)) {
            self.add();
            self.last = Some(handler);
        }
        self.calls += 1;
    }

    fn add(&mut self) {
        if let Some(last) = self.last {
            last.counters.calls.add(std::mem::take(&mut self.calls));
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.add();
    }
}

impl Plan {
    /// Draws from `mix`; what a handler of some name does is counted where `counters` says.
    pub(crate) fn new(mix: &Mix, counters: impl Fn(&str) -> Arc<HandlerCounters>) -> Self {
        let (replaced, released) = ShutdownTrigger::new();
        let mut below = 0.0;
        let slot = |share: &Share| {
            below += share.percent();
            let handler = share.handler().clone();
            let (scope, counters) = (handler.scope(), counters(share.name()));
            let selected =
                SelectedHandler { name: share.name().into(), handler, scope, counters, released: released.clone() };
            Slot { below, handler: Arc::new(selected) }
        };
        let slots: Vec<Slot> = mix.shares().iter().map(slot).collect();
        let scope = slots.iter().map(|slot| slot.handler.scope).max().unwrap_or(Scope::Nothing);
        Self { slots, scope, replaced }
    }

    /// What the handlers need to see, taken together.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// The handlers, in the order in which they are drawn.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &SelectedHandler> {
        self.slots.iter().map(|slot| &*slot.handler)
    }

    /// The handler for call number `call`. A plan of one handler leaves nothing to chance, and draws nothing.
    pub(crate) fn draw(&self, streams: Streams, draws: &mut Option<Draws>, call: u64) -> &Arc<SelectedHandler> {
        &self.slots[self.place(streams, draws, call)].handler
    }

    /// The place in the mix of the handler for call number `call`.
    pub(crate) fn place(&self, streams: Streams, draws: &mut Option<Draws>, call: u64) -> usize {
        let last = self.slots.len() - 1;
        if last == 0 {
            return last;
        }
        let percent = draws.get_or_insert_with(|| streams.draws()).percent(call);
        // The last one takes what rounding leaves over.
        self.slots.iter().position(|slot| percent < slot.below).unwrap_or(last)
    }

    /// Whether it was replaced.
    pub(crate) fn is_over(&self) -> bool {
        self.replaced.has_begun()
    }

    /// Releases the calls that its handlers hold: the plan was replaced, or the daemon stops.
    pub(crate) fn release(&self) {
        self.replaced.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(mix: &str) -> Vec<(String, usize)> {
        let plan = Plan::new(&mix.parse().unwrap(), |_| Arc::default());
        let streams = Streams::new(42, "default", 1);
        let mut draws = None;
        let names: Vec<_> = (1..=100_000).map(|call| plan.draw(streams, &mut draws, call).name.clone()).collect();
        let share = |name: &str| (name.to_owned(), names.iter().filter(|drawn| &***drawn == name).count());
        plan.handlers().map(|drawn| share(&drawn.name)).collect()
    }

    #[test]
    fn each_handler_gets_its_share_and_dummy_the_rest() {
        let shares = shares("20:delay,0.5:error");
        let about = |(name, count): &(String, usize), expected: &str, calls: usize| {
            assert!(name == expected && count.abs_diff(calls) < 500, "{shares:?}");
        };
        about(&shares[0], "delay", 20_000);
        about(&shares[1], "error", 500);
        about(&shares[2], "dummy", 79_500);
    }

    #[test]
    fn one_handler_takes_all() {
        assert_eq!(shares("delay"), [("delay".to_owned(), 100_000)]);
        assert_eq!(shares("33.3:delay,33.3:error,33.4:hang").len(), 3);
    }
}
