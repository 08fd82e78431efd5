//! Histograms of durations.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::workers::PerWorker;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

/// For delays by handlers, in nanoseconds: from the shortest noticeable delay to the longest that clients tolerate.
#[rustfmt::skip]
pub(crate) const DELAY: &[u64] = &[
    MS, 2_500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
    S, 2_500 * MS, 5 * S, 10 * S, 30 * S, 60 * S,
];

/// For dials, in nanoseconds: from a dial on the same machine to beyond the default connect timeout (10 s).
#[rustfmt::skip]
pub(crate) const DIAL: &[u64] = &[
    50 * US, 100 * US, 250 * US, 500 * US, MS, 2_500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
    S, 2_500 * MS, 5 * S, 10 * S,
];

/// For passing a read on, in nanoseconds: from the cost of passing bytes on to that on an overloaded machine.
#[rustfmt::skip]
pub(crate) const PASS: &[u64] = &[
    US, 2_500, 5 * US, 10 * US, 25 * US, 50 * US, 100 * US, 250 * US, 500 * US,
    MS, 2_500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
];

/// Counts durations in buckets, without locks. Workers count for themselves.
pub(crate) struct Histogram {
    /// The inclusive upper bounds of the buckets, in nanoseconds, ascending.
    bounds: &'static [u64],
    counts: PerWorker<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// One for each bound, and one for everything longer.
    buckets: Box<[AtomicU64]>,
    /// The sum of all durations.
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// With one of the bounds above.
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        let buckets = || (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts: PerWorker::new(|| Counts { buckets: buckets(), nanoseconds: AtomicU64::new(0) }) }
    }

    /// Counts one duration.
    pub(crate) fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|&bound| bound < nanoseconds);
        let counts = self.counts.own();
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counts.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The inclusive upper bound of each bucket in seconds with its count, and the sum of all durations in seconds.
    pub(crate) fn load(&self) -> (Vec<(f64, u64)>, f64) {
        let bounds = self.bounds.iter().map(|&bound| seconds(bound)).chain([f64::INFINITY]);
        let sum = |of: &dyn Fn(&Counts) -> u64| self.counts.all().map(of).fold(0, u64::wrapping_add);
        let buckets = (0..=self.bounds.len()).map(|at| sum(&|counts| counts.buckets[at].load(Ordering::Relaxed)));
        (bounds.zip(buckets).collect(), seconds(sum(&|counts| counts.nanoseconds.load(Ordering::Relaxed))))
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.load().0).finish_non_exhaustive()
    }
}

#[expect(clippy::cast_precision_loss, reason = "only sums over 104 days lose nanoseconds")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / S as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram.load().0.into_iter().map(|(_, count)| count).collect()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for bounds in [DELAY, DIAL, PASS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
            let histogram = Histogram::new(bounds);
            for &bound in bounds {
                histogram.add(Duration::from_nanos(bound));
            }
            let mut expected = vec![1; bounds.len()];
            expected.push(0);
            assert_eq!(counts(&histogram), expected);
            for &bound in bounds {
                histogram.add(Duration::from_nanos(bound + 1));
            }
            expected = vec![2; bounds.len()];
            (expected[0], expected[bounds.len() - 1]) = (1, 2);
            expected.push(1);
            assert_eq!(counts(&histogram), expected);
        }
    }

    #[test]
    fn the_longest_time_is_counted() {
        let histogram = Histogram::new(PASS);
        histogram.add(Duration::MAX);
        assert_eq!(counts(&histogram).last(), Some(&1));
    }
}
