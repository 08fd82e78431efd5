//! Meta commands (protocol.txt, "Meta Commands"): what a request asks for, and which replies can be its own.

use super::super::{Expect as AnyExpect, Step};
use super::{What, command, line};

/// As many words a meta command has at least when memcached refuses it for their number, data block unread.
const TOO_MANY_WORDS: usize = 20;

/// The meta commands, by their second letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Get,
    Set,
    Delete,
    Arithmetic,
    NoOp,
    Debug,
}

impl Command {
    /// What a reply to this command can begin with.
    pub(super) const fn codes(self) -> Codes {
        match self {
            Command::Get => Codes(VA.0 | HD.0 | EN.0 | ERROR.0),
            Command::Set => Codes(HD.0 | NS.0 | EX.0 | NF.0 | ERROR.0),
            Command::Delete => Codes(HD.0 | EX.0 | NF.0 | ERROR.0),
            Command::Arithmetic => Codes(VA.0 | HD.0 | NS.0 | EX.0 | NF.0 | ERROR.0),
            // It always succeeds, which makes it the end of a run of quiet commands.
            Command::NoOp => MN,
            Command::Debug => Codes(ME.0 | EN.0 | ERROR.0),
        }
    }

    /// What is left of that with the `q` flag. memcached 1.6.18 answers a quiet `md` and `ma` that found nothing with
    /// `NF`, which later versions do not, and a quiet `ma` that created its item with `HD` or `VA`.
    pub(super) const fn quiet_codes(self) -> Codes {
        let silent = match self {
            Command::Get => EN,
            Command::Set | Command::Delete => HD,
            Command::Arithmetic | Command::NoOp | Command::Debug => Codes(0),
        };
        Codes(self.codes().0 & !silent.0)
    }
}

/// A set of the codes that replies begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Codes(pub(super) u16);

pub(super) const VA: Codes = Codes(1);
pub(super) const HD: Codes = Codes(1 << 1);
pub(super) const EN: Codes = Codes(1 << 2);
pub(super) const NS: Codes = Codes(1 << 3);
pub(super) const EX: Codes = Codes(1 << 4);
pub(super) const NF: Codes = Codes(1 << 5);
pub(super) const ME: Codes = Codes(1 << 6);
pub(super) const MN: Codes = Codes(1 << 7);
/// Any of the error strings.
pub(super) const ERROR: Codes = Codes(1 << 8);
/// What replies to other than meta commands begin with.
pub(super) const OTHER: Codes = Codes(1 << 9);

