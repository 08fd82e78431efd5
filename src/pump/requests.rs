//! Calls in what the client sends, each drawn for its handler.

use std::sync::{Arc, Mutex};
use std::task::Context;

use super::context::ConnectionContext;
use super::framed::{Calls, FirstCall};
use super::open_calls::{OpenCalls, ReplySource, lock};
use super::outbound::{Frame, Lane};
use crate::handler::Scope;
use crate::plan::{Plan, SelectedHandler, Tally};
use crate::protocol::{Expect, Protocol, Step};

/// Finds calls and passes on those that no handler wants to see.
pub(super) struct Requests<'a, 's> {
    pub(super) link: &'a ConnectionContext<'a>,
    pub(super) exchange: &'a Mutex<OpenCalls>,
    pub(super) calls: &'a mut Calls,
    pub(super) lane: Lane<'a, 's>,
}

/// A call begins that a handler wants to see.
pub(super) struct Begun {
    pub(super) drawn: Arc<SelectedHandler>,
    pub(super) head: usize,
    pub(super) len: usize,
    pub(super) left: Option<u64>,
    pub(super) expect: Expect,
}

/// Why passing on came to a stop.
pub(super) enum Stop {
    /// The backend takes no more for now.
    Blocked,
    /// Only a reply can tell what comes next, or too many calls are open.
    Wait,
    /// A handler's turn.
    Call(Begun),
    /// Messages can no longer be told apart.
    Opaque,
    /// The client has sent its last byte.
    End,
}

impl<'a, 's> Frame<'a, 's> for Requests<'a, 's> {
    type Stop = Stop;

    const BLOCKED: Stop = Stop::Blocked;

    fn lane(&mut self) -> &mut Lane<'a, 's> {
        &mut self.lane
    }

    fn frame(&mut self, _: &Context<'_>, bytes: &[u8]) -> (usize, Option<Stop>) {
        self.lane.look = false;
        let plan = self.link.proxy.plan();
        let mut exchange = lock(self.exchange);
        let mut tally = Tally::default();
        let mut track = self.link.track();
        // What a handler let pass comes first.
        let mut at = std::mem::take(&mut self.lane.due);
        loop {
            // A turn has no end that could be waited for.
            exchange.within_request = self.lane.left != Some(0) && self.link.settings.protocol != Protocol::Tcp;
            if self.lane.left == Some(0)
                && let Some(track) = &mut track
            {
                track.passed_on();
            }
            if at == bytes.len() {
                return (at, None);
            }
            // The rest of a message may be what the open calls wait for.
            let waits = exchange.is_full() && self.lane.left == Some(0);
            let step = if waits { Step::Wait } else { self.calls.framer.step(&bytes[at..], exchange.is_open()) };
            match step {
                Step::More => return (at, None),
                Step::Wait => {
                    self.lane.look = true;
                    return (at, Some(Stop::Wait));
                }
                Step::Pass(len) => at += len,
                Step::Part { len, left } => {
                    at += len;
                    self.lane.left = left;
                }
                Step::Call { len, head, left, expect } => {
                    let begins = |drawn: &SelectedHandler, number| {
                        if let Some(track) = &mut track {
                            track.begins(
                                number,
                                &drawn.name,
                                self.link.settings.protocol,
                                &bytes[at..at + head],
                                expect,
                            );
                        }
                    };
                    if let Some(drawn) = self.calls.draw(self.link, &plan, &mut tally, begins) {
                        return (at, Some(Stop::Call(Begun { drawn, head, len, left, expect })));
                    }
                    exchange.pass(expect);
                    at += len;
                    self.lane.left = left;
                }
                Step::Opaque(why) => {
                    self.link.turns_opaque(why);
                    exchange.push(Expect::Nothing, ReplySource::Opaque);
                    return (at, Some(Stop::Opaque));
                }
                Step::Unanswered => unreachable!("a request framer knows of no replies"),
            }
        }
    }
}

impl Calls {
    /// Counts the next call, and answers its handler if that wants to see it. `begins` is told of both.
    fn draw<'p>(
        &mut self,
        link: &ConnectionContext<'_>,
        plan: &'p Plan,
        tally: &mut Tally<'p>,
        begins: impl FnOnce(&SelectedHandler, u64),
    ) -> Option<Arc<SelectedHandler>> {
        self.number += 1;
        link.live.calls.set(self.number);
        if let Some(FirstCall { drawn, is_counted }) = self.first.take().filter(FirstCall::holds) {
            if !is_counted {
                drawn.count(link.streams, self.number);
            }
            begins(&drawn, self.number);
            return (drawn.scope == Scope::Calls).then_some(drawn);
        }
        let drawn = plan.draw(link.streams, &mut self.draws, self.number);
        tally.count(drawn, link.streams, self.number);
        begins(drawn, self.number);
        (drawn.scope == Scope::Calls).then(|| drawn.clone())
    }
}
