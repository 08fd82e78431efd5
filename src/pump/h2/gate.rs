//! Whether a side takes what is written to it: streams wait for that, not only for their windows.
//!
//! The library keeps what streams send until it is written, a buffer of each. A side with large windows that reads nothing would fill
//! the memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atomic_refcell::AtomicRefCell;
use h2::StreamId;

/// Whether one side of a connection takes what is written to it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_closed: AtomicBool,
    waiting: AtomicRefCell<HashMap<StreamId, Waker>>,
}

impl Gate {
    /// What the library has to write cannot be written now.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// The side takes what is written, or does not.
    pub(super) fn set(&self, is_closed: bool) {
        if self.is_closed.swap(is_closed, Ordering::Relaxed) && !is_closed {
            self.waiting.borrow_mut().drain().for_each(|(_, waker)| waker.wake());
        }
    }

    /// Ready when `stream` may send.
    pub(super) fn poll_open(&self, cx: &Context<'_>, stream: StreamId) -> Poll<()> {
        if !self.is_closed() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().insert(stream, cx.waker().clone());
        Poll::Pending
    }
}
