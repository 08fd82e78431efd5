//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

/// What is read in a turn, in bytes. The read that exceeds this is the last one.
const BYTES: usize = 1024 * 1024;

/// What a read costs beside its bytes: a turn has eight at most.
const READ: usize = BYTES / 8;

/// How long a turn takes from the end of its first read. The read that exceeds this is the last one.
const TIME: Duration = Duration::from_millis(1);

/// The turn of the direction that is being polled.
#[derive(Debug, Default)]
pub(crate) struct Turn(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    bytes: usize,
    ends: Option<Instant>,
    is_over: bool,
}

impl Turn {
    /// A direction, or a task that has only one, is polled.
    pub(crate) fn begin(&self) {
        *self.spent() = Spent::default();
    }

    /// Ready while the turn lasts. After it the runtime looks for timers and ready sockets before it polls the task again.
    pub(crate) fn poll_lasts(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.spent().is_over { pin!(yield_now()).poll(cx) } else { Poll::Ready(()) }
    }

    /// Notes a read of `bytes`.
    pub(crate) fn read(&self, bytes: usize) {
        let (mut spent, now) = (self.spent(), Instant::now());
        spent.bytes += READ + bytes;
        let ends = *spent.ends.get_or_insert(now + TIME);
        spent.is_over = spent.bytes >= BYTES || now >= ends;
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

    fn lasts(turn: &Turn) -> bool {
        turn.poll_lasts(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_after_eight_reads_or_enough_bytes() {
        for (bytes, reads) in [(0, 8), (1, 8), (128 * 1024, 4), (256 * 1024, 3), (512 * 1024, 2)] {
            let turn = Turn::default();
            for _ in 0..reads {
                assert!(lasts(&turn), "{bytes}");
                turn.read(bytes);
            }
            assert!(!lasts(&turn), "{bytes}");
            turn.begin();
            assert!(lasts(&turn), "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_ends_after_its_time() {
        let turn = Turn::default();
        tokio::time::advance(TIME).await;
        turn.read(1);
        tokio::time::advance(TIME / 2).await;
        turn.read(1);
        assert!(lasts(&turn));
        tokio::time::advance(TIME / 2).await;
        turn.read(1);
        assert!(!lasts(&turn));
    }
}
