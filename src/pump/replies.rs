//! Replies in what the backend sends, and whose turn it is.

use std::sync::Mutex;
use std::task::Context;

use super::End;
use super::context::ConnectionContext;
use super::open_calls::{OpenCalls, ReplySource, lock};
use super::outbound::{Frame, Lane};
use crate::protocol;
use crate::protocol::Step;

/// Finds replies and passes on those that no handler wants to see.
pub(super) struct Replies<'a, 's> {
    pub(super) link: &'a ConnectionContext<'a>,
    pub(super) exchange: &'a Mutex<OpenCalls>,
    pub(super) framer: protocol::Replies,
    pub(super) lane: Lane<'a, 's>,
}

/// Why passing on came to a stop.
pub(super) enum Stop {
    /// The client takes no more for now.
    Blocked,
    /// It is the turn of an answer of our own.
    Answer,
    /// A handler's turn: its reply has begun with this many bytes, and this is still to come.
    Handled(usize, Option<u64>),
    /// Messages can no longer be told apart.
    Opaque,
    /// What follows is no reply, and a handler has a request in hand that may have to be answered before.
    Hold,
    /// A handler ends the connection.
    End(End),
    /// The backend has sent its last byte.
    Ended,
}

impl Replies<'_, '_> {
    /// What has its turn now, if it is not the backend.
    pub(super) fn turn(&self) -> Option<Stop> {
        turn(&lock(self.exchange))
    }
}

fn turn(exchange: &OpenCalls) -> Option<Stop> {
    if exchange.opaque {
        return Some(Stop::Opaque);
    }
    match exchange.front()?.1 {
        ReplySource::Pass | ReplySource::Handled(_) | ReplySource::Seen => None,
        ReplySource::Answer(_) => Some(Stop::Answer),
        ReplySource::Close => Some(Stop::End(End::Close)),
        ReplySource::Reset => Some(Stop::End(End::Reset)),
        ReplySource::Opaque => Some(Stop::Opaque),
    }
}

impl<'a, 's> Frame<'a, 's> for Replies<'a, 's> {
    type Stop = Stop;

    const BLOCKED: Stop = Stop::Blocked;

    fn lane(&mut self) -> &mut Lane<'a, 's> {
        &mut self.lane
    }

    fn frame(&mut self, cx: &Context<'_>, bytes: &[u8]) -> (usize, Option<Stop>) {
        self.lane.look = false;
        let mut exchange = lock(self.exchange);
        let (at, stop) = self.find(&mut exchange, cx, bytes);
        exchange.within_reply = at < bytes.len() || self.framer.is_within();
        (at, stop)
    }
}

impl Replies<'_, '_> {
    fn find(&mut self, exchange: &mut OpenCalls, cx: &Context<'_>, bytes: &[u8]) -> (usize, Option<Stop>) {
        let mut at = 0;
        let mut track = self.link.track();
        while at < bytes.len() {
            if let Some(stop) = turn(exchange) {
                return (at, Some(stop));
            }
            let front = exchange.front();
            let handled = matches!(front, Some((_, ReplySource::Handled(_))));
            match self.framer.step(&bytes[at..], front.map(|(expect, _)| expect)) {
                Step::More => break,
                Step::Pass(len) => {
                    at += len;
                    if let Some(track) = &mut track {
                        track.more();
                    }
                }
                Step::Part { len, left } if handled => return (at, Some(Stop::Handled(len, left))),
                Step::Part { len, left } => {
                    at += len;
                    if left == Some(0) {
                        exchange.pop(cx);
                        if let Some(track) = &mut track {
                            track.replied();
                        }
                    }
                }
                Step::Unanswered => {
                    exchange.pop(cx);
                    if let Some(track) = &mut track {
                        track.unanswered();
                    }
                }
                Step::Opaque(_) if exchange.in_hand && front.is_none() => {
                    self.lane.look = true;
                    return (at, Some(Stop::Hold));
                }
                Step::Opaque(why) => {
                    self.link.turns_opaque(why);
                    return (at, Some(Stop::Opaque));
                }
                Step::Call { .. } | Step::Wait => unreachable!("a reply framer knows of no requests"),
            }
        }
        (at, None)
    }
}
