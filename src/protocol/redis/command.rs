//! Which reply a command gets, and which commands make pairing impossible.

use super::{Expect, Subscription};
use crate::protocol::Expect as AnyExpect;
use crate::protocol::failure::Mode;

/// How many words of a command can affect pairing, at most: `CLIENT REPLY OFF`.
pub(super) const MAX_WORDS: usize = 3;

/// The length of the shortest command that affects pairing, in bytes.
const SHORTEST_NAME: usize = b"sync".len();

/// The length of the longest word that affects pairing, in bytes.
pub(super) const LONGEST_NAME: usize = b"punsubscribe".len();

/// What earlier commands determine about later replies.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// HELLO asked for RESP3. One that the backend refuses counts as well: the replies detect it.
    resp3: bool,
    /// What was before the latest HELLO or RESET.
    before: (bool, Transaction),
    /// The transaction that MULTI has begun. A refused MULTI counts as well.
    transaction: Transaction,
    /// What the latest EXEC or DISCARD has ended.
    ended: Transaction,
    /// The command asked for the addresses of other nodes.
    pub(super) detour: Option<&'static str>,
}

/// Where commands stand between MULTI and EXEC.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    #[default]
    None,
    Open,
    /// A command in it got an answer of our own, so that the backend has not queued it: EXEC has to fail.
    Refused,
}

impl Pairing {
    /// What holds for the command that `name` begins, the latest one.
    pub(super) fn mode(&self, name: &[u8]) -> Mode {
        let is = |command: &[u8]| name.eq_ignore_ascii_case(command);
        let ended = if is(b"exec") || is(b"discard") { self.ended } else { Transaction::None };
        Mode {
            resp3: false,
            queued: self.transaction != Transaction::None && !is(b"multi"),
            ends_transaction: ended != Transaction::None,
            aborts: ended == Transaction::Refused && is(b"exec"),
        }
    }

