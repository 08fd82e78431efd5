//! Where the key of a command is.

use crate::protocol::decimal;

/// How many words a head has at most: `MIGRATE host port "" db ms COPY REPLACE AUTH2 user password KEYS key`.
pub(super) const MAX_WORDS: usize = 13;

/// Commands without a key, in order. Their first argument stands in its place: `CONFIG GET`.
#[rustfmt::skip]
const KEYLESS: [&str; 57] = [
    "acl", "asking", "auth", "bgrewriteaof", "bgsave", "client", "cluster", "command", "config", "dbsize", "debug", "discard",
    "echo", "exec", "failover", "flushall", "flushdb", "function", "hello", "info", "keys", "lastsave", "latency", "lolwut",
    "module", "monitor", "multi", "ping", "psubscribe", "psync", "publish", "pubsub", "punsubscribe", "quit", "randomkey",
    "readonly", "readwrite", "replconf", "replicaof", "reset", "role", "save", "scan", "script", "select", "sentinel",
    "shutdown", "slaveof", "slowlog", "subscribe", "swapdb", "sync", "time", "unsubscribe", "unwatch", "wait",
    "waitaof",
];

/// Looks for the key in a command of more than two words whose head needs more than those two. It is shown the arguments one
/// by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// The key is the first argument, and pairing needs the second.
    First,
    /// It is the argument of this number.
    Argument(usize),
    /// It follows the number of keys, which is the argument of this number.
    Counted(usize),
    /// It follows this word, which is the argument of this number or a later one.
    Behind(&'static [u8], usize),
    /// It is the third argument; if that is empty, it follows KEYS.
    Migrate,
}

/// What an argument says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The next one may be the key.
    More,
    /// It is the key.
    Key,
    /// No key follows.
    Nothing,
}

impl Search {
    /// The search in a command of this name; none for most commands, whose key is their first argument.
    #[inline]
    pub(super) fn of(command: &[u8]) -> Option<Self> {
        let is = |name: &[u8]| command.eq_ignore_ascii_case(name);
        Some(match (command.len(), command.first()?.to_ascii_lowercase()) {
            (6, b'c') if is(b"client") => Self::First,
            (6, b'o') if is(b"object") => Self::Argument(2),
            (6, b'm') if is(b"memory") || is(b"msetex") => Self::Argument(2),
            (6, b'x') if is(b"xgroup") => Self::Argument(2),
            (5, b'x') if is(b"xinfo") => Self::Argument(2),
            (5, b'b') if is(b"bitop") => Self::Argument(2),
            (4, b'e') if is(b"eval") => Self::Counted(2),
            (7, b'e') if is(b"evalsha") || is(b"eval_ro") => Self::Counted(2),
            (10, b'e') if is(b"evalsha_ro") => Self::Counted(2),
            (5, b'f') if is(b"fcall") => Self::Counted(2),
            (8, b'f') if is(b"fcall_ro") => Self::Counted(2),
            (5, b'l') if is(b"lmpop") => Self::Counted(1),
            (5, b'z') if is(b"zmpop") || is(b"zdiff") => Self::Counted(1),
            (6, b'z') if is(b"zunion") || is(b"zinter") => Self::Counted(1),
            (10, b'z') if is(b"zintercard") => Self::Counted(1),
            (10, b's') if is(b"sintercard") => Self::Counted(1),
            (6, b'b') if is(b"blmpop") || is(b"bzmpop") => Self::Counted(2),
            (5, b'x') if is(b"xread") => Self::Behind(b"streams", 1),
            // Behind `GROUP group consumer`, whose names may be any.
            (10, b'x') if is(b"xreadgroup") => Self::Behind(b"streams", 4),
            (7, b'm') if is(b"migrate") => Self::Migrate,
            _ => return None,
        })
    }

    /// What the argument number `at` says.
    pub(super) fn next(&mut self, at: usize, word: &[u8]) -> Found {
        match *self {
            Self::First if at < 2 => Found::More,
            Self::First => Found::Nothing,
            Self::Argument(key) if at < key => Found::More,
            Self::Counted(number) if at < number => Found::More,
            Self::Counted(number) if at == number && decimal(word).is_none_or(|keys| keys == 0) => Found::Nothing,
            Self::Counted(number) if at == number => Found::More,
            Self::Behind(marker, first) => {
                if at >= first && word.eq_ignore_ascii_case(marker) {
                    *self = Self::Argument(at + 1);
                }
                Found::More
            }
            Self::Migrate if at < 3 => Found::More,
            // In an inline command it is as typed.
            Self::Migrate if matches!(word, b"" | b"\"\"" | b"''") => {
                *self = Self::Behind(b"keys", 6);
                Found::More
            }
            Self::Argument(_) | Self::Counted(_) | Self::Migrate => Found::Key,
        }
    }

