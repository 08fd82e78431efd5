//! The calls of one connection that are open: what joins the two pumps.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use atomic_refcell::AtomicRefCell;

use super::settings::ConnectionSettings;
use crate::call::{Answer, CallState};
use crate::plan::SelectedHandler;
use crate::protocol::{Expect, Session};

/// How much the open calls of one connection may weigh, in bytes, before no further request is read.
const MAX_WEIGHT: usize = 256 * 1024;

/// An estimate of what a boxed call takes beside its own bytes.
const BOXED: usize = 128;

/// The open calls that an idle connection keeps room for.
const SPARE: usize = 16;

/// The open calls as both pumps see them. The pumps share one task, so neither finds them borrowed by the other; but between
/// two polls, a connection of an embedded daemon may move to another thread of the caller's runtime. Always borrowed to change
/// them, which takes one atomic operation where to read them takes two.
pub(super) type SharedCalls = AtomicRefCell<OpenCalls>;

/// The open calls in order, and where each pump is.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct OpenCalls {
    queue: VecDeque<Open>,
    weight: usize,
    requests: RequestPhase,
    replies: ReplyPhase,
    /// The reply under way lasts until the backend closes: no request follows its own.
    is_final: bool,
    /// Bytes went to the backend of which the reply under way decides whether they are requests.
    is_undecided: bool,
    /// Nothing was read of the client, which may begin HTTP/2.
    may_be_http2: bool,
    /// What the pumps tell each other. They share one task.
    signals: Signals,
    /// What the calls have left behind on the backend's connection. Kept only where that may be reused.
    session: Session,
    /// The last request has no reply, so that nothing shows when the backend is done with it.
    unconfirmed: bool,
}

/// Where the request pump is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum RequestPhase {
    #[default]
    BetweenRequests,
    WithinRequest,
    /// A handler holds a request: the end of the backend has to wait for its verdict.
    Held,
    /// The same, and the backend has left meanwhile: it is to be dialled again if the request goes on.
    HeldWithoutBackend,
    /// The backend has left between two calls: the next request waits for another one.
    WithoutBackend,
}

/// Where the reply pump is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ReplyPhase {
    #[default]
    BetweenReplies,
    /// Within a reply, or within a message that belongs to no call.
    WithinReply,
    /// Messages can no longer be told apart: both directions pass bytes.
    Opaque,
}

#[derive(Debug, Default)]
struct Signals {
    /// The request pump waits for a change.
    requests_wait: bool,
    /// The reply pump has something new to look at.
    replies_look: bool,
}

/// What comes next towards the client.
#[derive(Debug)]
struct Open {
    expect: Expect,
    /// How many calls like this one follow each other.
    count: u32,
    source: ReplySource,
}

/// Where the reply of a call comes from, and what happens to it.
#[derive(Debug)]
pub(super) enum ReplySource {
    /// The backend's reply, unaltered.
    Backend,
    /// The backend's reply, which the handler sees first.
    Handler(Box<HandledCall>),
    /// The backend's reply, which the handler has in hand or has seen.
    Seen,
    /// The backend's reply to a no-op of our own, which nobody else sees.
    NoOp,
    /// An answer of our own.
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
pub(super) struct HandledCall {
    pub(super) handler: Arc<SelectedHandler>,
    pub(super) state: CallState,
}

impl ReplySource {
    /// Whether the backend replies.
    fn is_backend(&self) -> bool {
        matches!(self, Self::Backend | Self::Handler(_) | Self::Seen)
    }

    /// An estimate of what it holds, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Handler(call) => BOXED + call.state.head.len(),
            Self::Answer(answer) => BOXED + answer.0.weight() + answer.1.head.len(),
            Self::Backend | Self::Seen | Self::NoOp | Self::Close | Self::Reset | Self::Opaque => 0,
        }
    }
}

impl OpenCalls {
    /// No further call should be opened for now.
    pub(super) fn is_full(&self) -> bool {
        self.weight >= MAX_WEIGHT
    }

    /// Whether a call waits for its reply.
    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Neither a call nor a message is under way, as far as that can be known.
    pub(super) fn is_idle(&self) -> bool {
        if self.is_opaque() {
            return !self.holds();
        }
        self.owes_nothing() && self.requests == RequestPhase::BetweenRequests
    }

    /// The backend owes no reply, and no rest of one.
    pub(super) fn owes_nothing(&self) -> bool {
        self.queue.is_empty() && self.replies != ReplyPhase::WithinReply
    }

