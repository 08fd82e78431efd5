//! The shapes that one worker has seen, with their counts. Nothing is ever taken out.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use histogram::{AtomicHistogram, Histogram};

use super::MAX_SHAPES;
use super::fold::Folded;

/// Less than half of them are ever taken, so that a shape is found after few steps.
const PLACES: usize = 512;

/// Times in microseconds: 8 buckets in each power of two, so that a time is at most 12.5 % too long. The longest is 17 minutes.
const TIMES: (u8, u8) = (3, 30);

/// The shapes that one worker has seen. In an embedded daemon several threads may be that worker.
#[derive(Debug)]
pub(crate) struct Table {
    /// By their hash; where that place is taken, in the next one that is free.
    places: Box<[OnceLock<Box<Counts>>]>,
    /// How many places are taken, or about to be.
    len: AtomicUsize,
    /// Calls of shapes that found no place.
    other: AtomicU64,
}

/// A shape and its counts, in cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counts {
    hash: u64,
    calls: AtomicU64,
    times: OnceLock<Option<AtomicHistogram>>,
    /// The command, and the key.
    command: Box<[u8]>,
    key: Box<[u8]>,
}

impl Default for Table {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| OnceLock::new()).collect();
        Self { places, len: AtomicUsize::new(0), other: AtomicU64::new(0) }
    }
}

impl Table {
    /// Counts a call. Answers the place of its shape, if that has one.
    pub(super) fn count(&self, folded: &Folded) -> Option<usize> {
        let hash = folded.hash();
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let mut place = hash as usize % PLACES;
        loop {
            match self.places[place].get() {
                Some(counts) if counts.hash == hash && counts.words() == folded.words() => {
                    counts.calls.fetch_add(1, Ordering::Relaxed);
                    return Some(place);
                }
                Some(_) => place = (place + 1) % PLACES,
                None => {
                    if !self.take_place() {
                        self.other.fetch_add(1, Ordering::Relaxed);
                        return None;
                    }
                    // It is looked at again: another thread may have been faster.
                    if self.places[place].set(Box::new(Counts::new(hash, folded))).is_err() {
                        self.len.fetch_sub(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn take_place(&self) -> bool {
        let is_full = |len: usize| len >= MAX_SHAPES;
        if is_full(self.len.load(Ordering::Relaxed)) {
            return false;
        }
        let taken = !is_full(self.len.fetch_add(1, Ordering::Relaxed));
        if !taken {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// The backend took so long for a call of the shape in this place.
    pub(super) fn took(&self, place: usize, time: Duration) {
        let Some(counts) = self.places[place].get() else { return };
        let times = counts.times.get_or_init(|| AtomicHistogram::new(TIMES.0, TIMES.1).ok());
        if let Some(times) = times {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let _ = times.increment(micros.min((1 << TIMES.1) - 1));
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Counts> {
        self.places.iter().filter_map(|place| place.get().map(|counts| &**counts))
    }

    pub(super) fn other(&self) -> u64 {
        self.other.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn new(hash: u64, folded: &Folded) -> Self {
        let (command, key) = folded.words();
        let (calls, times) = (AtomicU64::new(0), OnceLock::new());
        Self { hash, calls, times, command: command.into(), key: key.into() }
    }

    /// The command and the key.
    pub(super) fn words(&self) -> (&[u8], &[u8]) {
        (&self.command, &self.key)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn times(&self) -> Option<Histogram> {
        Some(self.times.get()?.as_ref()?.load())
    }
}
