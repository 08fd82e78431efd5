//! The plan of a proxy, and the draw that selects a handler for each call.

pub(crate) mod current; // the plan in force
mod draw; // which handler a call gets
pub(crate) mod mix; // handlers with percentages
pub(crate) mod parse; // a mix as text
mod text; // parentheses and quotes

use std::fmt;
use std::sync::Arc;

use tracing::trace;

use crate::handler::{Scope, Sequence};
use crate::metrics::counters::HandlerCounters;
use crate::plan::mix::{Mix, Share};
use crate::rng::Streams;
use crate::shutdown::{Shutdown, ShutdownTrigger};

/// Decides which handler a call of a proxy gets. Immutable: a change replaces it as a whole.
#[derive(Debug)]
pub(crate) struct Plan {
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
    pub(crate) handler: Sequence,
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
    /// Counts and traces call number `call` of a connection.
    pub(crate) fn count(&self, streams: Streams, call: u64) {
        self.trace(streams, call);
        self.counters.calls.add(1);
    }

    fn trace(&self, streams: Streams, call: u64) {
        trace!(connection = streams.connection(), call, "drawn for {}", self.name);
    }
}

/// Counts the calls of a pipeline. Consecutive calls of one handler are one addition, because all connections share its
/// counter.
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

    /// The same for the only handler of a plan, where nobody traces calls.
    pub(crate) fn count_unseen(&mut self, only: Option<&'p SelectedHandler>) {
        self.last = self.last.or(only);
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
    /// `counters` returns the counters of a handler by its name.
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

    /// The handler of all calls, if there is only one and it sees none.
    pub(crate) fn only(&self) -> Option<&SelectedHandler> {
        match self.slots.as_slice() {
            [only] if self.scope == Scope::Nothing => Some(&only.handler),
            _ => None,
        }
    }

    /// The widest scope of the handlers.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// In the order of the mix.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &SelectedHandler> {
        self.slots.iter().map(|slot| &*slot.handler)
    }

    /// Whether another plan has replaced it.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.has_begun()
    }

    /// The plan was replaced, or the daemon stops: releases the calls that its handlers hold.
    pub(crate) fn release(&self) {
        self.replaced.begin();
    }
}
