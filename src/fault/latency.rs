//! Late by a time.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next, after, in_order, up_to};

/// Delays bytes by `time`, give or take up to `jitter`. Bytes that arrive together leave together, and none overtake others.
#[derive(Debug)]
pub(crate) struct Latency {
    time: Duration,
    jitter: Duration,
    previous: Option<Instant>,
}

impl Latency {
    pub(crate) fn new(time: Duration, jitter: Duration) -> Self {
        Self { time, jitter, previous: None }
    }

    fn draw(&self, random: &mut ChaCha8Rng) -> Duration {
        if self.jitter.is_zero() {
            return self.time;
        }
        let jitter = u64::try_from(self.jitter.as_nanos()).map_or(u64::MAX / 2, |jitter| jitter.min(u64::MAX / 2));
        let drawn = up_to(random, jitter * 2);
        if drawn < jitter {
            self.time.saturating_sub(Duration::from_nanos(jitter - drawn))
        } else {
            self.time.saturating_add(Duration::from_nanos(drawn - jitter))
        }
    }
}

impl ByteFault for Latency {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next {
        let due = after(arrived, self.draw(random));
        Next::Piece(std::mem::take(bytes), in_order(&mut self.previous, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FAR;
    use crate::fault::tests::{pieces, random};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn bytes_are_late_by_the_latency() {
        let mut latency = Latency::new(SECOND, Duration::ZERO);
        let times = [0, 300, 5000].map(Duration::from_millis);
        let late = pieces(&mut latency, &times.map(|at| (at, 10)));
        assert_eq!(late, times.map(|at| (at + SECOND, 10)));
    }

    #[test]
    fn jitter_goes_both_ways_and_not_below_nothing() {
        for (latency, jitter, least, most) in [(100, 20, 80, 120), (10, 20, 0, 30)] {
            let mut times = Vec::new();
            for _ in 0..2000 {
                let latency = Latency::new(Duration::from_millis(latency), Duration::from_millis(jitter));
                times.push(latency.draw(&mut random(u64::try_from(times.len()).unwrap())).as_secs_f64() * 1000.0);
            }
            times.sort_by(f64::total_cmp);
            let near = |time: f64, expected: u32| (time - f64::from(expected)).abs() < 1.0;
            assert!(near(times[0], least) && near(times[1999], most), "{} {}", times[0], times[1999]);
            assert!((times[1000] - f64::from(u32::try_from(latency).unwrap())).abs() < 2.0, "{}", times[1000]);
        }
    }

    #[test]
    fn no_bytes_overtake_others() {
        let mut latency = Latency::new(SECOND, SECOND);
        let arrivals: Vec<_> = (0..1000).map(|at| (Duration::from_millis(at), 1)).collect();
        let late = pieces(&mut latency, &arrivals);
        assert!(late.is_sorted());
    }

    #[test]
    fn the_longest_latency_is_for_ever() {
        for jitter in [Duration::ZERO, SECOND, Duration::MAX] {
            let late = pieces(&mut Latency::new(Duration::MAX, jitter), &[(SECOND, 1), (SECOND, 1)]);
            assert!(late.iter().all(|(due, _)| *due > FAR), "{jitter:?}");
        }
    }
}
