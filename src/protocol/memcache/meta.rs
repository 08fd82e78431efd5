//! Meta commands (protocol.txt, "Meta Commands"): how requests are read, and which replies each command can get.

use super::super::{Expect as AnyExpect, Step};
use super::{ReplyKind, command, line};

/// memcached refuses a meta command with this many words or more, without reading its data block.
const TOO_MANY_WORDS: usize = 20;

/// The meta commands: `mg`, `ms`, `md`, `ma`, `mn`, `me`.
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
    /// The codes with which a reply to this command can begin.
    pub(super) const fn codes(self) -> Codes {
        match self {
            Command::Get => Codes(VA.0 | HD.0 | EN.0 | ERROR.0),
            Command::Set => Codes(HD.0 | NS.0 | EX.0 | NF.0 | ERROR.0),
            Command::Delete => Codes(HD.0 | EX.0 | NF.0 | ERROR.0),
            Command::Arithmetic => Codes(VA.0 | HD.0 | NS.0 | EX.0 | NF.0 | ERROR.0),
            // `mn` always succeeds, so clients end a run of quiet commands with it.
            Command::NoOp => MN,
            Command::Debug => Codes(ME.0 | EN.0 | ERROR.0),
        }
    }

    /// The codes that remain with the `q` flag. memcached 1.6.18 replies `NF` to a quiet `md` or `ma` that found
    /// nothing, which later versions do not, and `HD` or `VA` to a quiet `ma` that created its item.
    pub(super) const fn quiet_codes(self) -> Codes {
        let silent = match self {
            Command::Get => EN,
            Command::Set | Command::Delete => HD,
            Command::Arithmetic | Command::NoOp | Command::Debug => Codes(0),
        };
        Codes(self.codes().0 & !silent.0)
    }
}

/// A set of the codes with which replies begin.
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
/// Any error: `ERROR`, `CLIENT_ERROR` or `SERVER_ERROR`.
pub(super) const ERROR: Codes = Codes(1 << 8);
/// Any reply to a command that is not a meta command.
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

    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The length of the data block in bytes, line end included, and the reply to expect. `content` is a command line that
/// begins with `m` and one more letter.
pub(super) fn request(content: &[u8]) -> Result<(u64, AnyExpect), Step> {
    let mut words = line::words(content);
    let command = match words.next() {
        Some(b"mg") => Command::Get,
        Some(b"ms") => Command::Set,
        Some(b"md") => Command::Delete,
        Some(b"ma") => Command::Arithmetic,
        Some(b"mn") => return Ok((0, ReplyKind::Meta(Command::NoOp).expected())),
        Some(b"me") => return Ok((0, ReplyKind::Meta(Command::Debug).expected())),
        _ => return Ok((0, ReplyKind::Unknown.expected())),
    };
    let refused = Ok((0, ReplyKind::Meta(command).expected()));
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
        return Err(Step::Opaque("a quiet command with a base64 key that memcached may return in another spelling"));
    }
    let kind = if quiet { ReplyKind::QuietMeta(command) } else { ReplyKind::Meta(command) };
    Ok((body, kind.with_echo(echo(flags(), Some(key)))))
}

/// Whether a base64 key comes back unchanged: memcached decodes it, and encodes it again in the reply.
fn is_canonical(key: &[u8]) -> bool {
    let (digits, spare_bits_are_0) = match key {
        [digits @ .., b'=', b'='] => (digits, digits.last().is_some_and(|last| b"AQgw".contains(last))),
        [digits @ .., b'='] => (digits, digits.last().is_some_and(|last| b"AEIMQUYcgkosw048".contains(last))),
        digits => (digits, true),
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len().is_multiple_of(4) && spare_bits_are_0 && digits.iter().all(is_digit)
}

/// A hash of what a reply repeats of its request, computed from the flags of either: of the opaque, else of the key. 0
/// for neither; errors repeat nothing. In a reply the flag `k` carries the key; in a request it only asks for `key`.
///
/// A hash is small enough for every expectation to hold one. Two opaques share one with a probability of 1 in 2^32.
pub(super) fn echo<'a>(flags: impl Iterator<Item = &'a [u8]>, key: Option<&'a [u8]>) -> u32 {
    let mut echo = 0;
    for flag in flags {
        match flag {
            [b'O', opaque @ ..] => return hash(b'O', opaque),
            [b'k', returned @ ..] => echo = hash(b'k', key.unwrap_or(returned)),
            _ => {}
        }
    }
    echo
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
            (body, matches!(expect.kind, ReplyKind::QuietMeta(_)), expect.echo != 0)
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
            // memcached refuses this, so there is a reply.
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
    fn a_reply_has_the_echo_of_its_request() {
        let of_request = |line: &'static str| {
            echo(line.split(' ').skip(2).map(str::as_bytes), line.split(' ').nth(1).map(str::as_bytes))
        };
        let of_reply = |line: &'static str| echo(line.split(' ').map(str::as_bytes), None);
        assert_eq!(of_request("mg a q O12 k"), of_reply("ka O12"));
        assert_ne!(of_request("mg a q O12"), of_reply("O13"));
        assert_eq!(of_request("mg a q k v"), of_reply("s5 ka"));
        assert_ne!(of_request("mg a q k v"), of_reply("kb"));
        assert_ne!(of_request("mg a q k v"), of_reply("Oa"));
        assert_eq!(of_request("mg YQ== q b k"), of_reply("kYQ== b"));
        assert_eq!(of_request("mg a q v"), of_reply("s5 t-1 W"));
        assert_eq!(of_request("mg a q v"), 0);
    }

    #[test]
    fn a_quiet_base64_key_must_be_canonical() {
        for (line, valid) in [
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
            assert_eq!(request(line.as_bytes()).is_ok(), valid, "{line}");
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
