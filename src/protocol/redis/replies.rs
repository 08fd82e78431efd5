//! Frames replies, and the pushes between them.

use memchr::memchr;

use super::value::{Value, whole};
use super::{Expect, Subscription};
use crate::protocol::{Expect as AnyExpect, Step};

/// The longest header (`>3\r\n`) of a push that can be a confirmation, in bytes.
const MAX_PUSH_HEADER: usize = 8;

/// Frames what the backend sends.
#[derive(Debug, Default)]
pub struct Replies {
    value: Value,
    /// The value belongs to no call.
    is_push: bool,
    /// The confirmations still missing from a reply that has begun.
    due: Option<Expect>,
    /// The last reply was one of these confirmations, and another may follow: the command names no channel, so their number
    /// is unknown, or the confirmation was unasked, as where a cluster moves a slot and ends the subscriptions to its
    /// channels.
    stray: Option<Subscription>,
    failure: Option<&'static str>,
    /// HELLO has been granted RESP3.
    is_resp3: bool,
}

impl Replies {
    /// Whether the replies from here on are in RESP3.
    pub(in crate::protocol) fn is_resp3(&self) -> bool {
        self.is_resp3
    }

    /// An answer of our own to a call that expects this has been sent.
    pub(in crate::protocol) fn answered(&mut self, expect: AnyExpect, answer: &[u8]) {
        if let (AnyExpect::Resp { is_3 }, Some(first)) = (expect, answer.first()) {
            self.grant(is_3, *first);
        }
    }

    /// The reply to HELLO or RESET begins with this byte. An error changes nothing, and neither does HELLO that MULTI queues.
    fn grant(&mut self, is_3: bool, first: u8) {
        if matches!(first, b'%' | b'*') || first == b'+' && !is_3 {
            self.is_resp3 = is_3;
        }
    }

    /// The next step; `expect` belongs to the oldest open call, `None` if no call is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Step {
        if expect == Some(AnyExpect::Reply)
            && !self.is_within()
            && self.failure.is_none()
            && self.stray.is_none()
            && let Some(len) = whole(bytes)
        {
            return Step::Part { len, left: Some(0) };
        }
        let mut len = 0;
        // A reply is one value, or several confirmations.
        while self.failure.is_none() && len < bytes.len() {
            if self.value.has_ended() {
                match self.begin(&bytes[len..], expect) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(reason) => {
                        self.failure = Some(reason);
                        break;
                    }
                }
            }
            self.failure = self.value.read(bytes, &mut len).err();
            if !self.value.has_ended() || self.due.is_none() {
                break;
            }
        }
        match self.failure {
            Some(reason) if len == 0 => Step::Opaque(reason),
            _ if len == 0 => Step::More,
            _ if self.is_push => Step::Pass(len),
            Some(_) => Step::Part { len, left: None },
            None => Step::Part { len, left: if self.due.is_none() { self.value.left() } else { None } },
        }
    }

    /// Whether the bytes passed on end inside a reply or a push.
    pub(in crate::protocol) fn is_within(&self) -> bool {
        !self.value.has_ended() || self.due.is_some()
    }

    /// Decides to what the value at the start of `bytes` belongs; `false` if that takes more bytes.
    fn begin(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Result<bool, &'static str> {
        let awaited = match (self.due, expect) {
            (Some(due), _) | (None, Some(AnyExpect::Redis(due))) => Some(due),
            _ => None,
        };
        match (bytes[0], awaited) {
            (b'>', awaited) => {
                let confirms = awaited.map_or(Some(false), |awaited| confirms(bytes, awaited.subscription));
                let Some(confirms) = confirms else { return Ok(false) };
                // Any push between two confirmations counts as part of the reply: the bytes of a message are
                // contiguous.
                self.is_push = !confirms && self.due.is_none();
                if let (Some(awaited), true) = (awaited, confirms) {
                    self.confirmed(awaited)?;
                }
                self.value.begin_push();
            }
            (first @ (b'-' | b'!'), Some(_)) if self.due.is_none() => self.reply(first)?,
            (_, Some(_)) => return Err("a subscription whose reply is not a push"),
            (_, None) if expect.is_none() => return Err("a reply while no command is open"),
            (first, None) => {
                self.reply(first)?;
                if let Some(AnyExpect::Resp { is_3 }) = expect {
                    self.grant(is_3, first);
                }
            }
        }
        Ok(true)
    }

    /// Begins a reply of one value, whose first byte this is.
    fn reply(&mut self, first: u8) -> Result<(), &'static str> {
        if self.stray == Some(Subscription::Sunsubscribe) && matches!(first, b'-' | b'!') {
            return Err("an error that may belong to an earlier SUNSUBSCRIBE");
        }
        (self.is_push, self.stray) = (false, None);
        self.value.begin();
        Ok(())
    }

    /// Counts one of the `awaited` confirmations.
    fn confirmed(&mut self, awaited: Expect) -> Result<(), &'static str> {
        if self.stray == Some(awaited.subscription) {
            return Err("a confirmation that may belong to an earlier command");
        }
        let confirmations = awaited.confirmations.saturating_sub(1);
        let is_last = confirmations == 0;
        let may_be_followed = awaited.confirmations == 0 || awaited.subscription == Subscription::Sunsubscribe;
        self.stray = (is_last && may_be_followed).then_some(awaited.subscription);
        self.due = (confirmations > 0).then_some(Expect { confirmations, ..awaited });
        Ok(())
    }
}

