//! Quick tests for calls that a rule is not about, before it looks at them closely.

use std::cell::Cell;

use super::facts::Facts;
use super::rule::matcher::Matcher;
use super::rule::pattern::Outline;

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
#[derive(Debug)]
pub(super) struct Edges<'k> {
    parts: [u64; 3],
    key: &'k [u8],
    /// Which bytes the key has, once somebody asked.
    bytes: Cell<Option<u64>>,
}

impl<'k> Edges<'k> {
    #[inline]
    pub(super) fn of(call: &Facts<'k>) -> Self {
        let (command, key) = call.words();
        let parts = [first_bytes(command) | NO_CASE, first_bytes(key), last_bytes(key)];
        Self { parts, key, bytes: Cell::new(None) }
    }

    /// Whether the key has all of these bytes, a bit each.
    fn has(&self, needed: u64) -> bool {
        let bytes = self.bytes.get().unwrap_or_else(|| bits_of(self.key));
        self.bytes.set(Some(bytes));
        bytes & needed == needed
    }
}

/// A bit for each byte that occurs; four bytes share one.
fn bits_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |bits, byte| bits | 1 << (byte % 64))
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

/// Of a rule with more alternatives the keys are not tested.
const ALTERNATIVES: usize = 16;

/// The edges of calls that one alternative of a rule is about: some bits of each, and their values.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuickTest {
    bits: [u64; 3],
    values: [u64; 3],
    /// The bytes that the key has elsewhere, as [`bits_of`] has them.
    needed: u64,
}

impl QuickTest {
    /// A test for each alternative of a rule.
    pub(super) fn all(matcher: &Matcher) -> Vec<Self> {
        let [commands, mut keys] = matcher.outlines().map(|known| known.unwrap_or_else(|| vec![Outline::default()]));
        if commands.len() * keys.len() > ALTERNATIVES {
            keys = vec![Outline::default()];
        }
        commands.iter().flat_map(|command| keys.iter().map(|key| Self::of(command, key))).collect()
    }

    fn of(command: &Outline, key: &Outline) -> Self {
        // The zeros behind a short word tell it from a longer one.
        let begins = |word: &Outline| first_bits(if word.is_all { BYTES } else { word.begins.len().min(BYTES) });
        let ends = !first_bits(BYTES.saturating_sub(key.ends.len()));
        let bits = [begins(command), begins(key), ends];
        let command = (first_bytes(&command.begins) | NO_CASE) & bits[0];
        let is_tested = key.has.len() <= key.begins.len().min(BYTES) + key.ends.len().min(BYTES);
        let needed = if is_tested { 0 } else { bits_of(&key.has) };
        Self { bits, values: [command, first_bytes(&key.begins), last_bytes(&key.ends)], needed }
    }

    /// Whether the rule may be about a call with these edges.
    #[inline]
    pub(super) fn may_fit(&self, call: &Edges<'_>) -> bool {
        let differs = |place: usize| (call.parts[place] & self.bits[place]) ^ self.values[place];
        differs(0) | differs(1) | differs(2) == 0 && (self.needed == 0 || call.has(self.needed))
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
            command in "[GgSs][Ee][Tt]|GETEXTRALONG|[*?]|GET[*]|SET[|]DEL", key in "[ab]{0,9}[*]?[ab]{0,9}|[ab?]{0,9}|[*]a|a[|]b|[*][ab]{1,9}[*]|[ab]{0,3}[*]c?[|][*]b{0,9}[*]|~a", call in "[GSgs][eE][tT]|getextralong", word in "[ab]{0,20}",
        ) {
            let rule: Rule = format!("\"{command}\" \"{key}\" => error").parse().unwrap();
            let head = format!("*2\r\n${}\r\n{call}\r\n${}\r\n{word}\r\n", call.len(), word.len());
            let facts = facts(&head);
            if rule.matcher().fits_head(&facts) {
                prop_assert!(QuickTest::all(rule.matcher()).iter().any(|test| test.may_fit(&Edges::of(&facts))));
                prop_assert!(Commands::of([rule.matcher()].into_iter()).is_none_or(|known| known.may_have(facts.command())));
            }
        }
    }

    #[test]
    fn what_differs_at_an_edge_or_lacks_a_byte_is_left_out() {
        for (rule, calls) in [
            (
                "GET user:1*",
                &[("get user:12", true), ("GET user:2", false), ("SET user:1", false), ("GETX user:1", false)][..],
            ),
            ("* *:lock", &[("get a:lock", true), ("GET lock", false), ("GET user:locks", false)]),
            ("G* *:user:7:*", &[("GET a:user:7:b", true), ("GET key:0042", false), ("SET a:user:7:b", false)]),
            ("SET|GET a7:*|b7:*", &[("GET b7:1", true), ("SET a7:", true), ("GET c7:", false), ("DEL a7:", false)]),
            ("GET averylongkeyindeed*", &[("GET averylongkeyindeedx", true), ("GET averylongkey", false)]),
        ] {
            let known: Rule = format!("{rule} => error").parse().unwrap();
            let tests = QuickTest::all(known.matcher());
            for (call, may) in calls {
                let head = format!("{call}\r\n");
                let facts = facts(&head);
                let may_fit = tests.iter().any(|test| test.may_fit(&Edges::of(&facts)));
                assert_eq!(may_fit, *may, "{rule}: {call}");
            }
        }
    }

    fn facts(head: &str) -> Facts<'_> {
        Facts::new(Protocol::Redis, Some(head.as_bytes()), None, Streams::new(1, "a", 1), 1)
    }
}
