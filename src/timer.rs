//! Waiting for a time that a person asked for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The runtime rounds a timer up to a tick, and then the time until that tick up to another.
const TICK: Duration = Duration::from_millis(1);

/// A timer that is set this late ends with the next tick; set to now, it may end at once.
const NEXT_TICK: Duration = Duration::from_nanos(1);

/// Waits for at least `duration`, and for less than a tick more. Nothing is no wait.
pub(crate) async fn sleep(duration: Duration) {
    let begun = Instant::now();
    let Some(end) = begun.checked_add(duration) else { return std::future::pending().await };
    // Set a tick early, and again while that was too early.
    let mut timer = begun + duration.saturating_sub(TICK).max(NEXT_TICK);
    let mut now = begun;
    while now < end {
        sleep_until(timer).await;
        now = Instant::now();
        timer = now + NEXT_TICK;
    }
}

/// Waits for one time after the other, each as exactly as [`sleep`].
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// With the time that it is for.
    sleep: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl Timer {
    /// Ready at `end`, and less than a tick later.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, end: Instant) -> Poll<()> {
        loop {
            let now = Instant::now();
            if now >= end {
                return Poll::Ready(());
            }
            let set_for = end.checked_sub(TICK).map_or(end, |early| early.max(now + NEXT_TICK));
            let (sleep, known) = self.sleep.get_or_insert_with(|| (Box::pin(sleep_until(set_for)), end));
            if *known != end || sleep.is_elapsed() {
                sleep.as_mut().reset(set_for);
                *known = end;
            }
            ready!(sleep.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_no_wait() {
        // Between two ticks of the runtime.
        tokio::time::advance(Duration::from_micros(500)).await;
        let begun = tokio::time::Instant::now();
        sleep(Duration::ZERO).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_not_early_and_ends_with_the_next_tick() {
        for micros in [1, 250, 999, 1000, 1001, 2500, 1_000_000] {
            for after_tick in [0, 300] {
                tokio::time::advance(Duration::from_micros(after_tick)).await;
                let (begun, wait) = (tokio::time::Instant::now(), Duration::from_micros(micros));
                sleep(wait).await;
                let late = begun.elapsed().checked_sub(wait).expect("it is early");
                assert!(late <= Duration::from_millis(1), "{wait:?} {late:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_is_for_ever() {
        let long = tokio::time::timeout(Duration::from_secs(3600), sleep(Duration::MAX)).await;
        assert!(long.is_err());
    }

    #[tokio::test]
    async fn a_wait_is_late_by_little() {
        for wait in [Duration::from_millis(1), Duration::from_millis(3)] {
            let mut late = Vec::new();
            for number in 0..101 {
                // Anywhere between two ticks.
                std::thread::sleep(Duration::from_micros(number * 10));
                let begun = Instant::now();
                sleep(wait).await;
                late.push(begun.elapsed().checked_sub(wait).expect("it is early"));
            }
            late.sort();
            // Most of them may be late because others have the processor.
            assert!(late[10] <= Duration::from_micros(1200), "{wait:?}: {:?} at p10", late[10]);
        }
    }
}
