//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::workers::busy::{self, TURN};

/// What a read costs beside its bytes: a direction does at most eight each time that its task is polled.
const READ: usize = TURN / 8;

/// A read of this many bytes is that of a busy task.
const LARGE: usize = 16 * 1024;

thread_local! {
    /// How much the direction that this thread polls has spent.
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// A task that has only one direction is polled.
pub(crate) fn begin() {
    SPENT.set(0);
}

/// Polls a direction, which has `spent` so much since its task was polled.
pub(super) fn poll<T>(spent: &mut usize, poll: impl FnOnce() -> T) -> T {
    SPENT.set(*spent);
    let polled = poll();
    *spent = SPENT.get();
    polled
}

/// Ready until the direction has moved as much as it may; if it `is_busy`, also until all busy ones have. Then the task yields.
/// The read that exceeds this is the last one.
pub(crate) fn poll_left(cx: &mut Context<'_>, is_busy: bool) -> Poll<()> {
    let is_over = SPENT.get() >= TURN || is_busy && busy::is_over();
    if is_over { busy::poll_yield(cx) } else { Poll::Ready(()) }
}

/// A read moved so many bytes.
pub(crate) fn spend(bytes: usize) {
    SPENT.set(SPENT.get() + READ + bytes);
    if bytes >= LARGE {
        busy::moved(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_left() -> bool {
        poll_left(&mut Context::from_waker(Waker::noop()), true).is_ready()
    }

    #[tokio::test]
    async fn it_is_spent_after_eight_reads_or_enough_bytes() {
        for (bytes, reads) in [(0, 8), (1, 8), (16 * 1024, 6), (128 * 1024, 2), (256 * 1024, 1), (512 * 1024, 1)] {
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
}
