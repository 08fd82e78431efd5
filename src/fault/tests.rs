//! What holds for any bytes at any times, and what the other tests use.

mod run; // a chain over time

use std::num::{NonZeroU64, NonZeroUsize};

use bytes::Buf;
use proptest::prelude::*;
use rand::SeedableRng;

use self::run::Run;
use super::*;

/// The clock begins when the first chunk arrives.
pub(super) type Timed<T> = Vec<(Duration, T)>;

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(super) fn latency(time: u64) -> Box<dyn ByteFault> {
    Box::new(Latency::new(millis(time), Duration::ZERO))
}

/// When each piece of these chunks is due, and how long it is.
pub(super) fn pieces(fault: &mut impl ByteFault, chunks: &[(Duration, usize)]) -> Timed<usize> {
    let (mut random, begun) = (random(1), Instant::now());
    let mut pieces = Vec::new();
    for (at, len) in chunks {
        let mut bytes = Bytes::from(vec![0; *len]);
        while !bytes.is_empty() {
            let Next::Piece(piece, due) = fault.next(&mut bytes, begun + *at, &mut random) else {
                panic!("it passes all")
            };
            pieces.push((due - begun, piece.len()));
        }
    }
    pieces
}

/// All that can be written.
pub(super) fn read(chain: &mut Chain) -> Vec<u8> {
    let len = chain.output().remaining();
    chain.output().copy_to_bytes(len).to_vec()
}

/// When each byte arrived or left.
fn times(chunks: &Timed<Vec<u8>>) -> Vec<Duration> {
    chunks.iter().flat_map(|(at, bytes)| bytes.iter().map(|_| *at)).collect()
}

