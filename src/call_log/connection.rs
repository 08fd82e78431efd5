//! The calls of one connection, as its pumps tell of them.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::{Kept, RecordedCall};
use crate::events::{Action, RequestHead};
use crate::protocol::{Expect, Protocol};

/// Tells of one connection's calls at one moment.
#[derive(Debug)]
pub(crate) struct Track<'a> {
    kept: MutexGuard<'a, Kept>,
    proxy: &'a Arc<str>,
    connection: u64,
    now: Duration,
}

/// The calls of a connection that is there now.
#[derive(Debug)]
pub(super) struct Calls {
    /// Keeps its address from becoming another proxy's.
    _proxy: Arc<str>,
    /// The number of the last one that began.
    last: u64,
    /// Those that are kept and have not ended, by number.
    open: VecDeque<Open>,
    /// With `tcp` a reply has no end: a call is open until the next begins, and is done with what came last.
    are_turns: bool,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Its place among all that are kept.
    at: usize,
    has_reply: bool,
    /// When the last byte of its request was.
    passed: Option<Duration>,
}

impl<'a> Track<'a> {
    pub(super) fn new(kept: MutexGuard<'a, Kept>, proxy: &'a Arc<str>, connection: u64, now: Duration) -> Self {
        Self { kept, proxy, connection, now }
    }

    /// Call `number` was drawn for `handler`. Of a connection's first call this may be told twice: when its client is let
    /// in, and when its request is there.
    pub(crate) fn begins(&mut self, number: u64, handler: &Arc<str>, protocol: Protocol, head: &[u8], expect: Expect) {
        let &mut Self { proxy, connection, now, .. } = self;
        let key = self.key();
        let Kept { recorded, connections, most, .. } = &mut *self.kept;
        let calls = connections.entry(key).or_insert_with(|| Calls::new(proxy, protocol));
        let has_reply = expect != Expect::Nothing;
        if number <= calls.last {
            if let Some(open) = calls.open.back_mut().filter(|open| open.number == number) {
                open.has_reply = has_reply;
                recorded.calls[open.at].head = RequestHead::of(protocol, head);
            }
            return;
        }
        calls.last = number;
        if calls.are_turns {
            // Where the next begins, the one before has ended.
            calls.open.clear();
        }
        if recorded.calls.len() == *most {
            recorded.left_out += 1;
            return;
        }
        calls.open.push_back(Open { number, at: recorded.calls.len(), has_reply, passed: None });
        recorded.calls.push(RecordedCall {
            proxy: proxy.clone(),
            connection,
            call: number,
            handler: handler.clone(),
            begun: now,
            ended: now,
            is_done: false,
            fault: None,
            head: RequestHead::of(protocol, head),
        });
    }

    /// `handler` does something to call `number`. It may be the first that is heard of that call.
    pub(crate) fn fault(&mut self, number: u64, handler: &Arc<str>, protocol: Protocol, action: Action) {
        let key = self.key();
        if self.kept.connections.get(&key).is_none_or(|calls| calls.last < number) {
            self.begins(number, handler, protocol, &[], Expect::Reply);
        }
        let Kept { recorded, connections, .. } = &mut *self.kept;
        let Some(Calls { open, .. }) = connections.get_mut(&key) else { return };
        if let Ok(place) = open.binary_search_by_key(&number, |open| open.number) {
            recorded.calls[open[place].at].fault = Some(action);
        }
    }

    /// The last byte of the latest call's request has been passed on.
    pub(crate) fn passed_on(&mut self) {
        let now = self.now;
        let Some((Calls { open, .. }, kept)) = self.calls() else { return };
        let Some(last) = open.back_mut() else { return };
        let at = last.at;
        last.passed.get_or_insert(now);
        if !last.has_reply {
            open.pop_back();
            kept[at].ended = now;
        }
    }

    /// The last byte of the oldest call's reply is here.
    pub(crate) fn replied(&mut self) {
        let now = self.now;
        let Some((calls, kept)) = self.calls() else { return };
        let oldest =
            if calls.are_turns { calls.open.front().map(|open| open.at) } else { calls.pop().map(|open| open.at) };
        if let Some(at) = oldest {
            done(&mut kept[at], now);
        }
    }

    /// The oldest call turned out to have no reply.
    pub(crate) fn unanswered(&mut self) {
        let now = self.now;
        let Some((calls, kept)) = self.calls() else { return };
        if let Some(Open { at, passed, .. }) = calls.pop() {
            kept[at].ended = passed.unwrap_or(now);
        }
    }

