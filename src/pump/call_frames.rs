//! Calls in what the client sends, each drawn for its handler.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::context::ConnectionContext;
use super::framed::{FirstCall, ProxyHeader, Requests};
use super::head_timer::{self, HeadTimer};
use super::open_calls::{OpenCalls, ReplySource, SharedCalls};
use super::outbound::Found;
use crate::handler::Scope;
use crate::labels::CallLabel;
use crate::plan::facts::Facts;
use crate::plan::{Plan, SelectedHandler, Tally};
use crate::protocol::foreign::Foreign;
use crate::protocol::http2::preface;
use crate::protocol::proxy_header::{self, Start};
use crate::protocol::{Expect, MAX_HEAD, Protocol, Step};
use crate::recorder::Clock;

/// How long a PROXY protocol header is held until its rest is here. It is sent in one piece, and what begins like one may be a
/// blank line.
const REST_OF_HEADER: Duration = Duration::from_millis(100);

/// Finds calls, and opens those that no handler wants to see.
pub(super) struct CallFrames<'a> {
    pub(super) context: &'a ConnectionContext<'a>,
    pub(super) calls: &'a SharedCalls,
    pub(super) requests: &'a mut Requests,
    /// What is held has to be framed again before more is read.
    pub(super) look: bool,
    /// How many of the held bytes belong to a request that a handler holds, or whose head is rewritten: they are framed already.
    pub(super) due: usize,
    /// How many bytes of the latest request are still to come.
    pub(super) left: Option<u64>,
    pub(super) timer: HeadTimer,
}

/// Why finding calls came to a stop.
pub(super) enum CallStop {
    /// Only a reply can tell what comes next, or too many calls are open.
    Wait,
    /// What is held has to be framed again.
    Look,
    /// A handler's turn.
    Call(NewCall),
    /// A call passes, but for the host in its head, the first so many bytes of what is due.
    Rewrite(usize),
    /// Messages can no longer be told apart.
    Opaque,
    /// The backend has left between two calls: the next one is for another backend.
    NoBackend,
    /// The client begins HTTP/2.
    Http2,
}

/// A call that a handler wants to see. Nothing of it was passed on.
pub(super) struct NewCall {
    pub(super) handler: Arc<SelectedHandler>,
    pub(super) head: usize,
    pub(super) len: usize,
    pub(super) left: Option<u64>,
    pub(super) expect: Expect,
    pub(super) label: Option<Arc<CallLabel>>,
}

