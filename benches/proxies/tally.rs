//! Counters of what clients and backend did.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections accepted by the backend.
    accepted: AtomicUsize,
    /// Bytes that arrived, at either end.
    bytes: AtomicU64,
    calls: AtomicU64,
    /// Calls that were due.
    due: AtomicU64,
    /// How long each call took, or each pipeline of calls.
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

    /// Records that this many calls were answered together, after this time.
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

    /// The durations since the last call of this.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