    /// What belongs to no message is here. With `tcp` it is more of the reply.
    pub(crate) fn more(&mut self) {
        let now = self.now;
        let Some((Calls { open, are_turns: true, .. }, kept)) = self.calls() else { return };
        if let Some(call) = open.front().map(|open| &mut kept[open.at]).filter(|call| call.is_done) {
            call.ended = now;
        }
    }

    /// No more replies are told apart. A request that a handler has in hand is not concerned.
    pub(crate) fn replies_end(&mut self, in_hand: bool) {
        let now = self.now;
        if let Some((calls, kept)) = self.calls() {
            calls.end(usize::from(in_hand), kept, now);
        }
    }

    /// The connection has ended, and with it all its calls.
    pub(crate) fn end(mut self) {
        let key = self.key();
        let Kept { recorded, connections, .. } = &mut *self.kept;
        if let Some(mut calls) = connections.remove(&key) {
            calls.end(0, &mut recorded.calls, self.now);
        }
    }

    fn key(&self) -> (usize, u64) {
        // There may be two proxies of one name, where one has taken the other's place.
        (Arc::as_ptr(self.proxy).addr(), self.connection)
    }

    /// The connection's calls, and all that are kept.
    fn calls(&mut self) -> Option<(&mut Calls, &mut [RecordedCall])> {
        let key = self.key();
        let Kept { recorded, connections, .. } = &mut *self.kept;
        Some((connections.get_mut(&key)?, &mut recorded.calls))
    }
}

impl Calls {
    fn new(proxy: &Arc<str>, protocol: Protocol) -> Self {
        Self { _proxy: proxy.clone(), last: 0, open: VecDeque::new(), are_turns: protocol == Protocol::Tcp }
    }

    /// The oldest one ends.
    fn pop(&mut self) -> Option<Open> {
        self.open.pop_front()
    }

    /// All end but the last `but`.
    pub(super) fn end(&mut self, but: usize, kept: &mut [RecordedCall], now: Duration) {
        let ending = self.open.len().saturating_sub(but);
        for Open { at, .. } in self.open.drain(..ending) {
            let call = &mut kept[at];
            // A turn that was answered ended with the last that was said.
            if !call.is_done {
                call.ended = now;
            }
        }
    }
}

fn done(call: &mut RecordedCall, at: Duration) {
    call.is_done = true;
    call.ended = at;
}

#[cfg(test)]
mod tests {
    use super::super::{CallLog, Recorded};
    use super::*;

    /// A connection of a proxy, whose calls are told of at times that are made up.
    struct Line {
        recording: CallLog,
        proxy: Arc<str>,
        connection: u64,
        protocol: Protocol,
    }

    impl Line {
        fn new(protocol: Protocol) -> Self {
            Self::of(&CallLog::on(), protocol)
        }

        fn of(recording: &CallLog, protocol: Protocol) -> Self {
            Self { recording: recording.clone(), proxy: "cache".into(), connection: 1, protocol }
        }

        fn at(&self, millis: u64) -> Track<'_> {
            let track = self.recording.track(&self.proxy, self.connection).unwrap();
            Track { now: Duration::from_millis(millis), ..track }
        }

        fn begins(&self, millis: u64, number: u64, expect: Expect) {
            self.at(millis).begins(number, &"dummy".into(), self.protocol, b"GET a\r\n", expect);
        }

