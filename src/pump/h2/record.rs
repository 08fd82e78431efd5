//! What is written down of a call. Streams end in any order.

use std::time::Instant;

use crate::call_log::CallEnd;
use crate::pump::context::ConnectionContext;
use crate::recorder::Place;

/// What is written down of one call.
#[derive(Debug)]
pub(super) struct Record<'c> {
    pub(super) context: &'c ConnectionContext<'c>,
    pub(super) number: u64,
    /// Where its shape is counted.
    pub(super) place: Option<Place>,
    /// When the last byte of its request was passed on.
    pub(super) sent: Option<Instant>,
}

impl Record<'_> {
    /// The last byte of the request was passed on.
    pub(super) fn passed_on(&mut self) {
        self.context.stream_passed_on(self.number);
        if self.place.is_some() {
            self.sent = Some(Instant::now());
        }
    }

    /// The reply has begun.
    pub(super) fn reply_begins(&mut self) {
        if let (Some(place), Some(sent)) = (self.place.take(), self.sent) {
            self.context.stream_took(place, sent.elapsed());
        }
    }

    /// The call has ended.
    pub(super) fn ends(&self, how: CallEnd) {
        self.context.stream_ended(self.number, how);
    }
}
