//! A value for each worker, so that workers do not write to each other's cache lines.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many values there are: one for each worker of the largest daemon that this process has started.
static WORKERS: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    /// The place of the worker that this thread is. Threads that are none use the first.
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// There will be this many workers.
pub(super) fn expect(workers: usize) {
    WORKERS.fetch_max(workers, Ordering::Relaxed);
}

/// This thread is the worker in this place.
pub(crate) fn enter(place: usize) {
    PLACE.set(place);
}

/// A value for each worker.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(Box<[Line<T>]>);

/// In cache lines of its own: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

impl<T> PerWorker<T> {
    pub(crate) fn new(value: impl FnMut() -> T) -> Self {
        Self::of_workers(WORKERS.load(Ordering::Relaxed), value)
    }

    pub(crate) fn of_workers(workers: usize, mut value: impl FnMut() -> T) -> Self {
        Self((0..workers).map(|_| Line(value())).collect())
    }

    /// The value of this thread's worker.
    pub(crate) fn own(&self) -> &T {
        self.of(PLACE.get())
    }

    /// The value of the worker in this place.
    pub(crate) fn of(&self, place: usize) -> &T {
        &self.0.get(place).unwrap_or(&self.0[0]).0
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}