    /// Whether a command in a transaction that may have ended just now was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.transaction == Transaction::Refused || self.ended == Transaction::Refused
    }

    /// The latest command, which `name` begins, gets an answer of our own: the backend knows nothing of it.
    pub(super) fn refuse(&mut self, name: &[u8]) {
        if [&b"hello"[..], b"reset"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            (self.resp3, self.transaction) = self.before;
        }
        match self.transaction {
            Transaction::Open if name.eq_ignore_ascii_case(b"multi") => self.transaction = Transaction::None,
            Transaction::Open => self.transaction = Transaction::Refused,
            Transaction::None => self.ended = Transaction::None,
            Transaction::Refused => {}
        }
    }

    /// The reply to expect for a command of `count` words, or the reason why replies cannot be paired from here on.
    /// `words` are the first ones; an absent or long word is empty.
    #[inline]
    pub(super) fn expect(&mut self, words: [&[u8]; MAX_WORDS], count: u32) -> Result<AnyExpect, &'static str> {
        if words[0].len() < SHORTEST_NAME { Ok(AnyExpect::Reply) } else { self.expect_of_name(words, count) }
    }

    fn expect_of_name(&mut self, words: [&[u8]; MAX_WORDS], count: u32) -> Result<AnyExpect, &'static str> {
        let [command, first, second] = words;
        let mut lower = [0; LONGEST_NAME];
        let Some(name) = lower.get_mut(..command.len()) else { return Ok(AnyExpect::Reply) };
        name.copy_from_slice(command);
        name.make_ascii_lowercase();

        let first_is = |names: &[&str]| names.iter().any(|name| first.eq_ignore_ascii_case(name.as_bytes()));
        let second_is = |names: &[&str]| names.iter().any(|name| second.eq_ignore_ascii_case(name.as_bytes()));
        match &*name {
            b"monitor" => return Err("MONITOR"),
            b"sync" | b"psync" => return Err("replication"),
            // The server never replies to these.
            b"replconf" if first_is(&["ack", "getack"]) => return Err("replication"),
            b"client" if first_is(&["reply"]) && second_is(&["off", "skip"]) => {
                return Err("CLIENT REPLY OFF or SKIP");
            }
            b"cluster" if first_is(&["slots"]) => self.detour = Some("CLUSTER SLOTS"),
            b"cluster" if first_is(&["shards"]) => self.detour = Some("CLUSTER SHARDS"),
            b"cluster" if first_is(&["nodes"]) => self.detour = Some("CLUSTER NODES"),
            b"sentinel" if !first_is(&["ping", "myid", "ckquorum"]) => self.detour = Some("SENTINEL"),
            b"hello" => {
                self.before = (self.resp3, self.transaction);
                if matches!(first, b"2" | b"3") {
                    self.resp3 = first == b"3";
                    return Ok(AnyExpect::Resp { is_3: self.resp3 });
                }
            }
            b"reset" => {
                *self = Self { before: (self.resp3, self.transaction), ..Self::default() };
                return Ok(AnyExpect::Resp { is_3: false });
            }
            // With an argument, the backend refuses these. In a transaction it refuses MULTI, and that changes nothing.
            b"multi" if self.transaction == Transaction::None && count == 1 => self.transaction = Transaction::Open,
            b"exec" | b"discard" if count == 1 => self.ended = std::mem::take(&mut self.transaction),
            b"exec" | b"discard" => self.ended = Transaction::None,
            name => {
                if let Some(subscription) = Subscription::named(name) {
                    return self.expect_confirmations(subscription, count.saturating_sub(1));
                }
            }
        }
        Ok(AnyExpect::Reply)
    }

    fn expect_confirmations(&self, subscription: Subscription, channels: u32) -> Result<AnyExpect, &'static str> {
        if !self.resp3 {
            return Err("a subscription in RESP2");
        }
        if channels == 0 && !subscription.ends() {
            return Ok(AnyExpect::Reply); // the reply is an error
        }
        Ok(AnyExpect::Redis(Expect { subscription, confirmations: channels }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation of the last of `lines`; `None` if it turns the connection opaque.
    fn expect(lines: &[&str]) -> Option<AnyExpect> {
        let mut pairing = Pairing::default();
        let mut last = None;
        for line in lines {
            let mut words = [b"".as_slice(); MAX_WORDS];
            let mut count = 0;
            for word in line.split(' ') {
                if let Some(place) = words.get_mut(count as usize) {
                    *place = word.as_bytes();
                }
                count += 1;
            }
            last = pairing.expect(words, count).ok();
        }
        last
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with the result of `expect`")]
    fn confirmations(subscription: Subscription, confirmations: u32) -> Option<AnyExpect> {
        Some(AnyExpect::Redis(Expect { subscription, confirmations }))
    }

    #[test]
    fn one_command_one_reply() {
        for line in
            ["GET a", "MULTI", "monitors", "CLIENT REPLY ON", "CLIENT LIST", "replconf listening-port 1", "HELLO"]
        {
            assert_eq!(expect(&[line]), Some(AnyExpect::Reply), "{line}");
        }
    }

    #[test]
    fn replies_that_cannot_be_paired() {
        for line in [
            "MONITOR",
            "Sync",
            "PSYNC ? -1",
            "CLIENT REPLY OFF",
            "client reply skip",
            "REPLCONF ACK 1",
            "replconf getack *",
            "SUBSCRIBE a",
            "psubscribe a",
            "SSUBSCRIBE a",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE a",
            "SUNSUBSCRIBE a",
        ] {
            assert_eq!(expect(&[line]), None, "{line}");
        }
    }

    #[test]
    fn subscriptions_in_resp3_are_confirmed_by_pushes() {
        assert_eq!(expect(&["HELLO 3", "SUBSCRIBE a b c"]), confirmations(Subscription::Subscribe, 3));
        assert_eq!(expect(&["hello 3 AUTH a b", "PUNSUBSCRIBE a"]), confirmations(Subscription::Punsubscribe, 1));
        assert_eq!(expect(&["HELLO 3", "unsubscribe"]), confirmations(Subscription::Unsubscribe, 0));
        assert_eq!(expect(&["HELLO 3", "HELLO", "SUBSCRIBE"]), Some(AnyExpect::Reply), "an error");
    }

    #[test]
    fn a_transaction_with_a_refused_command_aborts() {
        let mut pairing = Pairing::default();
        let mut run = |command: &str, is_refused: bool| {
            let (command, argument) = command.split_once(' ').unwrap_or((command, ""));
            let _ = pairing.expect([command.as_bytes(), argument.as_bytes(), b""], 1 + u32::from(!argument.is_empty()));
            let mode = pairing.mode(command.as_bytes());
            if is_refused {
                pairing.refuse(command.as_bytes());
            }
            (mode.queued, mode.ends_transaction, mode.aborts, pairing.has_refused())
        };
        for (command, is_refused, is) in [
            ("MULTI x", false, (false, false, false, false)),
            ("INCR", true, (false, false, false, false)),
            ("MULTI", false, (false, false, false, false)),
            ("INCR", false, (true, false, false, false)),
            ("exec", false, (false, true, false, false)),
            ("MULTI", true, (false, false, false, false)),
            ("INCR", false, (false, false, false, false)),
            ("EXEC", false, (false, false, false, false)),
            ("MULTI", false, (false, false, false, false)),
            ("INCR", true, (true, false, false, true)),
            ("INCR", false, (true, false, false, true)),
            ("EXEC", true, (false, true, true, false)),
            ("GET", false, (false, false, false, false)),
            ("MULTI", false, (false, false, false, false)),
            ("HELLO 3", true, (true, false, false, true)),
            ("EXEC x", false, (true, false, false, true)),
            ("DISCARD", false, (false, true, false, true)),
            ("MULTI", false, (false, false, false, true)),
            ("RESET", true, (false, false, false, true)),
            ("EXEC", true, (false, true, true, false)),
        ] {
            assert_eq!(run(command, is_refused), is, "{command}");
        }
    }

    #[test]
    fn a_refused_hello_changes_nothing() {
        let mut pairing = Pairing::default();
        let mut expect =
            |command: &str, argument: &str| pairing.expect([command.as_bytes(), argument.as_bytes(), b""], 2);
        assert_eq!(expect("HELLO", "3"), Ok(AnyExpect::Resp { is_3: true }));
        pairing.refuse(b"hello");
        assert!(pairing.expect([b"SUBSCRIBE", b"a", b""], 2).is_err(), "it stays RESP2");
    }

    #[test]
    fn back_to_resp2() {
        assert_eq!(expect(&["HELLO 3", "HELLO 2", "SUBSCRIBE a"]), None);
        assert_eq!(expect(&["HELLO 3", "RESET", "SUBSCRIBE a"]), None);
    }
}