    /// The key in a command with this first argument and these behind it; empty if it has none.
    pub(super) fn find<'h>(mut self, first: &'h [u8], rest: impl Iterator<Item = &'h [u8]>) -> &'h [u8] {
        if self == Self::First {
            return first;
        }
        let arguments = [first].into_iter().chain(rest).take(MAX_WORDS - 1);
        for (at, word) in (1..).zip(arguments) {
            match self.next(at, word) {
                Found::More => {}
                Found::Key => return word,
                Found::Nothing => break,
            }
        }
        &[]
    }
}

/// Whether commands of this name never have a key.
pub(super) fn is_keyless(command: &[u8]) -> bool {
    let name = command.to_ascii_lowercase();
    KEYLESS.binary_search_by(|known| known.as_bytes().cmp(&name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Requests, key, words};
    use super::*;
    use crate::protocol::Step;

    fn array(command: &str) -> Vec<u8> {
        let words: Vec<&str> = command.split(' ').collect();
        let bulk = |word: &&str| {
            let word = word.trim_matches('\'');
            format!("${}\r\n{word}\r\n", word.len())
        };
        format!("*{}\r\n{}", words.len(), words.iter().map(bulk).collect::<String>()).into_bytes()
    }

    #[test]
    fn the_names_are_in_order() {
        assert!(KEYLESS.is_sorted());
    }

    #[test]
    fn the_key_is_where_redis_has_it() {
        for (command, is) in [
            ("GET k", "k"),
            ("MGET k b", "k"),
            ("ZINTERSTORE k 2 a b", "k"),
            ("EVAL script 1 k", "k"),
            ("evalsha_ro abc 2 k b", "k"),
            ("EVAL script 0 a", ""),
            ("FCALL f 1 k a", "k"),
            ("XREAD STREAMS k 0", "k"),
            ("XREAD COUNT 1 BLOCK 0 streams k 0", "k"),
            ("XREADGROUP GROUP streams c COUNT 1 BLOCK 0 NOACK STREAMS k >", "k"),
            ("OBJECT ENCODING k", "k"),
            ("MEMORY USAGE k SAMPLES 1", "k"),
            ("BITOP AND k a b", "k"),
            ("XGROUP CREATE k g $", "k"),
            ("XINFO STREAM k", "k"),
            ("SINTERCARD 2 k b", "k"),
            ("LMPOP 1 k LEFT", "k"),
            ("ZMPOP 1 k MIN", "k"),
            ("BLMPOP 0 1 k LEFT", "k"),
            ("ZUNION 2 k b", "k"),
            ("MIGRATE h 1 k 0 9", "k"),
            ("MIGRATE h 1 '' 0 9 COPY REPLACE AUTH2 u p KEYS k b", "k"),
            ("MIGRATE h 1 '' 0 9", ""),
            ("JSON.GET k $", "k"),
            ("XREAD COUNT 1 a b c", ""),
        ] {
            let inline = command.replace('\'', "\"");
            let (array, inline) = (array(command), inline + "\r\n");
            let mut requests = Requests::default();
            let Step::Call { head, .. } = requests.step(&array, false) else { panic!("{command}") };
            let head = &array[..head];
            assert_eq!(requests.words(head), Some((words(&array).0, is.as_bytes())), "{command}");
            assert_eq!(words(head).1, is.as_bytes(), "{command}");
            assert_eq!(words(inline.as_bytes()).1, is.as_bytes(), "{command}");
            assert_eq!(key(head), (!is.is_empty()).then_some(is.as_bytes()), "{command}");
        }
    }

    #[test]
    fn the_first_argument_stands_in_place_of_a_key() {
        for command in
            ["CONFIG GET", "CLIENT SETNAME me", "PING x", "SCAN x 0", "MEMORY STATS", "PUBLISH channel message"]
        {
            let array = array(command);
            assert_eq!(words(&array).1, command.split(' ').nth(1).unwrap().as_bytes());
            assert_eq!(key(&array), None, "{command}");
        }
        assert_eq!((words(b"PING\r\n").1, key(b"PING\r\n")), (&b""[..], None));
    }
}
