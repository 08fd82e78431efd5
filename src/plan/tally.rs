//! Counting the calls of a pipeline.

use std::sync::Arc;

use super::SelectedHandler;
use crate::labels::CallLabel;
use crate::rng::Streams;

/// Counts the calls of a pipeline. Consecutive calls of one handler are one addition, because all connections share its
/// counter.
#[derive(Debug)]
pub(crate) struct Tally<'p> {
    /// That of all of them: they begin at once.
    label: Option<Arc<CallLabel>>,
    last: Option<&'p SelectedHandler>,
    calls: u64,
}

impl<'p> Tally<'p> {
    pub(crate) fn new(label: Option<Arc<CallLabel>>) -> Self {
        Self { label, last: None, calls: 0 }
    }

    pub(crate) fn label(&self) -> Option<&Arc<CallLabel>> {
        self.label.as_ref()
    }

    /// As [`SelectedHandler::count`].
    pub(crate) fn count(&mut self, handler: &'p SelectedHandler, streams: Streams, call: u64) {
        handler.trace(streams, call);
        self.add_one(handler);
    }

    /// The same for a handler that sees no calls, where nobody traces them.
    #[inline]
    pub(crate) fn count_unseen(&mut self, only: Option<&'p SelectedHandler>) {
        if let Some(only) = only {
            self.add_one(only);
        }
    }

    #[inline]
    fn add_one(&mut self, handler: &'p SelectedHandler) {
        if !self.last.is_some_and(|last| std::ptr::eq(last, handler)) {
            self.add();
            self.last = Some(handler);
        }
        self.calls += 1;
    }

    fn add(&mut self) {
        if let Some(last) = self.last {
            last.counters.drawn(std::mem::take(&mut self.calls), self.label.as_deref());
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.add();
    }
}
