//! The calls of a run, kept for its report: when each began, when and how it ended, and what was done to it.
//!
//! Each connection keeps its own calls, and adds them to the log when it ends. Only the first [`MAX_CALLS`] of a run are kept,
//! so that a long run takes no more memory than a short one.

mod calls;
mod connection;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::events::{Action, RequestHead};
use crate::labels::CallLabel;
use crate::protocol::Protocol;

pub(crate) use calls::CallEnd;
pub(crate) use connection::ConnectionLog;

/// How many calls of a run are kept.
pub(crate) const MAX_CALLS: usize = 250_000;

/// The calls of a run, kept for its report. Clones are the same log.
#[derive(Debug, Clone)]
pub(crate) struct CallLog(Option<Arc<Shared>>);

/// What a log has kept.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// In the order in which they began.
    pub(crate) calls: Vec<RecordedCall>,
    /// How many calls began after the log was full.
    pub(crate) left_out: u64,
}

/// One call. Times count from the beginning of the log.
#[derive(Debug)]
pub(crate) struct RecordedCall {
    pub(crate) proxy: Arc<str>,
    /// The number of its connection on that proxy, and its own number on that connection.
    pub(crate) connection: u64,
    pub(crate) call: u64,
    pub(crate) handler: Arc<str>,
    pub(crate) label: Option<Arc<CallLabel>>,
    /// When its handler was drawn.
    pub(crate) begun: Duration,
    /// When its reply was complete; without a reply, when its request was passed on; without either, when its connection
    /// ended or turned opaque.
    pub(crate) ended: Duration,
    /// The last byte of its reply came. False for a call without a reply, and for one that was closed, reset, held or cut.
    pub(crate) is_done: bool,
    /// When its connection began the next call, or ended.
    pub(crate) next: Option<Duration>,
    /// What its handler did to it, the last thing if there were several.
    pub(crate) fault: Option<Action>,
    /// None with `tcp`, and for a call that ended before its request came.
    pub(crate) head: Option<RequestHead>,
}

impl RecordedCall {
    /// How long it took until it was done, if it was.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.is_done.then(|| self.ended.saturating_sub(self.begun))
    }

    /// How long the client made no call after a fault, as far as its connection shows.
    pub(crate) fn paused(&self) -> Option<Duration> {
        self.fault?;
        Some(self.next?.saturating_sub(self.ended))
    }
}

/// What the connections of a run share: nothing that they wait for.
#[derive(Debug)]
struct Shared {
    begun: Instant,
    max_calls: usize,
    /// Calls that began, also those that are not kept.
    began: AtomicUsize,
    /// The calls of connections that have ended; none any more once they were taken.
    ended: Mutex<Option<Vec<RecordedCall>>>,
}

impl CallLog {
    /// A log that keeps nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// An empty log that begins now.
    pub(crate) fn on() -> Self {
        Self::with_at_most(MAX_CALLS)
    }

    fn with_at_most(max_calls: usize) -> Self {
        let (began, ended) = (AtomicUsize::new(0), Mutex::new(Some(Vec::new())));
        Self(Some(Arc::new(Shared { begun: Instant::now(), max_calls, began, ended })))
    }

    /// The log of a connection that begins, if calls are kept.
    pub(crate) fn connection(&self, proxy: &Arc<str>, number: u64, protocol: Protocol) -> Option<Box<ConnectionLog>> {
        let shared = self.0.clone()?;
        Some(Box::new(ConnectionLog::new(shared, proxy.clone(), number, protocol)))
    }

    /// The calls of all connections that have ended, with times that count from `moment`. From now on nothing is kept.
    pub(crate) fn take_since(&self, moment: Instant) -> Recorded {
        let Some(shared) = &self.0 else { return Recorded::default() };
        let mut calls = shared.ended().take().unwrap_or_default();
        calls.sort_by_key(|call| call.begun);
        let before = moment.saturating_duration_since(shared.begun);
        for call in &mut calls {
            call.begun = call.begun.saturating_sub(before);
            call.ended = call.ended.saturating_sub(before);
            call.next = call.next.map(|next| next.saturating_sub(before));
        }
        let left_out = shared.began.load(Ordering::Relaxed).saturating_sub(shared.max_calls) as u64;
        Recorded { calls, left_out }
    }
}

impl Shared {
    /// Whether a call that begins now is kept.
    fn admits(&self) -> bool {
        self.began.fetch_add(1, Ordering::Relaxed) < self.max_calls
    }

    fn ended(&self) -> MutexGuard<'_, Option<Vec<RecordedCall>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
