//! The shapes that one worker has seen, with their counts. The first ones keep their places; of the others, the frequent ones are
//! kept beside them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use histogram::{AtomicHistogram, Histogram};

use super::MAX_SHAPES;
use super::fold::Folded;
use super::overflow::{EntryId, Overflow};

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
    /// Those shapes. Only their calls take this lock, which no other worker takes but to read it.
    overflow: OnceLock<Box<Mutex<Overflow>>>,
}

/// Where a shape is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Own(usize),
    Overflow(EntryId),
}

/// A folded command and key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    command: Box<[u8]>,
    key: Box<[u8]>,
}

/// A shape and its counts, in cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counts {
    hash: u64,
    calls: AtomicU64,
    times: OnceLock<Option<AtomicHistogram>>,
    words: Words,
}

impl Default for Table {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| OnceLock::new()).collect();
        Self { places, len: AtomicUsize::new(0), other: AtomicU64::new(0), overflow: OnceLock::new() }
    }
}

impl Table {
    /// Counts a call. Answers where its shape is counted, if the call may be timed.
    pub(super) fn count(&self, folded: &Folded) -> Option<Place> {
        let hash = folded.hash();
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let mut place = hash as usize % PLACES;
        loop {
            match self.places[place].get() {
                Some(counts) if counts.hash == hash && counts.words.are(folded) => {
                    counts.calls.fetch_add(1, Ordering::Relaxed);
                    return Some(Place::Own(place));
                }
                Some(_) => place = (place + 1) % PLACES,
                None => {
                    if !self.take_place() {
                        self.other.fetch_add(1, Ordering::Relaxed);
                        let overflow = self.overflow.get_or_init(Box::default);
                        let mut overflow = overflow.lock().unwrap_or_else(PoisonError::into_inner);
                        return overflow.count(hash, folded).map(Place::Overflow);
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
    pub(super) fn took(&self, place: Place, time: Duration) {
        match place {
            Place::Own(place) => {
                if let Some(counts) = self.places[place].get() {
                    record(counts.times.get_or_init(new_times).as_ref(), time);
                }
            }
            Place::Overflow(id) => {
                if let Some(mut overflow) = self.overflow() {
                    overflow.took(id, time);
                }
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Counts> {
        self.places.iter().filter_map(|place| place.get().map(|counts| &**counts))
    }

    /// The shapes without a place, once there are any.
    pub(super) fn overflow(&self) -> Option<MutexGuard<'_, Overflow>> {
        self.overflow.get().map(|overflow| overflow.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn other(&self) -> u64 {
        self.other.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn new(hash: u64, folded: &Folded) -> Self {
        Self { hash, calls: AtomicU64::new(0), times: OnceLock::new(), words: Words::of(folded) }
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn times(&self) -> Option<Histogram> {
        Some(self.times.get()?.as_ref()?.load())
    }
}

impl Words {
    pub(super) fn of(folded: &Folded) -> Self {
        let (command, key) = folded.words();
        Self { command: command.into(), key: key.into() }
    }

    pub(super) fn are(&self, folded: &Folded) -> bool {
        self.both() == folded.words()
    }

    /// The command, and the key.
    pub(super) fn both(&self) -> (&[u8], &[u8]) {
        (&self.command, &self.key)
    }
}

pub(super) fn new_times() -> Option<AtomicHistogram> {
    AtomicHistogram::new(TIMES.0, TIMES.1).ok()
}

/// Adds a time.
pub(super) fn record(times: Option<&AtomicHistogram>, time: Duration) {
    if let Some(times) = times {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let _ = times.increment(micros.min((1 << TIMES.1) - 1));
    }
}
