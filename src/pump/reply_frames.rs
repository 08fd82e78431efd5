//! Replies in what the backend sends, and whose turn it is.

use std::task::Context;

use super::context::ConnectionContext;
use super::head_timer::{self, HeadTimer};
use super::open_calls::{OpenCalls, ReplySource, SharedCalls};
use super::outbound::Found;
use super::outcome::Outcome;
use crate::call_log::CallEnd;
use crate::protocol::foreign::Foreign;
use crate::protocol::http2::preface;
use crate::protocol::{self, Expect, Step};

/// Finds replies, and ends the calls of those that no handler wants to see.
pub(super) struct ReplyFrames<'a> {
    pub(super) context: &'a ConnectionContext<'a>,
    pub(super) calls: &'a SharedCalls,
    pub(super) framer: protocol::Replies,
    /// What is held has to be framed again before more is read.
    pub(super) look: bool,
    /// How many of the held bytes belong to the reply that a handler holds: they are framed already.
    pub(super) due: usize,
    /// How many bytes of that reply are still to come.
    pub(super) left: Option<u64>,
    pub(super) timer: HeadTimer,
    /// No reply has begun yet.
    pub(super) is_first: bool,
}

/// Why finding replies came to a stop.
pub(super) enum ReplyStop {
    /// It is the turn of an answer of our own.
    Answer,
    /// A handler's turn: its reply has begun with `len` bytes, and `left` are still to come.
    Handler { len: usize, left: Option<u64> },
    /// The reply to a no-op of our own: `len` bytes of it are here, and `left` are still to come.
    NoOp { len: usize, left: Option<u64> },
    /// Messages can no longer be told apart.
    Opaque,
    /// What follows is no reply, and the client is still to be looked at: a handler may hold its request and answer it before, or it
    /// begins HTTP/2.
    Hold,
    /// A handler ends the connection.
    End(Outcome),
}

