//! How much one direction does before others have their turn: timers, other connections, the other direction.

use std::cell::Cell;
use std::task::{Context, Poll};

use crate::workers::poll_give_way;

/// How many bytes a direction reads each time that it is polled. The read that exceeds this is the last one: one of the
/// largest is enough. Each step of a delayed call may have to wait for as much.
const BYTES: usize = 256 * 1024;

/// What a read costs beside its bytes: there are eight at most.
const READ: usize = BYTES / 8;

thread_local! {
    /// How much the direction that this thread polls has read.
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// A direction, or a task that has only one, is polled.
pub(crate) fn begin() {
    SPENT.set(0);
}

/// Ready until all is spent. Then others have their turn before the task is polled again.
pub(crate) fn poll_left(cx: &mut Context<'_>) -> Poll<()> {
    if SPENT.get() < BYTES { Poll::Ready(()) } else { poll_give_way(cx) }
}

/// A read brought so many bytes.
pub(crate) fn spend(bytes: usize) {
    SPENT.set(SPENT.get() + READ + bytes);
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_left() -> bool {
        poll_left(&mut Context::from_waker(Waker::noop())).is_ready()
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
