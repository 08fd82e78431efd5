//! Flips bits.

use bytes::{Bytes, BytesMut};
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next};
use crate::rng::unit;

/// Flips one random bit in some of the bytes. Pieces without one of them are not copied.
#[derive(Debug)]
pub(crate) struct Corrupt {
    positions: Positions,
    /// How many of its bits may flip, from the lowest on.
    bits: u32,
    /// How many bytes have passed.
    passed: u64,
    has_altered: bool,
}

/// Positions bytes, as offsets from the first that has passed.
#[derive(Debug)]
enum Positions {
    /// In order; those at the front have not passed yet.
    Offsets(std::iter::Peekable<std::vec::IntoIter<u64>>),
    /// Each with this probability. `next` is the next one, once it has been drawn.
    Random { probability: f64, next: Option<u64> },
}

impl Corrupt {
    /// The bytes at these offsets.
    pub(crate) fn at(mut offsets: Vec<u64>) -> Self {
        offsets.sort_unstable();
        // Flipped twice, a byte might be what it was.
        offsets.dedup();
        Self { positions: Positions::Offsets(offsets.into_iter().peekable()), bits: 8, passed: 0, has_altered: false }
    }

    /// The lowest bit of the bytes at these offsets, which are text of a line: no byte becomes a line end, and digits stay digits.
    pub(crate) fn in_line(offsets: Vec<u64>) -> Self {
        Self { bits: 1, ..Self::at(offsets) }
    }

    /// Each byte with this probability, 0 to 1.
    pub(crate) fn with(probability: f64) -> Self {
        Self { positions: Positions::Random { probability, next: None }, bits: 8, passed: 0, has_altered: false }
    }
}

impl Positions {
    /// Takes the next offset if it lies before `end`.
    fn next_before(&mut self, end: u64, from: u64, random: &mut ChaCha8Rng) -> Option<u64> {
        match self {
            Self::Offsets(offsets) => offsets.next_if(|offset| *offset < end),
            Self::Random { probability, next } => {
                let offset = *next.get_or_insert_with(|| from.saturating_add(gap(*probability, random)));
                (offset < end).then(|| {
                    *next = Some((offset + 1).saturating_add(gap(*probability, random)));
                    offset
                })
            }
        }
    }
}

/// How many bytes pass unaltered before the next: one draw in place of one for each.
fn gap(probability: f64, random: &mut ChaCha8Rng) -> u64 {
    if probability <= 0.0 {
        return u64::MAX;
    }
    let gap = (1.0 - unit(random)).ln() / (-probability.min(1.0)).ln_1p();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the largest number")]
    let gap = gap as u64;
    gap
}

impl ByteFault for Corrupt {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next {
        let mut piece = std::mem::take(bytes);
        let begin = self.passed;
        let end = begin + piece.len() as u64;
        if let Some(first) = self.positions.next_before(end, begin, random) {
            self.has_altered = true;
            let mut changed = piece.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            let mut next = Some(first);
            while let Some(offset) = next {
                let bit = random.next_u32() % self.bits;
                if let Some(byte) = usize::try_from(offset - begin).ok().and_then(|at| changed.get_mut(at)) {
                    *byte ^= 1 << bit;
                    if self.bits == 1 && matches!(*byte, b'\r' | b'\n') {
                        // The next bit in place of the lowest.
                        *byte ^= 3;
                    }
                }
                next = self.positions.next_before(end, begin, random);
            }
            piece = changed.freeze();
        }
        self.passed = end;
        Next::Piece(piece, arrived)
    }

    fn has_altered(&self) -> bool {
        self.has_altered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::random;

    /// What becomes of so many zeros, in chunks of 1000.
    fn corrupted(fault: &mut Corrupt, len: usize) -> Vec<u8> {
        let (mut random, now) = (random(1), Instant::now());
        let mut all = Vec::new();
        for chunk in vec![0; len].chunks(1000) {
            let mut bytes = Bytes::copy_from_slice(chunk);
            let Next::Piece(piece, _) = fault.next(&mut bytes, now, &mut random) else { panic!("it passes all") };
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn one_bit_flips_at_each_offset() {
        let all = corrupted(&mut Corrupt::at(vec![5, 0, 5, 1999, 1000, 2000]), 2000);
        let changed: Vec<usize> = (0..all.len()).filter(|at| all[*at] != 0).collect();
        assert_eq!(changed, [0, 5, 1000, 1999]);
        assert!(changed.iter().all(|at| all[*at].is_power_of_two()));
    }

    #[test]
    fn text_of_a_line_stays_in_its_line() {
        let (mut fault, mut text) = (Corrupt::in_line((0..10).collect()), Bytes::from_static(b"0123456789"));
        let Next::Piece(piece, _) = fault.next(&mut text, Instant::now(), &mut random(1)) else {
            panic!("it passes all")
        };
        assert_eq!(piece, "1032547698");
    }

    #[test]
    fn no_byte_of_a_line_becomes_its_end() {
        let (mut fault, mut text) = (Corrupt::in_line(vec![0, 1]), Bytes::from_static(b"\x0b\x0c"));
        let next = fault.next(&mut text, Instant::now(), &mut random(1));
        let Next::Piece(piece, _) = next else { panic!("it passes all") };
        assert_eq!(&piece[..], b"\x09\x0e");
    }

    #[test]
    fn each_byte_has_its_probability() {
        for (probability, least, most) in
            [(0.0, 0, 0), (0.001, 60, 140), (0.1, 9_700, 10_300), (0.9, 89_000, 91_000), (1.0, 100_000, 100_000)]
        {
            let all = corrupted(&mut Corrupt::with(probability), 100_000);
            let changed = all.iter().filter(|byte| byte.is_power_of_two()).count();
            assert!((least..=most).contains(&changed), "{probability}: {changed}");
            assert!(all.iter().all(|byte| byte.count_ones() <= 1));
        }
    }

    #[test]
    fn what_is_not_changed_is_not_copied() {
        let bytes = Bytes::from(vec![0; 100]);
        let mut fault = Corrupt::at(vec![150]);
        for copied in [false, true] {
            let Next::Piece(piece, _) = fault.next(&mut bytes.clone(), Instant::now(), &mut random(1)) else {
                panic!("it passes all")
            };
            assert_eq!(piece.as_ptr() != bytes.as_ptr(), copied);
        }
    }
}