fn all_bytes(chunks: &Timed<Vec<u8>>) -> Vec<u8> {
    chunks.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// A fault that loses no bytes.
#[derive(Debug, Clone)]
enum Harmless {
    Latency { latency: u64, jitter: u64 },
    Rate { rate: u64, first: u64 },
    Slice { size: usize, variation: usize, delay: u64 },
    Lossy { probability: f64, time: u64 },
}

impl Harmless {
    fn fault(&self) -> Box<dyn ByteFault> {
        match *self {
            Self::Latency { latency, jitter } => Box::new(Latency::new(millis(latency), millis(jitter))),
            Self::Rate { rate, first } => Box::new(RateLimit::new(NonZeroU64::new(rate).unwrap(), first)),
            Self::Slice { size, variation, delay } => {
                Box::new(Slice::new(NonZeroUsize::new(size).unwrap(), variation, Duration::from_micros(delay)))
            }
            Self::Lossy { probability, time } => Box::new(Stall::with(probability, millis(time))),
        }
    }
}

fn harmless() -> impl Strategy<Value = Harmless> {
    prop_oneof![
        (0..200_u64, 0..200_u64).prop_map(|(latency, jitter)| Harmless::Latency { latency, jitter }),
        (100..1_000_000_u64, 0..200_u64).prop_map(|(rate, first)| Harmless::Rate { rate, first }),
        (1..200_usize, 0..200_usize, 0..5000_u64).prop_map(|(size, variation, delay)| Harmless::Slice {
            size,
            variation,
            delay
        }),
        (0.0..1.0, 0..300_u64).prop_map(|(probability, time)| Harmless::Lossy { probability, time }),
    ]
}

fn faults(of: &[Harmless]) -> Vec<Box<dyn ByteFault>> {
    of.iter().map(Harmless::fault).collect()
}

/// Chunks of random bytes, some of which arrive together.
fn chunks() -> impl Strategy<Value = Timed<Vec<u8>>> {
    let gap = prop_oneof![Just(0), 0..20_u64, 0..500_u64];
    let len = prop_oneof![1..10_usize, 1..100_usize, 1..4000_usize];
    prop::collection::vec((gap, len), 0..8).prop_map(|chunks| {
        let (mut now, mut stream) = (0, (0..251).cycle());
        let mut chunk = |(gap, len)| {
            now += gap;
            (millis(now), stream.by_ref().take(len).collect())
        };
        chunks.into_iter().map(&mut chunk).collect()
    })
}

fn extra() -> impl Strategy<Value = Vec<Duration>> {
    prop::collection::vec((0..3_000_000_u64).prop_map(Duration::from_micros), 0..20)
}

/// No files of seeds: a failure that is found becomes a unit test.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Nothing is lost or stuck, and nothing is early.
    #[test]
    fn what_goes_in_comes_out(of in prop::collection::vec(harmless(), 0..4), chunks in chunks(), seed: u64) {
        let run = Run::of(faults(&of), &chunks, &[], seed);
        prop_assert!(run.bytes() == all_bytes(&chunks));
        prop_assert_eq!((run.left, run.ended, run.dropped), (0, None, false));
        let least: u64 = of.iter().map(|fault| match fault {
            Harmless::Latency { latency, jitter } => latency.saturating_sub(*jitter),
            _ => 0,
        }).sum();
        for (left, arrived) in times(&run.out).into_iter().zip(times(&chunks)) {
            prop_assert!(left >= arrived + millis(least));
        }
    }

    /// The seed alone decides, not how often somebody asks.
    #[test]
    fn extra_questions_change_nothing(
        of in prop::collection::vec(harmless(), 0..4), chunks in chunks(), extra in extra(), seed: u64,
    ) {
        let (run, again) = (Run::of(faults(&of), &chunks, &[], seed), Run::of(faults(&of), &chunks, &extra, seed));
        prop_assert!(run.out == again.out);
    }

    /// Somebody who comes late gets all that is due, and nothing else is late for that.
    #[test]
    fn late_questions_delay_nothing_else(
        of in prop::collection::vec(harmless(), 1..4), chunks in chunks(), late in 0..3000_u64, seed: u64,
    ) {
        let expected = Run::of(faults(&of), &chunks, &[], seed);
        let (mut chain, begun) = (Chain::new(faults(&of), random(seed)), Instant::now());
        for (at, chunk) in &chunks {
            chain.push(chunk.clone().into(), begun + *at);
        }
        // All chunks have arrived.
        let now = millis(late) + chunks.last().map_or(Duration::ZERO, |(at, _)| *at);
        let next = chain.advance(begun + now);
        let due = times(&expected.out);
        prop_assert_eq!(read(&mut chain).len(), due.iter().filter(|due| **due <= now).count());
        // The next question need not bring a byte, but none is due before.
        let next_byte = due.into_iter().find(|due| *due > now);
        prop_assert_eq!(next.is_some(), next_byte.is_some());
        prop_assert!(next.zip(next_byte).is_none_or(|(next, byte)| next <= begun + byte));
    }

    #[test]
    fn latency_alone_is_exact(latencies in prop::collection::vec(0..500_u64, 1..4), chunks in chunks()) {
        let run = Run::of(latencies.iter().copied().map(latency).collect(), &chunks, &[], 1);
        let late = millis(latencies.iter().sum());
        let expected: Vec<_> = times(&chunks).into_iter().map(|at| at + late).collect();
        prop_assert_eq!(times(&run.out), expected);
    }

    /// A model with a time for each byte, in place of pieces.
    #[test]
    fn a_rate_is_kept(rate in 100..100_000_u32, first in 0..500_u64, chunks in chunks()) {
        let limit = RateLimit::new(NonZeroU64::new(rate.into()).unwrap(), first);
        let left = times(&Run::of(vec![Box::new(limit)], &chunks, &[], 1).out);
        let (byte, piece) = (1.0 / f64::from(rate), f64::from((rate / 100).max(1)) / f64::from(rate));
        let mut free = 0.0_f64;
        for (number, (left, arrived)) in left.iter().zip(times(&chunks)).enumerate() {
            let arrived = arrived.as_secs_f64();
            let due = if (number as u64) < first { arrived } else { free.max(arrived) + byte };
            free = due;
            let late = left.as_secs_f64() - due;
            prop_assert!((-1e-6..piece + 1e-6).contains(&late), "byte {number} is {late} s late");
        }
    }

    #[test]
    fn a_backlog_is_served_at_the_rate(rate in 1..1_000_000_000_u32, bytes in 1..2_000_000_u32) {
        let mut limit = RateLimit::new(NonZeroU64::new(rate.into()).unwrap(), 0);
        // Few pieces make the test quick.
        let bytes = bytes.min(rate.saturating_mul(20));
        let pieces = pieces(&mut limit, &[(Duration::ZERO, usize::try_from(bytes).unwrap())]);
        let (took, expected) = (pieces.last().unwrap().0.as_secs_f64(), f64::from(bytes) / f64::from(rate));
        prop_assert!((0.0..2e-9).contains(&(took - expected + 1e-9)), "{took} {expected}");
    }

    #[test]
    fn a_limit_is_exact(
        of in prop::collection::vec(harmless(), 0..3), at in 0..3_usize, limit in 0..5000_usize, chunks in chunks(), seed: u64,
    ) {
        let mut faults = faults(&of);
        faults.insert(at.min(of.len()), Box::new(Limit::new(limit as u64, End::Close)));
        let (run, all) = (Run::of(faults, &chunks, &[], seed), all_bytes(&chunks));
        prop_assert!(run.bytes() == all[..limit.min(all.len())]);
        let expected = (all.len() >= limit.max(1)).then_some(StreamEnd::Cut(End::Close));
        prop_assert_eq!((run.ended, run.left), (expected, 0));
    }

    #[test]
    fn only_the_asked_bytes_are_corrupt(
        of in prop::collection::vec(harmless(), 0..3), offsets in prop::collection::vec(0..8000_u64, 0..20),
        chunks in chunks(), seed: u64,
    ) {
        let mut faults = faults(&of);
        faults.push(Box::new(Corrupt::at(offsets.clone())));
        let (out, all) = (Run::of(faults, &chunks, &[], seed).bytes(), all_bytes(&chunks));
        prop_assert_eq!(out.len(), all.len());
        for (offset, (out, byte)) in out.iter().zip(&all).enumerate() {
            let flipped = u32::from(offsets.contains(&(offset as u64)));
            prop_assert_eq!((out ^ byte).count_ones(), flipped, "{}", offset);
        }
    }

    #[test]
    fn corruption_is_the_same_however_bytes_are_cut(size in 1..50_usize, chunks in chunks(), seed: u64) {
        let corrupted = |size: usize| {
            let (mut fault, mut random) = (Corrupt::with(0.05), random(seed));
            let mut out = Vec::new();
            for piece in all_bytes(&chunks).chunks(size) {
                let Next::Piece(piece, _) = fault.next(&mut piece.to_vec().into(), Instant::now(), &mut random) else {
                    panic!("it passes all")
                };
                out.extend_from_slice(&piece);
            }
            out
        };
        prop_assert!(corrupted(size) == corrupted(usize::MAX));
    }

    #[test]
    fn what_is_stalled_for_ever_never_comes(of in prop::collection::vec(harmless(), 0..3), chunks in chunks(), seed: u64) {
        let mut faults = faults(&of);
        faults.push(Box::new(Stall::for_ever()));
        let run = Run::of(faults, &chunks, &[], seed);
        prop_assert_eq!((run.out.len(), run.left, run.ended), (0, all_bytes(&chunks).len(), None));
    }
}
