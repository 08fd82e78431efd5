//! The calls of one connection that are open: what joins the two pumps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use crate::call::{Answer, CallState};
use crate::plan::SelectedHandler;
use crate::protocol::Expect;

/// How much the open calls of one connection may weigh, in bytes, before no further request is read.
const MAX_WEIGHT: usize = 256 * 1024;

/// The open calls that an idle connection keeps room for.
const SPARE: usize = 16;

/// The open calls in order, and what one pump has to know of the other.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct OpenCalls {
    open: VecDeque<Open>,
    weight: usize,
    /// Messages can no longer be told apart: both directions pass bytes.
    pub(crate) opaque: bool,
    /// A handler has a request in hand, so that an end of the backend has to wait for its verdict.
    pub(crate) in_hand: bool,
    /// Meanwhile the backend has left, and is to be dialled again if the request is to go on.
    pub(crate) backend_left: bool,
    /// The request pump is within a message.
    pub(crate) within_request: bool,
    /// The reply pump is within a message, perhaps one that belongs to no call.
    pub(crate) within_reply: bool,
    /// The request pump waits until something of this has changed.
    waiting: bool,
    /// Something was queued that the reply pump has to look at.
    queued: bool,
}

/// What comes next towards the client.
#[derive(Debug)]
struct Open {
    expect: Expect,
    /// How many calls like this one follow each other.
    count: u32,
    fate: ReplySource,
}

/// Where a call's reply comes from, and what happens to it.
#[derive(Debug)]
pub(crate) enum ReplySource {
    /// The backend's, unaltered.
    Pass,
    /// The backend's, which the handler sees first.
    Handled(Box<Handled>),
    /// The backend's, which the handler has in hand or has seen.
    Seen,
    /// Our own.
    Answer(Box<(Answer, CallState)>),
    /// The client's connection is closed.
    Close,
    /// The client's connection is reset.
    Reset,
    /// Messages end here.
    Opaque,
}

/// A call that its handler will see again.
#[derive(Debug)]
pub(crate) struct Handled {
    pub(crate) drawn: Arc<SelectedHandler>,
    pub(crate) about: CallState,
}

impl ReplySource {
    /// An estimate of what it holds, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Handled(handled) => 128 + handled.about.head.len(),
            Self::Answer(answer) => 128 + answer.0.weight(),
            Self::Pass | Self::Seen | Self::Close | Self::Reset | Self::Opaque => 0,
        }
    }
}

impl OpenCalls {
    /// No further call should be opened for now.
    pub(crate) fn is_full(&self) -> bool {
        self.weight >= MAX_WEIGHT
    }

    /// Some call waits for its reply.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Neither a call nor a message is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.owes_nothing() && !self.in_hand && !self.within_request
    }

    /// The backend owes no reply, and no rest of one.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.open.is_empty() && !self.within_reply
    }

    /// A call begins that nothing touches.
    pub(crate) fn pass(&mut self, expect: Expect) {
        if expect == Expect::Nothing {
            return;
        }
        match self.open.back_mut() {
            Some(Open { expect: like, count, fate: ReplySource::Pass }) if *like == expect && *count < u32::MAX => {
                *count += 1
            }
            _ => self.push(expect, ReplySource::Pass),
        }
    }

    pub(crate) fn push(&mut self, expect: Expect, fate: ReplySource) {
        self.weight += size_of::<Open>() + fate.weight();
        self.queued |= !matches!(fate, ReplySource::Pass | ReplySource::Handled(_));
        self.open.push_back(Open { expect, count: 1, fate });
    }

    /// The oldest open call.
    pub(crate) fn front(&self) -> Option<(Expect, &ReplySource)> {
        self.open.front().map(|open| (open.expect, &open.fate))
    }

    /// The oldest call is done.
    pub(crate) fn pop(&mut self, cx: &Context<'_>) -> Option<ReplySource> {
        let front = self.open.front_mut()?;
        if front.count > 1 {
            front.count -= 1;
            return Some(ReplySource::Pass);
        }
        let open = self.open.pop_front()?;
        self.weight -= size_of::<Open>() + open.fate.weight();
        if self.open.is_empty() && self.open.capacity() > SPARE {
            // What a long pipeline needed, the idle connection does not.
            self.open = VecDeque::new();
        }
        self.changed(cx);
        Some(open.fate)
    }

    /// The oldest call's handler has seen its reply.
    pub(crate) fn handled(&mut self) -> Option<Box<Handled>> {
        let front = self.open.front_mut()?;
        let weight = front.fate.weight();
        match std::mem::replace(&mut front.fate, ReplySource::Seen) {
            ReplySource::Handled(handled) => {
                self.weight -= weight;
                Some(handled)
            }
            other => {
                front.fate = other;
                None
            }
        }
    }

    /// The oldest call, whose reply its handler dropped, is answered by us.
    pub(crate) fn answer(&mut self, answer: Answer, about: CallState) {
        if let Some(front) = self.open.front_mut() {
            front.fate = ReplySource::Answer(Box::new((answer, about)));
            self.weight += front.fate.weight();
        }
    }

    /// A handler has decided about the request that it had in hand.
    pub(crate) fn decided(&mut self) {
        self.in_hand = false;
        self.queued = true;
    }

    /// The request pump waits for a change.
    pub(crate) fn wait(&mut self) {
        self.waiting = true;
    }

    /// Whether the reply pump has to look again; says so once.
    pub(crate) fn take_queued(&mut self) -> bool {
        std::mem::take(&mut self.queued)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Something has changed that the request pump may wait for. Both pumps share one task.
    pub(crate) fn changed(&mut self, cx: &Context<'_>) {
        if std::mem::take(&mut self.waiting) {
            cx.waker().wake_by_ref();
        }
    }
}

/// The lock is there to satisfy the compiler that a connection may move to another thread: both pumps share one task, so
/// nobody ever waits for it.
pub(crate) fn lock(exchange: &Mutex<OpenCalls>) -> MutexGuard<'_, OpenCalls> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}