        fn take(&self) -> Recorded {
            self.recording.take()
        }
    }

    /// Of each call its number, when it began and ended, and whether it was done.
    fn times(recorded: &Recorded) -> Vec<(u64, u128, u128, bool)> {
        let times = |call: &RecordedCall| (call.call, call.begun.as_millis(), call.ended.as_millis(), call.is_done);
        recorded.calls.iter().map(times).collect()
    }

    #[test]
    fn calls_take_from_their_head_to_the_end_of_their_reply() {
        let line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.at(10).passed_on();
        line.begins(20, 2, Expect::Reply);
        line.at(30).replied();
        line.at(50).replied();
        let recorded = line.take();
        assert_eq!(times(&recorded), [(1, 10, 30, true), (2, 20, 50, true)]);
        assert_eq!(recorded.calls[1].took(), Some(Duration::from_millis(30)));
    }

    #[test]
    fn a_call_without_a_reply_ends_when_it_is_passed_on() {
        let line = Line::new(Protocol::Memcache);
        line.begins(10, 1, Expect::Reply);
        line.at(10).passed_on();
        line.begins(20, 2, Expect::Nothing);
        line.at(30).passed_on();
        line.begins(40, 3, Expect::Reply);
        line.at(50).replied();
        line.at(60).replied();
        assert_eq!(times(&line.take()), [(1, 10, 50, true), (2, 20, 30, false), (3, 40, 60, true)]);
    }

    #[test]
    fn a_quiet_call_that_had_nothing_to_say_ended_when_it_was_passed_on() {
        let line = Line::new(Protocol::Memcache);
        line.begins(10, 1, Expect::Reply);
        line.at(20).passed_on();
        line.begins(30, 2, Expect::Reply);
        line.at(40).unanswered();
        line.at(40).replied();
        assert_eq!(times(&line.take()), [(1, 10, 20, false), (2, 30, 40, true)]);
    }

    #[test]
    fn a_turn_takes_until_the_last_that_was_said_in_it() {
        let line = Line::new(Protocol::Tcp);
        line.at(5).more();
        line.begins(10, 1, Expect::Reply);
        line.at(20).more();
        line.at(30).replied();
        line.at(40).more();
        line.begins(50, 2, Expect::Reply);
        line.at(60).more();
        line.at(70).replied();
        line.at(80).more();
        line.at(90).end();
        assert_eq!(times(&line.take()), [(1, 10, 40, true), (2, 50, 80, true)]);
    }

    #[test]
    fn what_is_open_ends_with_its_connection_and_is_not_done() {
        let line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.begins(20, 2, Expect::Reply);
        line.at(30).replied();
        line.at(40).end();
        let recorded = line.take();
        assert_eq!(times(&recorded), [(1, 10, 30, true), (2, 20, 40, false)]);
        assert_eq!(recorded.calls[1].took(), None);
    }

    #[test]
    fn a_request_in_hand_outlives_the_replies() {
        let line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.begins(20, 2, Expect::Reply);
        line.at(30).replies_end(true);
        line.at(40).replies_end(false);
        assert_eq!(times(&line.take()), [(1, 10, 30, false), (2, 20, 40, false)]);
    }

    #[test]
    fn the_first_call_begins_when_it_is_first_told_of() {
        let line = Line::new(Protocol::Redis);
        line.at(10).fault(1, &"slow".into(), Protocol::Redis, Action::Sleep);
        line.at(20).begins(1, &"slow".into(), Protocol::Redis, b"", Expect::Reply);
        line.begins(30, 1, Expect::Nothing);
        line.at(40).fault(1, &"slow".into(), Protocol::Redis, Action::Wait);
        line.at(50).passed_on();
        let recorded = line.take();
        assert_eq!(times(&recorded), [(1, 10, 50, false)]);
        let call = &recorded.calls[0];
        assert_eq!((&*call.handler, call.fault, call.head.is_some()), ("slow", Some(Action::Wait), true));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let line = Line::of(&CallLog::of_at_most(2), Protocol::Redis);
        for number in 1..=5 {
            line.begins(number, number, Expect::Reply);
            line.begins(number, number, Expect::Reply);
            line.at(number).fault(number, &"dummy".into(), Protocol::Redis, Action::Sleep);
        }
        for millis in 10..15 {
            line.at(millis).passed_on();
            line.at(millis).replied();
        }
        let recorded = line.take();
        assert_eq!(times(&recorded), [(1, 1, 10, true), (2, 2, 11, true)]);
        assert_eq!(recorded.left_out, 3);
    }

    #[test]
    fn proxies_of_one_name_are_told_apart() {
        let recording = CallLog::on();
        let (before, after) = (Line::of(&recording, Protocol::Redis), Line::of(&recording, Protocol::Redis));
        before.begins(10, 1, Expect::Reply);
        after.begins(20, 1, Expect::Reply);
        after.at(30).replied();
        before.at(40).replied();
        assert_eq!(times(&recording.take()), [(1, 10, 40, true), (1, 20, 30, true)]);
    }

    #[test]
    fn what_was_taken_is_over() {
        let line = Line::new(Protocol::Redis);
        line.at(0).begins(1, &"dummy".into(), Protocol::Redis, b"", Expect::Reply);
        let recorded = line.take();
        assert!(!recorded.calls[0].is_done && recorded.calls[0].ended > Duration::ZERO, "{recorded:?}");
        assert!(line.recording.track(&line.proxy, 1).is_none());
        assert!(line.take().calls.is_empty());
    }
}