/// Whether `push` confirms `subscription`; `None` if that takes more bytes.
fn confirms(push: &[u8], subscription: Subscription) -> Option<bool> {
    let Some(header) = memchr(b'\n', &push[..push.len().min(MAX_PUSH_HEADER)]) else {
        return (push.len() >= MAX_PUSH_HEADER).then_some(false);
    };
    let (kind, wanted) = (&push[header + 1..], subscription.confirmation());
    if kind.len() < wanted.len() && wanted.starts_with(kind) { None } else { Some(kind.starts_with(wanted)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: Option<AnyExpect> = Some(AnyExpect::Reply);

    #[expect(clippy::unnecessary_wraps, reason = "has the type of `step`'s argument")]
    fn confirmations(subscription: Subscription, confirmations: u32) -> Option<AnyExpect> {
        Some(AnyExpect::Redis(Expect { subscription, confirmations }))
    }

    fn first(bytes: &str, expect: Option<AnyExpect>) -> Step {
        Replies::default().step(bytes.as_bytes(), expect)
    }

    fn whole(len: usize) -> Step {
        Step::Part { len, left: Some(0) }
    }

    #[test]
    fn a_small_reply_is_one_step() {
        for reply in ["+OK\r\n", "$3\r\nabc\r\n", "*2\r\n:1\r\n$1\r\na\r\n", "%1\r\n+a\r\n_\r\n", "$-1\r\n"] {
            assert_eq!(first(&format!("{reply}+OK\r\n"), REPLY), whole(reply.len()), "{reply:?}");
        }
    }

    #[test]
    fn resp3_is_what_hello_is_granted() {
        let (three, two) = (Some(AnyExpect::Resp { is_3: true }), Some(AnyExpect::Resp { is_3: false }));
        let mut replies = Replies::default();
        for (reply, expect, is_resp3) in [
            ("-NOAUTH no\r\n", three, false),
            ("+QUEUED\r\n", three, false),
            (">1\r\n+a\r\n", three, false),
            ("%1\r\n+proto\r\n:3\r\n", three, true),
            ("%0\r\n", REPLY, true),
            ("!2\r\nno\r\n", two, true),
            ("-ERR no\r\n", two, true),
            ("*0\r\n", two, false),
            ("%0\r\n", three, true),
            ("+RESET\r\n", two, false),
        ] {
            replies.step(reply.as_bytes(), expect);
            assert_eq!(replies.is_resp3(), is_resp3, "{reply:?}");
        }
    }

    #[test]
    fn what_is_left_is_known_from_the_last_size() {
        assert_eq!(first("$1000\r\nab", REPLY), Step::Part { len: 9, left: Some(1000) });
        assert_eq!(first("*2\r\n$1\r\na\r\n$1000\r\n", REPLY), Step::Part { len: 18, left: Some(1002) });
        assert_eq!(first("*2\r\n$1000\r\n", REPLY), Step::Part { len: 11, left: None });
        assert_eq!(
            first("$9223372036854775807\r\n", REPLY),
            Step::Part { len: 22, left: Some(9_223_372_036_854_775_809) }
        );
        assert_eq!(first("$10", REPLY), Step::Part { len: 3, left: None });
        assert_eq!(first("*?\r\n$10\r\n", REPLY), Step::Part { len: 9, left: None });
    }

    #[test]
    fn pushes_belong_to_no_call() {
        let push = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
        assert_eq!(first(&format!("{push}:1\r\n"), REPLY), Step::Pass(push.len()));
        assert_eq!(first(push, None), Step::Pass(push.len()));
        assert_eq!(first(push, confirmations(Subscription::Subscribe, 1)), Step::Pass(push.len()));

        let mut replies = Replies::default();
        assert_eq!(replies.step(b">1\r\n$1000000\r\nab", None), Step::Pass(16));
        assert_eq!(replies.step(&vec![b'x'; 2_000_000], REPLY), Step::Pass(1_000_000));
    }

    #[test]
    fn what_cannot_be_paired_is_opaque() {
        assert_eq!(first("+OK\r\n", None), Step::Opaque("a reply while no command is open"));
        assert_eq!(first("HTTP/1.1", REPLY), Step::Opaque("an unknown RESP type"));
        // Redis before 7.0.5 sent invalidation pushes inside the reply to EXEC.
        let mut replies = Replies::default();
        assert_eq!(replies.step(b"*2\r\n>1\r\n", REPLY), Step::Part { len: 4, left: None });
        assert_eq!(replies.step(b">1\r\n", REPLY), Step::Opaque("a push inside a reply"));
        assert_eq!(replies.step(b"+OK\r\n", REPLY), Step::Opaque("a push inside a reply"));
    }

    #[test]
    fn confirmations_are_the_reply_of_a_subscription() {
        // The reply of Redis 7.0 to SUBSCRIBE a b a.
        let pushes = b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n\
                       >3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n";
        let expect = confirmations(Subscription::Subscribe, 3);
        assert_eq!(Replies::default().step(pushes, expect), whole(pushes.len()));
        let one = pushes.len() / 3;
        assert_eq!(Replies::default().step(&pushes[..2 * one], expect), Step::Part { len: 2 * one, left: None });
        for held in 1..18 {
            assert_eq!(Replies::default().step(&pushes[..held], expect), Step::More, "{held}");
        }
        assert_eq!(Replies::default().step(&pushes[..18], expect), Step::More);
        assert_eq!(Replies::default().step(&pushes[..19], expect), Step::Part { len: 19, left: None });
    }

    #[test]
    fn a_subscription_may_be_refused() {
        let expect = confirmations(Subscription::Subscribe, 3);
        assert_eq!(first("-NOPERM no\r\n+OK\r\n", expect), whole(12));
        assert_eq!(first("!2\r\nno\r\n", expect), whole(8));
    }

    #[test]
    fn a_subscription_without_pushes_is_opaque() {
        let expect = confirmations(Subscription::Subscribe, 1);
        // After HELLO 3 was refused; within MULTI.
        for reply in ["*3\r\n$9\r\nsubscribe\r\n", "+QUEUED\r\n"] {
            assert_eq!(first(reply, expect), Step::Opaque("a subscription whose reply is not a push"));
        }
        let mut replies = Replies::default();
        let expect = confirmations(Subscription::Subscribe, 2);
        assert_eq!(replies.step(b">1\r\n$9\r\nsubscribe\r\n-ERR\r\n", expect), Step::Part { len: 19, left: None });
        assert_eq!(replies.step(b"-ERR\r\n", expect), Step::Opaque("a subscription whose reply is not a push"));
    }

    #[test]
    fn confirmations_of_unknown_number() {
        // The reply of Redis 7.0 to UNSUBSCRIBE after SUBSCRIBE a b, and to a second UNSUBSCRIBE.
        let pushes = b">3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n";
        let (one, expect) = (pushes.len() / 2, confirmations(Subscription::Unsubscribe, 0));
        let mut replies = Replies::default();
        assert_eq!(replies.step(pushes, expect), whole(one));
        assert_eq!(replies.step(&pushes[one..], REPLY), Step::Pass(one));
        assert_eq!(replies.step(b"+PONG\r\n", REPLY), whole(7));
        assert_eq!(replies.step(b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n", expect), whole(29));
        // No reply of another kind came between them, so the confirmation may belong to either.
        assert_eq!(replies.step(pushes, expect), Step::Opaque("a confirmation that may belong to an earlier command"));
    }

    /// A cluster that moves a slot ends the subscriptions to its channels unasked.
    #[test]
    fn an_error_behind_a_confirmation_that_may_have_been_unasked_is_opaque() {
        let push = ">3\r\n$12\r\nsunsubscribe\r\n$2\r\nch\r\n:0\r\n";
        for confirmed in [0, 1] {
            for error in ["-MOVED 1 b:1\r\n", "!2\r\nno\r\n"] {
                for expect in [REPLY, confirmations(Subscription::Subscribe, 1)] {
                    let mut replies = Replies::default();
                    let expect_push = confirmations(Subscription::Sunsubscribe, confirmed);
                    assert_eq!(replies.step(push.as_bytes(), expect_push), whole(push.len()));
                    let step = replies.step(error.as_bytes(), expect);
                    assert!(matches!(step, Step::Opaque(_)), "{error:?} {step:?}");
                }
            }
        }
        // The error may be that of the first, and the second push unasked as well.
        let expect = confirmations(Subscription::Sunsubscribe, 1);
        let mut replies = Replies::default();
        assert_eq!(replies.step(push.as_bytes(), expect), whole(push.len()));
        assert!(matches!(replies.step(push.as_bytes(), expect), Step::Opaque(_)));
        // What is neither a push nor an error belongs to another command, so the confirmation was asked for.
        let mut replies = Replies::default();
        assert_eq!(replies.step(push.as_bytes(), expect), whole(push.len()));
        assert_eq!(replies.step(b"+OK\r\n", REPLY), whole(5));
        assert_eq!(replies.step(b"-ERR\r\n", REPLY), whole(6));
        assert_eq!(replies.step(push.as_bytes(), expect), whole(push.len()));
        // Nobody but a cluster ends subscriptions unasked.
        let push = push.replace("$12\r\nsunsubscribe", "$11\r\nunsubscribe");
        let mut replies = Replies::default();
        assert_eq!(replies.step(push.as_bytes(), confirmations(Subscription::Unsubscribe, 1)), whole(push.len()));
        assert_eq!(replies.step(b"-ERR\r\n", REPLY), whole(6));
    }

    #[test]
    fn an_expectation_is_small() {
        assert!(size_of::<Expect>() <= 8);
    }
}
