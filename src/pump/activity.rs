//! The activity of a connection: written by its task, read by others.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::Serialize;

use super::outcome::Outcome;
use crate::metrics::counters::HandlerCounters;

/// A connection's number, its traffic and its state.
#[derive(Debug)]
pub(crate) struct Activity {
    /// From 1, in the order in which the proxy accepted its clients.
    pub(crate) number: u64,
    pub(crate) to_backend: Moved,
    pub(crate) to_client: Moved,
    pub(crate) calls: LocalCounter,
    state: AtomicU8,
    /// How it is to be cut, if it is.
    cut: AtomicU8,
    /// The number of the handler that has a call in hand; 0 where none has.
    at_work: AtomicU32,
}

/// What `Activity::cut` has been set to.
const UNCUT: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;

/// A counter that only the connection's own task changes.
#[derive(Debug, Default)]
pub(crate) struct LocalCounter(AtomicU64);

impl LocalCounter {
    pub(crate) fn add(&self, more: u64) {
        // Cheaper than one atomic addition, which only several writers would need.
        self.set(self.get().wrapping_add(more));
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was read from one side for the other.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) bytes: LocalCounter,
    pub(crate) reads: LocalCounter,
}

impl Moved {
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
        self.reads.add(1);
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The client is accepted, and the handler of its first call has its turn.
    Accepted,
    /// The backend is being dialled.
    Dialling,
    /// Calls pass, or wait for a handler.
    Open,
    /// Bytes pass whose messages cannot be told apart.
    Opaque,
    /// The client's connection is being closed.
    Closing,
}

impl State {
    const ALL: [Self; 5] = [Self::Accepted, Self::Dialling, Self::Open, Self::Opaque, Self::Closing];
}

impl Activity {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            to_backend: Moved::default(),
            to_client: Moved::default(),
            calls: LocalCounter::default(),
            state: AtomicU8::new(State::Accepted as u8),
            cut: AtomicU8::new(UNCUT),
            at_work: AtomicU32::new(0),
        }
    }

    pub(crate) fn state(&self) -> State {
        State::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Ends it at once when its task is polled next: by a reset, or in order.
    pub(crate) fn cut(&self, reset: bool) {
        self.cut.store(if reset { RESET } else { CLOSED }, Ordering::Relaxed);
    }

    /// How it is to end, if it was cut.
    pub(crate) fn is_cut(&self) -> Option<Outcome> {
        match self.cut.load(Ordering::Relaxed) {
            UNCUT => None,
            RESET => Some(Outcome::Reset),
            _ => Some(Outcome::Close),
        }
    }

    /// The number of the handler that has a call in hand, if one has: [`HandlerCounters::number`].
    pub(crate) fn handler(&self) -> Option<u32> {
        Some(self.at_work.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }

    /// The handler of this number has a call in hand; with 0 none has.
    pub(crate) fn set_handler(&self, number: u32) {
        self.at_work.store(number, Ordering::Relaxed);
    }

    /// The handler of these counters has a call in hand until the guard is dropped.
    pub(crate) fn works(&self, handler: &HandlerCounters) -> AtWork<'_> {
        self.at_work.store(handler.number, Ordering::Relaxed);
        AtWork(self)
    }
}

/// A handler has a call in hand.
pub(crate) struct AtWork<'a>(&'a Activity);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.store(0, Ordering::Relaxed);
    }
}
