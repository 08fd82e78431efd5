//! Quick tests for calls that a rule is not about, before it looks at them closely.

use super::facts::Facts;
use super::rule::matcher::Matcher;

/// The commands that rules are about, by their length and their first letter.
#[derive(Debug)]
pub(super) struct Commands([u32; LENGTHS]);

/// Longer commands count as one of the last length.
const LENGTHS: usize = 16;

impl Commands {
    /// None if a rule may be about any command.
    pub(super) fn of<'m>(matchers: impl Iterator<Item = &'m Matcher>) -> Option<Self> {
        let mut known = [0; LENGTHS];
        for matcher in matchers {
            for command in matcher.commands()? {
                let (place, letter) = Self::place(command);
                known[place] |= letter;
            }
        }
        Some(Self(known))
    }

    /// Whether it may be one of them.
    #[inline]
    pub(super) fn may_have(&self, command: &[u8]) -> bool {
        let (place, letter) = Self::place(command);
        self.0[place] & letter != 0
    }

    /// The same for upper case and lower case.
    fn place(command: &[u8]) -> (usize, u32) {
        let letter = command.first().map_or(0, |first| first & 31);
        (command.len().min(LENGTHS - 1), 1 << letter)
    }
}

/// How many bytes of a word are compared at once.
const BYTES: usize = 8;

/// Bits that are the same in the upper and the lower case of a letter, once they are set.
const NO_CASE: u64 = 0x2020_2020_2020_2020;

/// The first bytes of a command and of a key, and the last ones of the key: zeros fill up a shorter one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edges([u64; 3]);

impl Edges {
    #[inline]
    pub(super) fn of(call: &Facts<'_>) -> Self {
        let (command, key) = call.words();
        Self([first_bytes(command) | NO_CASE, first_bytes(key), last_bytes(key)])
    }
}

#[inline]
fn first_bytes(word: &[u8]) -> u64 {
    if let Some(first) = word.first_chunk::<BYTES>() {
        return u64::from_le_bytes(*first);
    }
    let mut first = [0; BYTES];
    first[..word.len()].copy_from_slice(word);
    u64::from_le_bytes(first)
}

#[inline]
fn last_bytes(word: &[u8]) -> u64 {
    if let Some(last) = word.last_chunk::<BYTES>() {
        return u64::from_le_bytes(*last);
    }
    let mut last = [0; BYTES];
    last[BYTES - word.len()..].copy_from_slice(word);
    u64::from_le_bytes(last)
}

/// The bits of so many bytes of a number in memory: of the first ones.
fn first_bits(bytes: usize) -> u64 {
    (0..bytes).fold(0, |bits, byte| bits | 0xff << (8 * byte))
}

/// The edges of calls that a rule is about: some bits of each, and their values.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuickTest {
    bits: [u64; 3],
    values: [u64; 3],
}

impl QuickTest {
    pub(super) fn of(matcher: &Matcher) -> Self {
        let mut test = Self { bits: [0; 3], values: [0; 3] };
        for (place, beginning) in matcher.beginnings().into_iter().enumerate() {
            let Some((bytes, is_all)) = beginning else { continue };
            // The zeros behind a short word tell it from a longer one.
            test.bits[place] = first_bits(if is_all { BYTES } else { bytes.len().min(BYTES) });
            test.values[place] = first_bytes(&bytes);
        }
        if let Some(bytes) = matcher.key_ending() {
            test.bits[2] = !first_bits(BYTES.saturating_sub(bytes.len()));
            test.values[2] = last_bytes(&bytes);
        }
        test.values[0] |= NO_CASE;
        test.values[0] &= test.bits[0];
        test
    }

    /// Whether the rule may be about a call that begins so.
    #[inline]
    pub(super) fn may_fit(&self, call: Edges) -> bool {
        let differs = |place: usize| (call.0[place] & self.bits[place]) ^ self.values[place];
        differs(0) | differs(1) | differs(2) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::rule::Rule;
    use crate::protocol::Protocol;
    use crate::rng::Streams;

    proptest! {
        #[test]
        fn no_call_that_fits_is_left_out(
            command in "[GgSs][Ee][Tt]|GETEXTRALONG|[*?]|GET[*]|SET[|]DEL", key in "[ab]{0,9}[*]?[ab]{0,9}|[ab?]{0,9}|[*]a|a[|]b|~a", call in "[GSgs][eE][tT]|getextralong", word in "[ab]{0,20}",
        ) {
            let rule: Rule = format!("\"{command}\" \"{key}\" => error").parse().unwrap();
            let head = format!("*2\r\n${}\r\n{call}\r\n${}\r\n{word}\r\n", call.len(), word.len());
            let facts = facts(&head);
            if rule.matcher().fits_head(&facts) {
                prop_assert!(QuickTest::of(rule.matcher()).may_fit(Edges::of(&facts)));
                prop_assert!(Commands::of([rule.matcher()].into_iter()).is_none_or(|known| known.may_have(facts.command())));
            }
        }
    }

    #[test]
    fn what_begins_otherwise_is_left_out() {
        let rule: Rule = "GET user:1* => error".parse().unwrap();
        let test = QuickTest::of(rule.matcher());
        for (head, may) in [
            ("get user:12\r\n", true),
            ("GET user:2\r\n", false),
            ("SET user:1\r\n", false),
            ("GETX user:1\r\n", false),
        ] {
            assert_eq!(test.may_fit(Edges::of(&facts(head))), may, "{head}");
        }
    }

    #[test]
    fn what_ends_otherwise_is_left_out() {
        let rule: Rule = "* *:lock => error".parse().unwrap();
        let test = QuickTest::of(rule.matcher());
        for (head, may) in [("get a:lock\r\n", true), ("GET lock\r\n", false), ("GET user:locks\r\n", false)] {
            assert_eq!(test.may_fit(Edges::of(&facts(head))), may, "{head}");
        }
    }

    fn facts(head: &str) -> Facts<'_> {
        Facts::new(Protocol::Redis, Some(head.as_bytes()), None, Streams::new(1, "a", 1), 1)
    }
}
