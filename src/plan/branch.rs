//! A branch of a plan: handlers of which one is drawn for a call. The mix is one, and so is each rule.

use std::fmt;
use std::sync::Arc;

use tracing::trace;

use super::mix::{Mix, Share};
use crate::handler::{Scope, Sequence};
use crate::labels::CallLabel;
use crate::metrics::counters::{HandlerCounters, label};
use crate::rng::Streams;
use crate::shutdown::{Shutdown, ShutdownTrigger};

/// Handlers with their shares of the calls.
#[derive(Debug)]
pub(crate) struct Branch {
    slots: Vec<Slot>,
    scope: Scope,
    replaced: ShutdownTrigger,
}

/// A handler and its share of the calls.
#[derive(Debug)]
struct Slot {
    /// A draw selects the first slot that it is below.
    below: f64,
    handler: Arc<SelectedHandler>,
}

/// A handler that a plan selects for calls.
pub(crate) struct SelectedHandler {
    pub(crate) name: Arc<str>,
    /// The rule that it belongs to; none for the mix.
    pub(crate) rule: Option<Arc<str>>,
    /// Both: `pay.error`, or the name alone.
    pub(crate) label: Arc<str>,
    pub(crate) handler: Sequence,
    pub(crate) scope: Scope,
    pub(crate) counters: Arc<HandlerCounters>,
    /// Begins when its branch is replaced, or the daemon stops: what the handler holds goes on, or ends.
    pub(crate) released: Shutdown,
}

impl fmt::Debug for SelectedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl SelectedHandler {
    /// Counts and traces call number `call` of a connection.
    pub(crate) fn count(&self, streams: Streams, call: u64, label: Option<&CallLabel>) {
        self.trace(streams, call);
        self.counters.drawn(1, label);
    }

    pub(super) fn trace(&self, streams: Streams, call: u64) {
        trace!(connection = streams.connection(), call, "drawn for {}", self.label);
    }
}

impl Branch {
    /// `counters` returns the counters of a handler by its name.
    pub(super) fn new(mix: &Mix, rule: Option<&Arc<str>>, counters: impl Fn(&str) -> Arc<HandlerCounters>) -> Self {
        let (replaced, released) = ShutdownTrigger::new();
        let mut below = 0.0;
        let slot = |share: &Share| {
            below += share.percent();
            let (name, handler): (Arc<str>, _) = (share.name().into(), share.handler().clone());
            let selected = SelectedHandler {
                label: label(rule.map(|rule| &**rule), &name).into(),
                rule: rule.cloned(),
                scope: handler.scope(),
                counters: counters(&name),
                released: released.clone(),
                name,
                handler,
            };
            Slot { below, handler: Arc::new(selected) }
        };
        let slots: Vec<Slot> = mix.shares().iter().map(slot).collect();
        let scope = slots.iter().map(|slot| slot.handler.scope).max().unwrap_or(Scope::Nothing);
        Self { slots, scope, replaced }
    }

    /// The handler for the call whose `percent` is drawn if that is needed.
    #[inline]
    pub(super) fn draw(&self, percent: impl FnOnce() -> f64) -> &Arc<SelectedHandler> {
        &self.slots[self.place(percent)].handler
    }

    /// Its place in the mix.
    #[inline]
    pub(super) fn place(&self, percent: impl FnOnce() -> f64) -> usize {
        let last = self.slots.len() - 1;
        if last == 0 {
            return last;
        }
        let percent = percent();
        // The last slot gets what rounding leaves over.
        self.slots.iter().position(|slot| percent < slot.below).unwrap_or(last)
    }

    /// The handler of all calls, if there is only one.
    pub(super) fn only(&self) -> Option<&SelectedHandler> {
        if let [only] = self.slots.as_slice() { Some(&only.handler) } else { None }
    }

    /// The widest scope of the handlers.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// In the order of the mix.
    pub(super) fn handlers(&self) -> impl Iterator<Item = &SelectedHandler> {
        self.slots.iter().map(|slot| &*slot.handler)
    }

    /// Releases the calls that its handlers hold.
    pub(super) fn release(&self) {
        self.replaced.begin();
    }
}