    /// A request goes to the backend.
    #[inline]
    pub(super) fn sent(&mut self, settings: &ConnectionSettings, head: &[u8], expect: Expect) {
        if settings.reuse_socket {
            self.session = self.session.after_request(settings.protocol, head);
            self.unconfirmed = expect == Expect::Nothing;
        }
    }

    /// Bytes go to the backend that belong to no request.
    pub(super) fn sent_other(&mut self, settings: &ConnectionSettings, bytes: &[u8]) {
        if settings.reuse_socket {
            self.session = self.session.after_other(bytes);
        }
    }

    /// A reply of the backend begins with these bytes.
    pub(super) fn replied(&mut self, settings: &ConnectionSettings, bytes: &[u8]) {
        self.session = self.session.after_reply(settings.protocol, bytes);
    }

    /// Whether another client may use the backend's connection: nothing is under way, and nothing was left behind.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_between_messages() && self.queue.is_empty() && self.session.is_clean() && !self.unconfirmed
    }

    /// Both pumps are between messages that can be told apart.
    fn is_between_messages(&self) -> bool {
        self.requests == RequestPhase::BetweenRequests && self.replies == ReplyPhase::BetweenReplies
    }

    /// Whether the reply under way lasts until the backend closes.
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }

    pub(super) fn set_final(&mut self) {
        self.is_final = true;
    }

    /// Whether bytes went to the backend of which the reply under way decides whether they are requests.
    pub(super) fn is_undecided(&self) -> bool {
        self.is_undecided
    }

    pub(super) fn set_undecided(&mut self, is_undecided: bool) {
        self.signals.replies_look |= self.is_undecided && !is_undecided;
        self.is_undecided = is_undecided;
    }

    /// Whether the client may still begin HTTP/2.
    pub(super) fn may_be_http2(&self) -> bool {
        self.may_be_http2
    }

    pub(super) fn set_may_be_http2(&mut self, may_be: bool) {
        self.signals.replies_look |= self.may_be_http2 && !may_be;
        self.may_be_http2 = may_be;
    }

    /// Whether the request of the latest open call went to the backend.
    pub(super) fn last_is_at_backend(&self) -> bool {
        self.queue.back().is_some_and(|open| open.source.is_backend())
    }

    /// Whether all of the backend's bytes will go to the client, and nothing else.
    pub(super) fn has_no_answers(&self) -> bool {
        self.queue.iter().all(|open| open.source.is_backend() || matches!(open.source, ReplySource::Opaque))
    }

    /// Whether a call is open, and every reply is one that nothing touches.
    pub(super) fn are_untouched(&self) -> bool {
        let is_plain =
            |open: &Open| matches!(open.source, ReplySource::Backend | ReplySource::Seen | ReplySource::Opaque);
        self.is_open() && self.queue.iter().all(is_plain)
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.replies == ReplyPhase::Opaque
    }

    pub(super) fn turn_opaque(&mut self) {
        self.replies = ReplyPhase::Opaque;
    }

    /// The request pump passed on bytes, and is `within` a request or not.
    pub(super) fn set_within_request(&mut self, within: bool) {
        self.requests = if within { RequestPhase::WithinRequest } else { RequestPhase::BetweenRequests };
    }

    /// The reply pump passed on bytes, and is `within` a message or not.
    pub(super) fn set_within_reply(&mut self, within: bool) {
        if !self.is_opaque() {
            self.replies = if within { ReplyPhase::WithinReply } else { ReplyPhase::BetweenReplies };
        }
    }

    /// A handler holds a request from now on.
    pub(super) fn hold(&mut self) {
        self.requests = RequestPhase::Held;
    }

    /// Whether a handler holds a request.
    pub(super) fn holds(&self) -> bool {
        matches!(self.requests, RequestPhase::Held | RequestPhase::HeldWithoutBackend)
    }

    /// The backend has left, perhaps while a handler holds a request, and the client stays.
    pub(super) fn backend_left(&mut self) {
        self.requests = if self.holds() { RequestPhase::HeldWithoutBackend } else { RequestPhase::WithoutBackend };
    }

    /// Whether no request is to be read: the backend has left between two calls.
    pub(super) fn await_backend(&self) -> bool {
        self.requests == RequestPhase::WithoutBackend
    }

    /// Whether the backend has left while a handler held a request.
    pub(super) fn has_no_backend(&self) -> bool {
        self.requests == RequestPhase::HeldWithoutBackend
    }

    /// The handler has decided about the request that it held.
    pub(super) fn decided(&mut self) {
        self.requests = RequestPhase::BetweenRequests;
        self.signals.replies_look = true;
    }

    /// A call begins that nothing touches.
    pub(super) fn pass(&mut self, expect: Expect) {
        if expect == Expect::Nothing {
            return;
        }
        match self.queue.back_mut() {
            Some(Open { expect: like, count, source: ReplySource::Backend })
                if *like == expect && *count < u32::MAX =>
            {
                *count += 1;
            }
            _ => self.push(expect, ReplySource::Backend),
        }
    }

    pub(super) fn push(&mut self, expect: Expect, source: ReplySource) {
        self.weight += size_of::<Open>() + source.weight();
        self.signals.replies_look |=
            !matches!(source, ReplySource::Backend | ReplySource::Handler(_) | ReplySource::NoOp);
        self.queue.push_back(Open { expect, count: 1, source });
    }

    /// The no-op to send to the backend before something is to wait for the newest call, if that call may stay unanswered:
    /// only a reply behind it would show so. The no-op's reply is awaited from now on.
    pub(super) fn no_op(&mut self) -> Option<&'static [u8]> {
        let Open { expect, source: ReplySource::Backend | ReplySource::Handler(_), .. } = self.queue.back()? else {
            return None;
        };
        if self.requests == RequestPhase::WithinRequest || self.is_opaque() {
            return None;
        }
        let (no_op, expect) = expect.no_op()?;
        self.push(expect, ReplySource::NoOp);
        Some(no_op)
    }

    /// Whether the oldest call may stay unanswered, or is our no-op, now that the backend says no more.
    pub(super) fn is_missing(&self) -> bool {
        match self.front() {
            Some((expect, ReplySource::Backend | ReplySource::Handler(_))) => expect.no_op().is_some(),
            Some((_, ReplySource::NoOp)) => true,
            _ => false,
        }
    }

    /// The oldest open call.
    pub(super) fn front(&self) -> Option<(Expect, &ReplySource)> {
        self.queue.front().map(|open| (open.expect, &open.source))
    }

    /// The oldest call leaves the queue, if others like it follow.
    pub(super) fn pop_one_of_many(&mut self) -> bool {
        match self.queue.front_mut() {
            Some(front) if front.count > 1 => {
                front.count -= 1;
                true
            }
            _ => false,
        }
    }

    /// The oldest call leaves the queue.
    pub(super) fn pop(&mut self, cx: &Context<'_>) -> Option<ReplySource> {
        if self.pop_one_of_many() {
            return Some(ReplySource::Backend);
        }
        let open = self.queue.pop_front()?;
        self.weight -= size_of::<Open>() + open.source.weight();
        if self.queue.is_empty() && self.queue.capacity() > SPARE {
            // An idle connection does not need what a long pipeline needed.
            self.queue = VecDeque::new();
        }
        self.changed(cx);
        Some(open.source)
    }

    /// The oldest call, for its handler to see the reply.
    pub(super) fn take_handled(&mut self) -> Option<Box<HandledCall>> {
        let front = self.queue.front_mut()?;
        let weight = front.source.weight();
        match std::mem::replace(&mut front.source, ReplySource::Seen) {
            ReplySource::Handler(call) => {
                self.weight -= weight;
                Some(call)
            }
            other => {
                front.source = other;
                None
            }
        }
    }

    /// The handler dropped the reply of the oldest call: we answer it.
    pub(super) fn answer(&mut self, answer: Answer, state: CallState) {
        if let Some(front) = self.queue.front_mut() {
            front.source = ReplySource::Answer(Box::new((answer, state)));
            self.weight += front.source.weight();
        }
    }

    /// Whether the reply pump has to look again; true once.
    pub(super) fn take_look(&mut self) -> bool {
        std::mem::take(&mut self.signals.replies_look)
    }

    /// Something has changed that the request pump may wait for.
    pub(super) fn changed(&mut self, cx: &Context<'_>) {
        if std::mem::take(&mut self.signals.requests_wait) {
            cx.waker().wake_by_ref();
        }
    }
}

/// The request pump waits until something has changed.
pub(super) async fn change(calls: &SharedCalls) {
    calls.borrow_mut().signals.requests_wait = true;
    until(calls, |calls| !calls.signals.requests_wait).await;
}

/// The request pump waits until a change makes `so` true.
pub(super) async fn until(calls: &SharedCalls, so: impl Fn(&OpenCalls) -> bool) {
    poll_fn(|_| {
        let mut calls = calls.borrow_mut();
        if so(&calls) {
            return Poll::Ready(());
        }
        calls.signals.requests_wait = true;
        Poll::Pending
    })
    .await;
}