impl Codes {
    /// The code of a reply line.
    pub(super) fn of(line: &[u8]) -> Self {
        match line {
            [a, b] | [a, b, b' ', ..] => match [*a, *b] {
                [b'V', b'A'] => VA,
                [b'H', b'D'] => HD,
                [b'E', b'N'] => EN,
                [b'N', b'S'] => NS,
                [b'E', b'X'] => EX,
                [b'N', b'F'] => NF,
                [b'M', b'E'] => ME,
                [b'M', b'N'] => MN,
                _ => OTHER,
            },
            _ if [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"].iter().any(|error| line.starts_with(error)) => ERROR,
            _ => OTHER,
        }
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The bytes of the data block, its line end included, and what the reply to `m?` looks like.
pub(super) fn request(content: &[u8]) -> Result<(u64, AnyExpect), Step> {
    let mut words = line::words(content);
    let command = match words.next() {
        Some(b"mg") => Command::Get,
        Some(b"ms") => Command::Set,
        Some(b"md") => Command::Delete,
        Some(b"ma") => Command::Arithmetic,
        Some(b"mn") => return Ok((0, What::Meta(Command::NoOp).expected())),
        Some(b"me") => return Ok((0, What::Meta(Command::Debug).expected())),
        _ => return Ok((0, What::Line.expected())),
    };
    let refused = Ok((0, What::Meta(command).expected()));
    let Some(key) = words.next().filter(|key| key.len() <= command::MAX_KEY) else { return refused };
    let mut body = 0;
    if command == Command::Set {
        match words.next().and_then(command::data) {
            Some(data) if line::words(content).count() < TOO_MANY_WORDS => body = data,
            _ => return refused,
        }
    }
    let flags = || line::words(content).skip(if command == Command::Set { 3 } else { 2 });
    let has = |letter| flags().any(|flag| flag[0] == letter);
    let quiet = words.any(|flag| flag[0] == b'q');
    if quiet && has(b'b') && has(b'k') && !has(b'O') && !is_canonical(key) {
        return Err(Step::Opaque("a quiet command whose key may come back spelt otherwise"));
    }
    let what = if quiet { What::QuietMeta(command) } else { What::Meta(command) };
    Ok((body, what.marked(mark(flags(), Some(key)))))
}

/// Whether a key in base64 is spelt as memcached, which decodes it, will spell it in the reply.
fn is_canonical(key: &[u8]) -> bool {
    let (digits, spare_bits_are_0) = match key {
        [digits @ .., b'=', b'='] => (digits, digits.last().is_some_and(|last| b"AQgw".contains(last))),
        [digits @ .., b'='] => (digits, digits.last().is_some_and(|last| b"AEIMQUYcgkosw048".contains(last))),
        digits => (digits, true),
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len().is_multiple_of(4) && spare_bits_are_0 && digits.iter().all(is_digit)
}

/// What a request and its reply have in common, by the request's flags or the reply's: the opaque, or else the key, which
/// a request only says that it wants back. 0 for neither; errors repeat nothing.
///
/// It is a hash, small enough to be a part of every expectation: two opaques share theirs once in four thousand million.
pub(super) fn mark<'a>(flags: impl Iterator<Item = &'a [u8]>, key: Option<&'a [u8]>) -> u32 {
    let mut mark = 0;
    for flag in flags {
        match flag {
            [b'O', opaque @ ..] => return hash(b'O', opaque),
            [b'k', returned @ ..] => mark = hash(b'k', key.unwrap_or(returned)),
            _ => {}
        }
    }
    mark
}

/// FNV-1a, never 0.
fn hash(kind: u8, bytes: &[u8]) -> u32 {
    let start = (0x811c_9dc5 ^ u32::from(kind)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_a_flag_of_four_commands() {
        let quiet = |line: &str| {
            let Ok((body, AnyExpect::Memcache(expect))) = request(line.as_bytes()) else { panic!("{line}") };
            (body, matches!(expect.what, What::QuietMeta(_)), expect.mark != 0)
        };
        for (line, is) in [
            ("mg k v", (0, false, false)),
            ("mg k v q", (0, true, false)),
            ("mg k qx", (0, true, false)),
            ("mg q", (0, false, false)),
            ("mg k k q", (0, true, true)),
            ("mg k k", (0, false, true)),
            ("ms k 5", (7, false, false)),
            ("ms k 5 q O1", (7, true, true)),
            ("ms q 5", (7, false, false)),
            ("md k Oq q", (0, true, true)),
            ("ma k Oq", (0, false, true)),
            ("me k q", (0, false, false)),
            ("mn q", (0, false, false)),
            ("mx k q", (0, false, false)),
            ("mg", (0, false, false)),
            // Refused for sure, and so answered.
            ("ms k", (0, false, false)),
            ("ms k q", (0, false, false)),
            ("ms k -1 q", (0, false, false)),
            ("ms k S5 q", (0, false, false)),
            ("ms k 5 a b c d e f g h i j k l m n o p", (7, false, true)),
            ("ms k 5 a b c d e f g h i j k l m n o p q", (0, false, false)),
        ] {
            assert_eq!(quiet(line), is, "{line}");
        }
        assert_eq!(quiet(&format!("mg {} q", "k".repeat(251))), (0, false, false));
    }

    #[test]
    fn marks_join_a_reply_to_its_request() {
        let asked = |line: &'static str| {
            mark(line.split(' ').skip(2).map(str::as_bytes), line.split(' ').nth(1).map(str::as_bytes))
        };
        let given = |line: &'static str| mark(line.split(' ').map(str::as_bytes), None);
        assert_eq!(asked("mg a q O12 k"), given("ka O12"));
        assert_ne!(asked("mg a q O12"), given("O13"));
        assert_eq!(asked("mg a q k v"), given("s5 ka"));
        assert_ne!(asked("mg a q k v"), given("kb"));
        assert_ne!(asked("mg a q k v"), given("Oa"));
        assert_eq!(asked("mg YQ== q b k"), given("kYQ== b"));
        assert_eq!(asked("mg a q v"), given("s5 t-1 W"));
        assert_eq!(asked("mg a q v"), 0);
    }

    #[test]
    fn a_quiet_key_must_come_back_as_it_went() {
        for (line, told) in [
            ("mg YWI= b k q", true),
            ("mg YQ== b k q", true),
            ("mg YWJj b k q", true),
            ("mg YWJ= b k q", false),
            ("mg YR== b k q", false),
            ("mg YQ b k q", false),
            ("mg Y!Q= b k q", false),
            ("mg == b k q", false),
            ("mg YR== b k q O1", true),
            ("mg YR== b q", true),
            ("mg YR== b k", true),
            ("mg YR== k q", true),
        ] {
            assert_eq!(request(line.as_bytes()).is_ok(), told, "{line}");
        }
    }

    #[test]
    fn codes_are_whole_words() {
        for (line, code) in [
            (&b"VA 5"[..], VA),
            (b"VALUE k 0 5", OTHER),
            (b"HD", HD),
            (b"EN", EN),
            (b"END", OTHER),
            (b"MN", MN),
            (b"OK", OTHER),
            (b"5", OTHER),
            (b"", OTHER),
            (b"ERROR", ERROR),
            (b"ERROR: shutdown not enabled", ERROR),
            (b"SERVER_ERROR object too large for cache", ERROR),
        ] {
            assert_eq!(Codes::of(line), code, "{}", line.escape_ascii());
        }
    }
}
