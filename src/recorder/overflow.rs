//! The shapes for which a table has no place: which of them are frequent.
//!
//! Space-saving (Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005): a
//! new shape takes the entry of the least frequent one, and its count as an error. So a shape that has more calls than one in
//! [`MAX_SHAPES`] of those here is never missing, and its count without the error is never too large.

use std::time::Duration;

use histogram::AtomicHistogram;

use super::MAX_SHAPES;
use super::fold::Folded;
use super::table::{Words, new_times, record};

/// A shape is timed from this number of calls on: most shapes here come once.
const TIMED: u64 = 8;

/// The entries side by side, as each call looks at all of them.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    hashes: Vec<u64>,
    counts: Vec<u64>,
    entries: Vec<Entry>,
}

/// A shape, and what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) words: Words,
    pub(super) times: Option<AtomicHistogram>,
    /// The calls of earlier shapes that are in its count.
    error: u64,
    /// How many shapes had the entry before.
    generation: usize,
}

/// Where a shape is, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryId {
    pub(super) place: usize,
    generation: usize,
}

impl Overflow {
    /// Counts a call. Answers where its shape is if the call is to be timed.
    pub(super) fn count(&mut self, hash: u64, folded: &Folded) -> Option<EntryId> {
        let is_it = |place: &usize| self.hashes[*place] == hash && self.entries[*place].words.are(folded);
        let known = (0..self.hashes.len()).find(is_it);
        let place = known.unwrap_or_else(|| self.add(hash, folded));
        self.counts[place] += 1;
        let Entry { error, generation, .. } = self.entries[place];
        (self.counts[place] - error >= TIMED).then_some(EntryId { place, generation })
    }

    /// Makes an entry for a shape, if need be in place of the least frequent one. Answers its place.
    fn add(&mut self, hash: u64, folded: &Folded) -> usize {
        let words = Words::of(folded);
        if self.hashes.len() < MAX_SHAPES {
            self.hashes.push(hash);
            self.counts.push(0);
            self.entries.push(Entry { words, times: None, error: 0, generation: 0 });
            return self.hashes.len() - 1;
        }
        let least = self.counts.iter().copied().min().unwrap_or_default();
        let place = self.counts.iter().position(|count| *count == least).unwrap_or_default();
        self.hashes[place] = hash;
        let generation = self.entries[place].generation + 1;
        self.entries[place] = Entry { words, times: None, error: least, generation };
        place
    }

    /// The backend took so long for a call of this shape.
    pub(super) fn took(&mut self, EntryId { place, generation }: EntryId, time: Duration) {
        if let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.generation == generation) {
            entry.times = entry.times.take().or_else(new_times);
            record(entry.times.as_ref(), time);
        }
    }

    /// Each shape with the calls that it had at least.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Entry, u64)> {
        self.entries.iter().zip(&self.counts).map(|(entry, count)| (entry, count - entry.error))
    }
}
