//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

/// How many bytes a direction reads each time that it is polled. The read that exceeds this is the last one.
const BYTES: usize = 4 * 1024 * 1024;

/// What a read costs beside its bytes: there are eight at most.
const READ: usize = BYTES / 8;

/// How long a direction reads, from the end of its first large read. The large read that exceeds this is the last one.
const TIME: Duration = Duration::from_millis(1);

/// From this size on a read is large, in bytes: reading the clock for each small one would show.
const LARGE: usize = 16 * 1024;

/// What the direction that is being polled has read. One task uses it, so nobody ever waits for the lock.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: AtomicUsize,
    ends: Mutex<Option<Instant>>,
}

impl Budget {
    /// A direction, or a task that has only one, is polled.
    pub(crate) fn begin(&self) {
        if self.spent.load(Ordering::Relaxed) > 0 {
            self.spent.store(0, Ordering::Relaxed);
            *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Ready until all is spent. Then the runtime looks for timers and ready sockets before it polls the task again.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.spent.load(Ordering::Relaxed) < BYTES { Poll::Ready(()) } else { pin!(yield_now()).poll(cx) }
    }

    /// A read brought so many bytes.
    pub(crate) fn spend(&self, bytes: usize) {
        let mut spent = self.spent.load(Ordering::Relaxed) + READ + bytes;
        if bytes >= LARGE {
            let now = Instant::now();
            let ends = *self.ends.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now + TIME);
            if now >= ends {
                spent = BYTES;
            }
        }
        self.spent.store(spent, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_left(budget: &Budget) -> bool {
        budget.poll_left(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_after_eight_reads_or_enough_bytes() {
        for (bytes, reads) in [(0, 8), (1, 8), (128 * 1024, 7), (256 * 1024, 6), (512 * 1024, 4)] {
            let budget = Budget::default();
            for _ in 0..reads {
                assert!(is_left(&budget), "{bytes}");
                budget.spend(bytes);
            }
            assert!(!is_left(&budget), "{bytes}");
            budget.begin();
            assert!(is_left(&budget), "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_after_some_time() {
        let budget = Budget::default();
        tokio::time::advance(TIME).await;
        budget.spend(LARGE);
        tokio::time::advance(TIME / 2).await;
        budget.spend(LARGE);
        assert!(is_left(&budget));
        tokio::time::advance(TIME / 2).await;
        budget.spend(LARGE);
        assert!(!is_left(&budget));
    }
}
