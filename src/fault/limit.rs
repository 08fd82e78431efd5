//! Ends after some bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, End, Next};

/// Passes so many bytes, then ends the stream: with the last of them, or instead of the first if there are none.
#[derive(Debug)]
pub(crate) struct Limit {
    left: u64,
    passed: u64,
    end: End,
}

impl Limit {
    pub(crate) fn new(bytes: u64, end: End) -> Self {
        Self { left: bytes, passed: 0, end }
    }

    /// The same for a stream of which so many bytes have passed.
    pub(crate) fn after(self, passed: u64) -> Self {
        Self { left: self.left.saturating_sub(passed), passed, ..self }
    }
}

impl ByteFault for Limit {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        if self.left == 0 {
            return Next::End(arrived, self.end);
        }
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| bytes.len().min(left));
        let piece = bytes.split_to(len);
        self.left -= piece.len() as u64;
        self.passed += piece.len() as u64;
        if self.left == 0 { Next::Last(piece, arrived, self.end) } else { Next::Piece(piece, arrived) }
    }

    fn passed(&self) -> u64 {
        self.passed
    }
}

/// The same for all streams that share it: each ends with the last of the bytes, or with its next ones.
#[derive(Debug)]
pub(crate) struct SharedLimit {
    bytes: u64,
    /// How many have passed in all streams.
    passed: Arc<AtomicU64>,
    end: End,
}

impl SharedLimit {
    pub(crate) fn new(bytes: u64, passed: Arc<AtomicU64>, end: End) -> Self {
        Self { bytes, passed, end }
    }

    /// Takes up to `len` bytes of what is left.
    fn take(&self, len: usize) -> (usize, bool) {
        let mut taken = 0;
        let before = self.passed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |passed| {
            taken = self.bytes.saturating_sub(passed).min(len as u64);
            (taken > 0).then_some(passed + taken)
        });
        let is_last = before.map_or(true, |before| before + taken == self.bytes);
        (usize::try_from(taken).unwrap_or(len), is_last)
    }
}

impl ByteFault for SharedLimit {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        match self.take(bytes.len()) {
            (0, _) => Next::End(arrived, self.end),
            (len, true) => Next::Last(bytes.split_to(len), arrived, self.end),
            (len, false) => Next::Piece(bytes.split_to(len), arrived),
        }
    }
}