impl ReplyFrames<'_> {
    /// Whose turn it is, if not the backend's.
    pub(super) fn turn(&self) -> Option<ReplyStop> {
        turn(&self.calls.borrow_mut(), self.framer.is_within())
    }

    /// The backend has closed, behind its last reply: calls end that stay without one. Whether there were such calls.
    pub(super) fn find_missing(&self, cx: &Context<'_>) -> bool {
        let mut calls = self.calls.borrow_mut();
        let any = calls.is_missing() && !self.framer.is_within();
        while any && calls.is_missing() {
            self.unanswered(&mut calls, cx);
        }
        any
    }

    /// The oldest call ends without a reply.
    fn unanswered(&self, calls: &mut OpenCalls, cx: &Context<'_>) {
        if !matches!(calls.pop(cx), Some(ReplySource::NoOp)) {
            self.context.call_ended(CallEnd::Unanswered);
        }
    }

    /// Tells the replies in `bytes` apart, of which the first `ahead` have been passed on.
    pub(super) fn find(&mut self, cx: &Context<'_>, bytes: &[u8], ahead: usize) -> Found<ReplyStop> {
        self.look = false;
        let mut calls = self.calls.borrow_mut();
        let found = self.find_in(&mut calls, cx, bytes, ahead);
        let is_held = found.done < bytes.len() && !calls.may_be_http2();
        let is_within = is_held || self.framer.is_within();
        calls.set_within_reply(is_within);
        let is_at_no_op = matches!(found.stop, Some(ReplyStop::NoOp { .. }));
        if let Some(recorder) = self.context.recorder().filter(|_| is_within && !is_at_no_op) {
            recorder.reply_begins();
        }
        found
    }

    fn find_in(&mut self, calls: &mut OpenCalls, cx: &Context<'_>, bytes: &[u8], ahead: usize) -> Found<ReplyStop> {
        if calls.is_opaque() {
            return Found::up_to(0, Some(ReplyStop::Opaque));
        }
        let settings = self.context.settings;
        // Only its responses say whether the connection lasts.
        let reuses = settings.reuse_socket && settings.protocol.is_http();
        let mut at = 0;
        let stop = loop {
            if at == bytes.len() {
                break None;
            }
            let front = calls.front();
            let expect = front.map(|(expect, _)| expect);
            // The reply of a call that nothing touches, which is most of them.
            let is_plain = matches!(front, Some((_, ReplySource::Backend | ReplySource::Seen)));
            if !is_plain
                && at >= ahead
                && let Some(stop) = turn(calls, self.framer.is_within())
            {
                break Some(stop);
            }
            let begins = reuses && !self.framer.is_within();
            let may_detour = settings.protocol.may_detour(&bytes[at..], self.is_first) && !self.framer.is_within();
            let step = self.framer.step(&bytes[at..], expect);
            if begins && let Step::Part { len, .. } = step {
                calls.replied(settings, &bytes[at..at + len]);
            }
            if may_detour && let Step::Part { len, .. } = step {
                self.is_first = false;
                self.context.look_for_detour(&bytes[at..at + len]);
            }
            let step = match step {
                Step::Part { len, left } if is_plain => {
                    at += len;
                    if left == Some(0) {
                        if !calls.pop_one_of_many() {
                            calls.pop(cx);
                        }
                        self.context.call_ended(CallEnd::Replied);
                    } else if self.framer.ends_with_connection() {
                        calls.set_final();
                    }
                    continue;
                }
                Step::Part { len, left } => match calls.front() {
                    Some((_, ReplySource::Handler(_))) if at >= ahead => break Some(ReplyStop::Handler { len, left }),
                    Some((_, ReplySource::NoOp)) if at >= ahead => break Some(ReplyStop::NoOp { len, left }),
                    // What has been passed on was said before the request of this call.
                    _ => Step::Opaque("a reply to no request"),
                },
                step => step,
            };
            match step {
                // Whatever it turns out to be, no handler will see it.
                Step::More if is_plain && expect.is_some_and(Expect::is_certain) || calls.are_untouched() => {
                    self.timer.stop();
                    return Found { done: at, passes: bytes.len(), stop: None };
                }
                Step::More => {
                    self.timer.hold(at > 0, self.context.settings.head_timeout);
                    return Found::up_to(at, None);
                }
                Step::Pass(len) => {
                    at += len;
                    self.context.between_replies();
                }
                Step::Unanswered => self.unanswered(calls, cx),
                Step::Opaque(_) if !calls.is_open() && (calls.holds() || calls.is_undecided()) => {
                    self.look = true;
                    break Some(ReplyStop::Hold);
                }
                // A server of HTTP/2 need not wait for its client.
                Step::Opaque(_) if at == 0 && calls.may_be_http2() && preface::is_of_server(bytes) => {
                    self.look = true;
                    break Some(ReplyStop::Hold);
                }
                Step::Opaque(why) => {
                    let foreign = Foreign::of_backend(&bytes[at..]);
                    let named = foreign.and_then(|foreign| foreign.reason(settings.protocol));
                    self.context.turns_opaque(named.as_deref().unwrap_or(why));
                    // What was read together is written together, unless an answer of our own comes between.
                    let passes = if calls.has_no_answers() { bytes.len() } else { at };
                    self.timer.stop();
                    return Found { done: at, passes, stop: Some(ReplyStop::Opaque) };
                }
                Step::Part { .. } => unreachable!("a part has been taken"),
                Step::Call { .. } | Step::Wait => unreachable!("a reply framer knows of no requests"),
            }
        };
        self.timer.stop();
        Found::up_to(at, stop)
    }

    /// A head was held for too long.
    pub(super) fn give_up(&mut self) -> ReplyStop {
        self.timer.stop();
        self.context.turns_opaque(head_timer::REASON);
        ReplyStop::Opaque
    }
}

/// Whose turn it is, if not the backend's. An answer waits for the end of a message that is under way.
fn turn(calls: &OpenCalls, is_within: bool) -> Option<ReplyStop> {
    if calls.is_opaque() {
        return Some(ReplyStop::Opaque);
    }
    match calls.front()?.1 {
        ReplySource::Backend | ReplySource::Handler(_) | ReplySource::Seen | ReplySource::NoOp => None,
        ReplySource::Answer(_) => (!is_within).then_some(ReplyStop::Answer),
        ReplySource::Close => Some(ReplyStop::End(Outcome::Close)),
        ReplySource::Reset => Some(ReplyStop::End(Outcome::Reset)),
        ReplySource::Opaque => Some(ReplyStop::Opaque),
    }
}
