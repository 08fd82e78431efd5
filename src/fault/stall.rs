//! Held back, for a time or for ever.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next, after, in_order};
use crate::rng::unit;

/// What a packet on an Ethernet carries, in bytes.
const SEGMENT: usize = 1460;

/// Holds bytes back.
#[derive(Debug)]
pub(crate) enum Stall {
    /// All of them.
    ForEver,
    /// From each segment that is lost on.
    Lossy(Lossy),
}

/// A link that loses segments, whose retransmission takes a time.
#[derive(Debug)]
pub(crate) struct Lossy {
    probability: f64,
    /// How much it matters whether the segment before was lost: 0 not at all, 1 alone.
    correlation: f64,
    time: Duration,
    /// The latest segment that has been drawn is lost.
    is_lost: bool,
    /// And that segment is next.
    is_drawn: bool,
    previous: Option<Instant>,
}

impl Stall {
    /// Nothing leaves.
    pub(crate) fn for_ever() -> Self {
        Self::ForEver
    }

    /// Each segment of 1460 bytes is lost with this probability, 0 to 1. It leaves `time` late, as its retransmission would,
    /// and what is behind it not earlier.
    pub(crate) fn with(probability: f64, time: Duration) -> Self {
        Self::correlated(probability, 0.0, time)
    }

    /// The same, where losses come in bursts: behind a segment that is lost another is more probable by `correlation`, 0 to 1, of
    /// what is missing to 1, and behind one that is not less by the same part. So as many are lost as without.
    pub(crate) fn correlated(probability: f64, correlation: f64, time: Duration) -> Self {
        Self::Lossy(Lossy { probability, correlation, time, is_lost: false, is_drawn: false, previous: None })
    }
}

impl Lossy {
    /// Whether another segment is lost.
    fn draw(&mut self, random: &mut ChaCha8Rng) -> bool {
        let of_before = if self.is_lost { self.correlation } else { 0.0 };
        self.is_lost = unit(random) < self.probability * (1.0 - self.correlation) + of_before;
        self.is_lost
    }

    /// The first segment, and those behind it up to the next one that is lost.
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next {
        let first_is_lost = if std::mem::take(&mut self.is_drawn) { self.is_lost } else { self.draw(random) };
        let mut len = SEGMENT;
        while len < bytes.len() && !self.is_drawn {
            self.is_drawn = self.draw(random);
            if !self.is_drawn {
                len += SEGMENT;
            }
        }
        let piece = bytes.split_to(len.min(bytes.len()));
        let due = if first_is_lost { after(arrived, self.time) } else { arrived };
        Next::Piece(piece, in_order(&mut self.previous, due))
    }
}

impl ByteFault for Stall {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next {
        match self {
            Self::ForEver => Next::Hold,
            Self::Lossy(lossy) => lossy.next(bytes, arrived, random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::tests::pieces;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_is_lost_is_late_and_what_is_behind_it_waits() {
        let never = pieces(&mut Stall::with(0.0, millis(200)), &[(millis(1), 100_000), (millis(2), 1)]);
        assert_eq!(never, [(millis(1), 100_000), (millis(2), 1)]);
        let always = pieces(&mut Stall::with(1.0, millis(200)), &[(millis(1), 1500), (millis(2), 1)]);
        assert_eq!(always, [(millis(201), 1460), (millis(201), 40), (millis(202), 1)]);
        // Small chunks, so that some are behind a lost one.
        let chunks: Vec<_> = (0..1000).map(|at| (millis(at), 1)).collect();
        let some = pieces(&mut Stall::with(0.01, millis(20)), &chunks);
        let late = |by: u64| (0..1000).filter(|at| some[*at].0 == chunks[*at].0 + millis(by)).count();
        assert!((1..30).contains(&late(20)), "{}", late(20));
        assert!(late(19) > 0 && late(1) > 0 && late(0) > 500);
    }

    #[test]
    fn losses_come_in_bursts_and_are_as_many() {
        let chunks: Vec<_> = (0..100_000).map(|at| (Duration::from_secs(at), SEGMENT)).collect();
        for (correlation, behind) in [(0.0, 0.1), (0.5, 0.55), (0.9, 0.91)] {
            let mut lossy = Stall::correlated(0.1, correlation, millis(200));
            let late: Vec<bool> =
                pieces(&mut lossy, &chunks).iter().map(|(due, _)| due.subsec_millis() == 200).collect();
            let part = |of: &dyn Fn(usize) -> bool| {
                let all: Vec<usize> = (1..late.len()).filter(|at| of(*at)).collect();
                let lost = all.iter().filter(|at| late[**at]).count();
                f64::from(u32::try_from(lost).unwrap()) / f64::from(u32::try_from(all.len()).unwrap())
            };
            let (all, behind_a_loss) = (part(&|_| true), part(&|at| late[at - 1]));
            assert!((all - 0.1).abs() < 0.015, "{correlation}: {all}");
            assert!((behind_a_loss - behind).abs() < 0.03, "{correlation}: {behind_a_loss}");
        }
    }

    #[test]
    fn each_segment_has_its_probability() {
        let many = pieces(&mut Stall::with(0.1, millis(200)), &[(millis(0), 10_000 * SEGMENT)]);
        assert!((900..1100).contains(&many.len()), "{}", many.len());
        // Each begins with a lost segment, but perhaps the first.
        assert!(many[1..].iter().all(|(due, _)| *due == millis(200)));
    }
}