impl CallFrames<'_> {
    /// Tells the calls in `bytes` apart, of which the first `ahead` have been passed on.
    pub(super) fn find(&mut self, bytes: &[u8], ahead: usize) -> Found<CallStop> {
        self.look = false;
        let mut calls = self.calls.borrow_mut();
        let found = self.find_in(&mut calls, bytes, ahead);
        calls.set_may_be_http2(self.requests.may_be_http2);
        if let Some(command) = self.requests.framer.take_detour() {
            self.context.detours(command);
        }
        // With `tcp` the end of a request is unknown.
        let is_within = self.left != Some(0) || self.requests.begun.is_some();
        calls.set_within_request(is_within && self.context.settings.protocol != Protocol::Tcp);
        found
    }

    fn find_in(&mut self, calls: &mut OpenCalls, bytes: &[u8], ahead: usize) -> Found<CallStop> {
        let plan = self.context.proxy.plan.load();
        let mut tally = Tally::new(self.context.label());
        let only = plan.only().filter(|_| self.context.is_unwatched());
        let rewrites = self.context.settings.host.is_some();
        let (recorder, mut clock) = (self.context.recorder(), Clock::default());
        // What has been framed already comes first.
        let mut at = std::mem::take(&mut self.due);
        if self.requests.header != ProxyHeader::Over || self.requests.may_be_http2 {
            match self.begin(calls, bytes) {
                Ok(len) => at += len,
                Err(found) => return found,
            }
        }
        let stop = loop {
            if self.left == Some(0) {
                self.context.request_passed(&mut clock);
            }
            if at == bytes.len() {
                break None;
            }
            if self.left == Some(0) && calls.is_final() {
                self.context.turns_opaque("more from the client while the reply lasts until the connection closes");
                break Some(CallStop::Opaque);
            }
            // The rest of a message may be what the open calls wait for.
            let waits = calls.is_full() && self.left == Some(0);
            let step = if waits { Step::Wait } else { self.requests.framer.step(&bytes[at..], calls.is_open()) };
            match step {
                Step::More if self.passes_head(&plan) => {
                    calls.set_undecided(false);
                    self.timer.stop();
                    return Found { done: at, passes: bytes.len(), stop: None };
                }
                Step::More => {
                    calls.set_undecided(false);
                    self.timer.hold(at > 0, self.context.settings.head_timeout);
                    return Found::up_to(at, None);
                }
                // The reply decides whether these bytes are HTTP. Whatever it says, they are for the backend: they wait for it only
                // where the host of a request would have to be rewritten.
                Step::Wait if !waits && !rewrites && calls.last_is_at_backend() => {
                    self.look = true;
                    self.timer.stop();
                    if bytes.len() - at > MAX_HEAD {
                        break Some(self.turn_opaque(calls, "more than 64 KiB behind a request for an upgrade"));
                    }
                    calls.set_undecided(true);
                    return Found { done: at, passes: bytes.len(), stop: None };
                }
                Step::Wait => {
                    self.look = true;
                    break Some(CallStop::Wait);
                }
                Step::Pass(len) => {
                    calls.sent_other(self.context.settings, &bytes[at..at + len]);
                    self.requests.begun = None;
                    at += len;
                }
                Step::Part { len, left } => {
                    at += len;
                    self.left = left;
                }
                // Most calls: nothing has to be drawn, kept or told.
                Step::Call { len, head, left, expect }
                    if only.is_some() && self.is_untouched(&plan, &bytes[at..at + head]) =>
                {
                    if let Some(recorder) = recorder {
                        let call = self.facts(Some(&bytes[at..at + head]));
                        recorder.begins(call.call, call.words(), expect);
                    }
                    self.requests.number += 1;
                    self.context.activity.calls.set(self.requests.number);
                    tally.count_unseen(only);
                    calls.pass(expect);
                    at += len;
                    self.left = left;
                }
                Step::Call { head, .. } if at < ahead && self.is_next_handled(&plan, &bytes[at..at + head]) => {
                    let why = "a call that passed before its handler could see it";
                    break Some(self.turn_opaque(calls, why));
                }
                Step::Call { len, head, left, expect } => {
                    let handler = self.draw(&plan, &mut tally, &bytes[at..at + head], expect);
                    if let Some((handler, label)) = handler {
                        break Some(CallStop::Call(NewCall { handler, head, len, left, expect, label }));
                    }
                    calls.sent(self.context.settings, &bytes[at..at + head], expect);
                    calls.pass(expect);
                    if rewrites {
                        (self.due, self.left, self.look) = (len, left, true);
                        break Some(CallStop::Rewrite(head));
                    }
                    at += len;
                    self.left = left;
                }
                Step::Opaque(why) => break Some(self.turn_opaque(calls, &self.reason(why, &bytes[at..]))),
                Step::Unanswered => unreachable!("a request framer knows of no replies"),
            }
        };
        calls.set_undecided(false);
        self.timer.stop();
        // What follows in an opaque connection was read together, and is written together.
        let passes = if matches!(stop, Some(CallStop::Opaque)) { bytes.len() } else { at };
        Found { done: at, passes, stop }
    }

    /// The length of what stands before the first call; or what to do until that shows, or where no call follows.
    fn begin(&mut self, calls: &mut OpenCalls, bytes: &[u8]) -> Result<usize, Found<CallStop>> {
        let len = if self.requests.header == ProxyHeader::Over { 0 } else { self.header(calls, bytes)? };
        if self.requests.may_be_http2 && len < bytes.len() {
            match preface::start(&bytes[len..]) {
                preface::Start::Preface => return Err(Found::up_to(len, Some(CallStop::Http2))),
                preface::Start::Incomplete => {
                    self.timer.hold(len > 0, self.context.settings.head_timeout);
                    return Err(Found::up_to(len, None));
                }
                preface::Start::Other => self.requests.may_be_http2 = false,
            }
        }
        Ok(len)
    }

    /// The length of the PROXY protocol header that the client begins with, 0 if it does not, or what to do until that shows.
    fn header(&mut self, calls: &mut OpenCalls, bytes: &[u8]) -> Result<usize, Found<CallStop>> {
        let len = match proxy_header::start(bytes) {
            Start::Header(len) => {
                calls.sent_other(self.context.settings, &bytes[..len]);
                len
            }
            Start::Incomplete if self.requests.header == ProxyHeader::Possible => {
                self.timer.hold(false, REST_OF_HEADER);
                return Err(Found::up_to(0, None));
            }
            Start::Incomplete if proxy_header::is_certain(bytes) => {
                return Err(Found { done: 0, passes: bytes.len(), stop: None });
            }
            Start::Incomplete | Start::Other => 0,
        };
        self.requests.header = ProxyHeader::Over;
        self.timer.stop();
        Ok(len)
    }

    /// A head was held for too long.
    pub(super) fn give_up(&mut self) -> CallStop {
        self.timer.stop();
        self.requests.may_be_http2 = false;
        self.calls.borrow_mut().set_may_be_http2(false);
        if self.requests.header == ProxyHeader::Possible {
            self.requests.header = ProxyHeader::Late;
            self.look = true;
            return CallStop::Look;
        }
        self.turn_opaque(&mut self.calls.borrow_mut(), head_timer::REASON)
    }

    /// Why `bytes` cannot be framed: `why`, unless they begin the connection and another protocol is known by them.
    fn reason(&self, why: &'static str, bytes: &[u8]) -> Cow<'static, str> {
        let foreign = if self.requests.number == 0 { Foreign::of_client(bytes) } else { None };
        let named = foreign.and_then(|foreign| foreign.reason(self.context.settings.protocol));
        named.map_or(Cow::Borrowed(why), Cow::Owned)
    }

    fn turn_opaque(&self, calls: &mut OpenCalls, why: &str) -> CallStop {
        self.context.turns_opaque(why);
        calls.push(Expect::Nothing, ReplySource::Opaque);
        CallStop::Opaque
    }

    /// Whether nothing has to be drawn for a call with this head: no rule is about it, it begins now, and its transaction
    /// was not refused.
    #[inline]
    fn is_untouched(&self, plan: &Plan, head: &[u8]) -> bool {
        self.requests.is_drawn_anew()
            && !self.requests.framer.has_refused()
            && !(plan.has_rules() && plan.may_touch(&self.facts(Some(head))))
    }

    /// What is known of the next call, the framer's latest if its head is here.
    #[inline]
    fn facts<'h>(&self, head: Option<&'h [u8]>) -> Facts<'h> {
        let words = head.and_then(|head| self.requests.framer.words(head));
        self.context.facts(head, self.requests.number + 1).with_words(words)
    }

    /// Whether an incomplete head may pass: neither a rule nor a handler wants to see the call that it begins, and its host stays.
    /// From then on that is settled.
    fn passes_head(&mut self, plan: &Plan) -> bool {
        if self.left != Some(0) || self.requests.begun.is_some() {
            return true;
        }
        if self.requests.framer.has_refused() || self.context.settings.host.is_some() {
            return false;
        }
        let facts = self.facts(None);
        let handler = self.requests.next_handler(plan, &facts).filter(|handler| handler.scope < Scope::Calls).cloned();
        self.requests.begun = handler;
        self.requests.begun.is_some()
    }

    /// Whether a handler may want to see the next call.
    fn is_next_handled(&mut self, plan: &Plan, head: &[u8]) -> bool {
        if self.requests.begun.is_some() {
            return false;
        }
        let facts = self.facts(Some(head));
        self.requests.next_handler(plan, &facts).is_none_or(|handler| handler.scope == Scope::Calls)
    }

    /// Counts the next call: its handler, if that wants to see it, and the call's label.
    fn draw<'p>(
        &mut self,
        plan: &'p Plan,
        tally: &mut Tally<'p>,
        head: &[u8],
        expect: Expect,
    ) -> Option<(Arc<SelectedHandler>, Option<Arc<CallLabel>>)> {
        let facts = self.facts(Some(head));
        let Self { context, requests, .. } = self;
        requests.number += 1;
        let (number, streams) = (requests.number, context.streams());
        let first = requests.first.take().filter(FirstCall::holds);
        if let Some(handler) = requests.begun.take() {
            handler.count(streams, number, tally.label().map(|label| &**label));
            context.call_begins(&facts, &handler, tally.label(), expect);
            return None;
        }
        if let Some(FirstCall { handler, taken, .. }) = first {
            let label = if let Some(taken) = taken {
                taken.label
            } else {
                handler.count(streams, number, tally.label().map(|label| &**label));
                tally.label().cloned()
            };
            context.call_begins(&facts, &handler, label.as_ref(), expect);
            return (handler.scope == Scope::Calls).then_some((handler, label));
        }
        let handler = plan.draw(&facts, &mut requests.draws);
        tally.count(handler, streams, number);
        context.call_begins(&facts, handler, tally.label(), expect);
        let is_seen = handler.scope == Scope::Calls || requests.framer.has_refused();
        is_seen.then(|| (handler.clone(), tally.label().cloned()))
    }
}
