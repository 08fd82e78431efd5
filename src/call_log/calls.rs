//! The calls of one connection, as state: times are arguments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::RecordedCall;
use crate::events::{Action, RequestHead};
use crate::labels::CallLabel;
use crate::protocol::{Expect, Protocol};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// The last byte of the backend's reply is here.
    Replied,
    /// It got an answer of our own.
    Answered,
    /// It turned out to have no reply.
    Unanswered,
}

/// The calls of one connection.
#[derive(Debug)]
pub(super) struct Calls {
    proxy: Arc<str>,
    connection: u64,
    kept: Vec<RecordedCall>,
    /// Those of `kept` that have not ended, by number.
    open: VecDeque<Open>,
    /// The number of the last call that began.
    last: u64,
    /// With `tcp` a reply has no end: a call is open until the next begins, and is done with what came last.
    are_turns: bool,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Its place in `kept`.
    at: usize,
    has_reply: bool,
    /// When the last byte of its request was passed on.
    passed: Option<Duration>,
}

impl Calls {
    pub(super) fn new(proxy: Arc<str>, connection: u64, protocol: Protocol) -> Self {
        let are_turns = protocol == Protocol::Tcp;
        Self { proxy, connection, kept: Vec::new(), open: VecDeque::new(), last: 0, are_turns }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn take(&mut self) -> Vec<RecordedCall> {
        std::mem::take(&mut self.kept)
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of a call when it begins")]
    pub(super) fn begins(
        &mut self,
        now: Duration,
        admits: impl FnOnce() -> bool,
        number: u64,
        handler: &Arc<str>,
        label: Option<&Arc<CallLabel>>,
        protocol: Protocol,
        head: &[u8],
        expect: Expect,
    ) {
        let has_reply = expect != Expect::Nothing;
        if number <= self.last {
            if let Some(open) = self.open.back_mut().filter(|open| open.number == number) {
                open.has_reply = has_reply;
                self.kept[open.at].head = RequestHead::of(protocol, head);
            }
            return;
        }
        self.last = number;
        self.next(now);
        if self.are_turns {
            // A turn ends where the next begins.
            self.open.clear();
        }
        if !admits() {
            return;
        }
        self.open.push_back(Open { number, at: self.kept.len(), has_reply, passed: None });
        self.kept.push(RecordedCall {
            proxy: self.proxy.clone(),
            connection: self.connection,
            call: number,
            handler: handler.clone(),
            label: label.cloned(),
            begun: now,
            ended: now,
            is_done: false,
            next: None,
            fault: None,
            head: RequestHead::of(protocol, head),
        });
    }

    /// The next call begins, or the connection ends.
    pub(super) fn next(&mut self, now: Duration) {
        if let Some(last) = self.kept.last_mut() {
            last.next.get_or_insert(now);
        }
    }

    pub(super) fn fault(&mut self, number: u64, action: Action) {
        if let Ok(place) = self.open.binary_search_by_key(&number, |open| open.number) {
            self.kept[self.open[place].at].fault = Some(action);
        }
    }

    /// The last byte of the latest request was passed on, which ends a call that has no reply.
    pub(super) fn passed_on(&mut self, now: Duration) {
        let Some(last) = self.open.back_mut() else { return };
        last.passed.get_or_insert(now);
        if !last.has_reply {
            self.kept[last.at].ended = now;
            self.open.pop_back();
        }
    }

    /// The oldest call has ended.
    pub(super) fn ended(&mut self, now: Duration, how: CallEnd) {
        let Some(&Open { at, passed, .. }) = self.open.front() else { return };
        if !self.are_turns {
            self.open.pop_front();
        }
        let call = &mut self.kept[at];
        call.is_done = how != CallEnd::Unanswered;
        call.ended = if call.is_done { now } else { passed.unwrap_or(now) };
    }

    /// The last byte of request `number` was passed on.
    pub(super) fn passed_on_of(&mut self, now: Duration, number: u64) {
        if let Ok(place) = self.open.binary_search_by_key(&number, |open| open.number) {
            self.open[place].passed.get_or_insert(now);
        }
    }

    /// Call `number` has ended, whatever others do.
    pub(super) fn ended_of(&mut self, now: Duration, number: u64, how: CallEnd) {
        let Ok(place) = self.open.binary_search_by_key(&number, |open| open.number) else { return };
        let Some(Open { at, passed, .. }) = self.open.remove(place) else { return };
        let call = &mut self.kept[at];
        call.is_done = how != CallEnd::Unanswered;
        call.ended = if call.is_done { now } else { passed.unwrap_or(now) };
    }

    pub(super) fn more(&mut self, now: Duration) {
        let Some(open) = self.open.front().filter(|_| self.are_turns) else { return };
        let call = &mut self.kept[open.at];
        if call.is_done {
            call.ended = now;
        }
    }

    /// All calls end but the last `but`.
    pub(super) fn end(&mut self, now: Duration, but: usize) {
        let ending = self.open.len().saturating_sub(but);
        for Open { at, .. } in self.open.drain(..ending) {
            let call = &mut self.kept[at];
            // A turn that was answered ended with the last bytes of its reply.
            if !call.is_done {
                call.ended = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose calls are told at made-up times.
    struct Line(Calls, Protocol);

    impl Line {
        fn new(protocol: Protocol) -> Self {
            Self(Calls::new("cache".into(), 1, protocol), protocol)
        }

        fn begins(&mut self, millis: u64, number: u64, expect: Expect) {
            self.0.begins(ms(millis), || true, number, &"dummy".into(), None, self.1, b"GET a\r\n", expect);
        }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Of each call its number, when it began and ended, and whether it was done.
    fn times(calls: &[RecordedCall]) -> Vec<(u64, u128, u128, bool)> {
        let times = |call: &RecordedCall| (call.call, call.begun.as_millis(), call.ended.as_millis(), call.is_done);
        calls.iter().map(times).collect()
    }

    #[test]
    fn calls_take_from_their_head_to_the_end_of_their_reply() {
        let mut line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.0.passed_on(ms(10));
        line.begins(20, 2, Expect::Reply);
        line.0.ended(ms(30), CallEnd::Replied);
        line.0.ended(ms(50), CallEnd::Replied);
        let calls = line.0.take();
        assert_eq!(times(&calls), [(1, 10, 30, true), (2, 20, 50, true)]);
        assert_eq!(calls[1].took(), Some(Duration::from_millis(30)));
    }

    #[test]
    fn a_client_pauses_after_a_fault_until_its_next_call_or_its_end() {
        let mut line = Line::new(Protocol::Redis);
        for (number, begun) in [(1, 10), (2, 20), (3, 2000)] {
            line.begins(begun, number, Expect::Reply);
            if number > 1 {
                line.0.fault(number, Action::Answer);
            }
            line.0.ended(ms(begun + 5), CallEnd::Answered);
        }
        line.0.next(ms(3000));
        let paused: Vec<_> = line.0.take().iter().map(RecordedCall::paused).collect();
        assert_eq!(paused, [None, Some(ms(1975)), Some(ms(995))]);
    }

    #[test]
    fn a_call_without_a_reply_ends_when_it_is_passed_on() {
        let mut line = Line::new(Protocol::Memcache);
        line.begins(10, 1, Expect::Reply);
        line.0.passed_on(ms(10));
        line.begins(20, 2, Expect::Nothing);
        line.0.passed_on(ms(30));
        line.begins(40, 3, Expect::Reply);
        line.0.ended(ms(50), CallEnd::Replied);
        line.0.ended(ms(60), CallEnd::Replied);
        assert_eq!(times(&line.0.take()), [(1, 10, 50, true), (2, 20, 30, false), (3, 40, 60, true)]);
    }

    #[test]
    fn a_quiet_call_that_had_nothing_to_say_ended_when_it_was_passed_on() {
        let mut line = Line::new(Protocol::Memcache);
        line.begins(10, 1, Expect::Reply);
        line.0.passed_on(ms(20));
        line.begins(30, 2, Expect::Reply);
        line.0.ended(ms(40), CallEnd::Unanswered);
        line.0.ended(ms(40), CallEnd::Replied);
        assert_eq!(times(&line.0.take()), [(1, 10, 20, false), (2, 30, 40, true)]);
    }

    #[test]
    fn a_turn_takes_until_the_last_that_was_said_in_it() {
        let mut line = Line::new(Protocol::Tcp);
        line.0.more(ms(5));
        line.begins(10, 1, Expect::Reply);
        line.0.more(ms(20));
        line.0.ended(ms(30), CallEnd::Replied);
        line.0.more(ms(40));
        line.begins(50, 2, Expect::Reply);
        line.0.more(ms(60));
        line.0.ended(ms(70), CallEnd::Replied);
        line.0.more(ms(80));
        line.0.end(ms(90), 0);
        assert_eq!(times(&line.0.take()), [(1, 10, 40, true), (2, 50, 80, true)]);
    }

    #[test]
    fn streams_end_in_any_order() {
        let mut line = Line::new(Protocol::Http);
        for number in 1..=3 {
            line.begins(10 * number, number, Expect::Reply);
        }
        line.0.passed_on_of(ms(32), 1);
        line.0.ended_of(ms(40), 2, CallEnd::Replied);
        line.0.ended_of(ms(50), 2, CallEnd::Replied);
        line.0.ended_of(ms(60), 1, CallEnd::Unanswered);
        line.0.end(ms(70), 0);
        assert_eq!(times(&line.0.take()), [(1, 10, 32, false), (2, 20, 40, true), (3, 30, 70, false)]);
    }

    #[test]
    fn what_is_open_ends_with_its_connection_and_is_not_done() {
        let mut line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.begins(20, 2, Expect::Reply);
        line.0.ended(ms(30), CallEnd::Replied);
        line.0.end(ms(40), 0);
        let calls = line.0.take();
        assert_eq!(times(&calls), [(1, 10, 30, true), (2, 20, 40, false)]);
        assert_eq!(calls[1].took(), None);
    }

    #[test]
    fn a_request_in_hand_outlives_the_replies() {
        let mut line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.begins(20, 2, Expect::Reply);
        line.0.end(ms(30), 1);
        line.0.end(ms(40), 0);
        assert_eq!(times(&line.0.take()), [(1, 10, 30, false), (2, 20, 40, false)]);
    }

    #[test]
    fn the_first_call_begins_when_it_is_first_told_of() {
        let mut line = Line::new(Protocol::Redis);
        line.begins(10, 1, Expect::Reply);
        line.0.fault(1, Action::Sleep);
        line.begins(30, 1, Expect::Nothing);
        line.0.fault(1, Action::Wait);
        line.0.passed_on(ms(50));
        let calls = line.0.take();
        assert_eq!(times(&calls), [(1, 10, 50, false)]);
        assert_eq!((calls[0].fault, calls[0].head.is_some()), (Some(Action::Wait), true));
    }

    #[test]
    fn a_call_that_is_not_admitted_is_not_kept() {
        let mut line = Line::new(Protocol::Redis);
        line.begins(1, 1, Expect::Reply);
        line.0.begins(ms(2), || false, 2, &"dummy".into(), None, Protocol::Redis, b"", Expect::Reply);
        line.0.fault(2, Action::Sleep);
        for millis in 10..12 {
            line.0.passed_on(ms(millis));
            line.0.ended(ms(millis), CallEnd::Replied);
        }
        assert_eq!(times(&line.0.take()), [(1, 1, 10, true)]);
    }
}
