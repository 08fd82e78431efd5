//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::cell::Cell;
use std::pin::pin;
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

thread_local! {
    /// What the direction has read that this thread polls.
    static SPENT: Cell<Spent> = const { Cell::new(Spent { bytes: 0, ends: None }) };
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    bytes: usize,
    /// When its time is over.
    ends: Option<Instant>,
}

/// A direction, or a task that has only one, is polled.
pub(crate) fn begin() {
    SPENT.set(Spent { bytes: 0, ends: None });
}

/// Ready until all is spent. Then the runtime looks for timers and ready sockets before it polls the task again.
pub(crate) fn poll_left(cx: &mut Context<'_>) -> Poll<()> {
    if SPENT.get().bytes < BYTES { Poll::Ready(()) } else { pin!(yield_now()).poll(cx) }
}

/// A read brought so many bytes.
pub(crate) fn spend(bytes: usize) {
    let mut spent = SPENT.get();
    spent.bytes += READ + bytes;
    if bytes >= LARGE {
        let now = Instant::now();
        if now >= *spent.ends.get_or_insert(now + TIME) {
            spent.bytes = BYTES;
        }
    }
    SPENT.set(spent);
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_left() -> bool {
        poll_left(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_after_eight_reads_or_enough_bytes() {
        for (bytes, reads) in [(0, 8), (1, 8), (128 * 1024, 7), (256 * 1024, 6), (512 * 1024, 4)] {
            begin();
            for _ in 0..reads {
                assert!(is_left(), "{bytes}");
                spend(bytes);
            }
            assert!(!is_left(), "{bytes}");
            begin();
            assert!(is_left(), "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_after_some_time() {
        begin();
        tokio::time::advance(TIME).await;
        spend(LARGE);
        tokio::time::advance(TIME / 2).await;
        spend(LARGE);
        assert!(is_left());
        tokio::time::advance(TIME / 2).await;
        spend(LARGE);
        assert!(!is_left());
    }
}
