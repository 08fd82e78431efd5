//! Cut in small pieces.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next, after, up_to};

/// Cuts bytes into pieces of `size` bytes, give or take up to `variation`, which leave one `delay` after the other.
#[derive(Debug)]
pub(crate) struct Slice {
    size: usize,
    variation: usize,
    delay: Duration,
    /// No piece leaves before.
    free: Option<Instant>,
}

impl Slice {
    pub(crate) fn new(size: NonZeroUsize, variation: usize, delay: Duration) -> Self {
        Self { size: size.get(), variation, delay, free: None }
    }

    /// The same where nothing passes before this time.
    pub(crate) fn since(self, begin: Instant) -> Self {
        Self { free: Some(begin), ..self }
    }

    /// At least 1.
    fn draw(&self, random: &mut ChaCha8Rng) -> usize {
        if self.variation == 0 {
            return self.size;
        }
        let width = up_to(random, (self.variation as u64).saturating_mul(2));
        let size = (self.size as u64).saturating_add(width).saturating_sub(self.variation as u64);
        usize::try_from(size).unwrap_or(usize::MAX).max(1)
    }
}

impl ByteFault for Slice {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next {
        let piece = bytes.split_to(self.draw(random).min(bytes.len()));
        let due = self.free.map_or(arrived, |free| free.max(arrived));
        self.free = Some(after(due, self.delay));
        Next::Piece(piece, due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::pieces;

    fn slice(size: usize, variation: usize, delay: u64) -> Slice {
        Slice::new(NonZeroUsize::new(size).unwrap(), variation, millis(delay))
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pieces_leave_one_delay_after_the_other() {
        let sliced = pieces(&mut slice(10, 0, 5), &[(millis(1), 25), (millis(2), 10), (millis(100), 7)]);
        assert_eq!(sliced, [(millis(1), 10), (millis(6), 10), (millis(11), 5), (millis(16), 10), (millis(100), 7)]);
    }

    #[test]
    fn sizes_vary_and_are_never_nothing() {
        for (size, variation, least, most) in [(10, 3, 7, 13), (2, 9, 1, 11)] {
            let mut sliced = pieces(&mut slice(size, variation, 0), &[(millis(0), 10_000)]);
            sliced.pop();
            let sizes = || sliced.iter().map(|(_, size)| *size);
            assert_eq!((sizes().min(), sizes().max()), (Some(least), Some(most)));
        }
    }
}
