//! What was done so far, by clients and backend.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections that the backend took.
    accepted: AtomicUsize,
    /// What arrived, at either end.
    bytes: AtomicU64,
    calls: AtomicU64,
    /// Calls that the clock said should be made.
    due: AtomicU64,
    /// How long each call took, or each pipeline of them.
    times: Mutex<Vec<Duration>>,
}

impl Tally {
    pub(crate) fn accept(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }

    pub(crate) fn arrived(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// So many calls were answered together, after this time.
    pub(crate) fn answered(&self, calls: u64, time: Duration) {
        self.calls.fetch_add(calls, Relaxed);
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub(crate) fn fell_due(&self) {
        self.due.fetch_add(1, Relaxed);
    }

    pub(crate) fn due(&self) -> u64 {
        self.due.load(Relaxed)
    }

    /// The times since this was last asked.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
