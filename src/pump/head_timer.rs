//! How long an incomplete head is held for a handler.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Why a connection turns opaque when the time is over.
pub(super) const REASON: &str = "a head that is not complete after head_timeout";

/// Runs while an incomplete head is held. Boxed, as few heads come in pieces.
#[derive(Debug, Default)]
pub(super) struct HeadTimer(Option<Pin<Box<Sleep>>>);

impl HeadTimer {
    /// A head is held; `is_new` if it is another one than before.
    pub(super) fn hold(&mut self, is_new: bool, limit: Duration) {
        if is_new || self.0.is_none() {
            self.0 = Some(Box::pin(sleep(limit)));
        }
    }

    /// No head is held.
    pub(super) fn stop(&mut self) {
        self.0 = None;
    }

    /// Ready when a head has been held for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
