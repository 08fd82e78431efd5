//! The calls of a run, kept for its report: when each began, when and how it ended, and what was done to it.
//!
//! Only the first [`MOST`] are kept, so that a long run takes no more memory than a short one.

mod connection;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::events::{Action, RequestHead};
use connection::Calls;
pub(crate) use connection::Track;

/// How many calls are kept.
pub(crate) const MOST: usize = 250_000;

/// The calls of a run, kept for its report. Clones are the same recording.
#[derive(Debug, Clone)]
pub(crate) struct CallLog(Option<Arc<Tape>>);

/// What a recording has kept.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// In the order in which they began.
    pub(crate) calls: Vec<RecordedCall>,
    /// How many began when no more were kept.
    pub(crate) left_out: u64,
}

/// One call. Times count from the recording's beginning.
#[derive(Debug)]
pub(crate) struct RecordedCall {
    pub(crate) proxy: Arc<str>,
    /// Its connection's number on that proxy, and its own number on that connection.
    pub(crate) connection: u64,
    pub(crate) call: u64,
    pub(crate) handler: Arc<str>,
    /// When it was drawn for its handler.
    pub(crate) begun: Duration,
    /// When its reply was complete, or a request that has none was passed on. Where neither was: when its connection ended or
    /// turned opaque, or the recording was taken.
    pub(crate) ended: Duration,
    /// The last byte of its reply came. Of one that has no reply, or was closed, reset, held or cut off, none does.
    pub(crate) is_done: bool,
    /// What its handler did to it, the last thing where that was more than one.
    pub(crate) fault: Option<Action>,
    /// There is none with `tcp`, nor of a call that was struck before its request was there.
    pub(crate) head: Option<RequestHead>,
}

impl RecordedCall {
    /// How long it took until it was done, if it ever was.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.is_done.then(|| self.ended.saturating_sub(self.begun))
    }
}

#[derive(Debug)]
struct Tape {
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    recorded: Recorded,
    /// By proxy and number, those that are there now and have had a call.
    connections: HashMap<(usize, u64), Calls>,
    most: usize,
    taken: bool,
}

impl CallLog {
    /// A recording that keeps nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// An empty recording, that begins now.
    pub(crate) fn on() -> Self {
        Self::of_at_most(MOST)
    }

    fn of_at_most(most: usize) -> Self {
        // ConnectionLimit for all at once, which takes memory only as it is used: no call ever waits while the others are moved.
        let recorded = Recorded { calls: Vec::with_capacity(most), left_out: 0 };
        let kept = Mutex::new(Kept { recorded, connections: HashMap::new(), most, taken: false });
        Self(Some(Arc::new(Tape { begun: Instant::now(), kept })))
    }

    /// Whether it keeps calls, so that connections have to find them.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Where the calls of one connection are told, if anybody wants to know. All others wait for as long as the answer lives.
    pub(crate) fn track<'a>(&'a self, proxy: &'a Arc<str>, connection: u64) -> Option<Track<'a>> {
        let tape = self.0.as_ref()?;
        let kept = tape.kept();
        (!kept.taken).then(|| Track::new(kept, proxy, connection, tape.begun.elapsed()))
    }

    /// As [`take`](Self::take), with times that count from `moment` on.
    pub(crate) fn take_since(&self, moment: Instant) -> Recorded {
        let recorded = self.take();
        match &self.0 {
            Some(tape) => recorded.since(tape.begun, moment),
            None => recorded,
        }
    }

    /// All that was kept, once: from now on it keeps nothing. Calls that are still open end here.
    pub(crate) fn take(&self) -> Recorded {
        let Some(tape) = &self.0 else { return Recorded::default() };
        let mut kept = tape.kept();
        let Kept { recorded, connections, taken, .. } = &mut *kept;
        *taken = true;
        let now = tape.begun.elapsed();
        for mut calls in std::mem::take(connections).into_values() {
            calls.end(0, &mut recorded.calls, now);
        }
        std::mem::take(recorded)
    }
}

impl Recorded {
    /// Its times counted from `moment` on, rather than since `begun`.
    fn since(mut self, begun: Instant, moment: Instant) -> Self {
        let before = moment.saturating_duration_since(begun);
        for call in &mut self.calls {
            call.begun = call.begun.saturating_sub(before);
            call.ended = call.ended.saturating_sub(before);
        }
        self
    }
}

impl Tape {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
