//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

/// How many bytes a direction reads each time that it is polled. The read that exceeds this is the last one.
const BYTES: usize = 1024 * 1024;

/// What a read costs beside its bytes: there are eight at most.
const READ: usize = BYTES / 8;

/// How long a direction reads, from the end of its first read. The read that exceeds this is the last one.
const TIME: Duration = Duration::from_millis(1);

/// What the direction that is being polled may still read.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    bytes: usize,
    ends: Option<Instant>,
    is_all: bool,
}

impl Budget {
    /// A direction, or a task that has only one, is polled.
    pub(crate) fn begin(&self) {
        *self.spent() = Spent::default();
    }

    /// Ready until all is spent. Then the runtime looks for timers and ready sockets before it polls the task again.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.spent().is_all { pin!(yield_now()).poll(cx) } else { Poll::Ready(()) }
    }

    /// A read brought so many bytes.
    pub(crate) fn spend(&self, bytes: usize) {
        let (mut spent, now) = (self.spent(), Instant::now());
        spent.bytes += READ + bytes;
        let ends = *spent.ends.get_or_insert(now + TIME);
        spent.is_all = spent.bytes >= BYTES || now >= ends;
    }

    /// One task uses it, so nobody ever waits for the lock.
    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        for (bytes, reads) in [(0, 8), (1, 8), (128 * 1024, 4), (256 * 1024, 3), (512 * 1024, 2)] {
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
        budget.spend(1);
        tokio::time::advance(TIME / 2).await;
        budget.spend(1);
        assert!(is_left(&budget));
        tokio::time::advance(TIME / 2).await;
        budget.spend(1);
        assert!(!is_left(&budget));
    }
}
