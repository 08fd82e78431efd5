//! Text requests: a command line, followed by a data block for some commands.

use memchr::memchr;

use super::super::{Expect as AnyExpect, MAX_HEAD, Step, foreign};
use super::{Expect, ReplyKind, Request, line, meta};

/// The longest key that memcached accepts, in bytes (protocol.txt, "Keys").
pub(super) const MAX_KEY: usize = 250;

/// The largest data block that memcached reads, in bytes without its line end. Up to this size it skips a block that is
/// too large to store. Beyond, it refuses the command line and reads the block as commands.
const MAX_DATA: u64 = i32::MAX as u64 - 2;

/// The request at the start of `bytes`.
pub(super) fn request(bytes: &[u8]) -> Result<Request, Step> {
    let head = match line::length(bytes) {
        Ok(head) => head,
        Err(step) => return unfinished(bytes).unwrap_or(Err(step)),
    };
    let (body, expect) = read(line::content(&bytes[..head]))?;
    if matches!(expect, AnyExpect::Memcache(Expect { kind: ReplyKind::Unknown, .. })) && !is_text(bytes) {
        return Err(NO_TEXT);
    }
    Ok(Request { head, body: Some(body), expect })
}

/// What is known of a request whose line has not ended, if anything.
fn unfinished(bytes: &[u8]) -> Option<Result<Request, Step>> {
    if !is_text(bytes) {
        return Some(Err(NO_TEXT));
    }
    let head = first_key(bytes.get(..MAX_HEAD)?)?;
    Some(Ok(Request { head, body: None, expect: ReplyKind::Values.expected() }))
}

const NO_TEXT: Step = Step::Opaque("neither a text command nor a binary protocol packet");

/// Whether `bytes` can begin a command line: TLS, for example, cannot. What memcached takes begins with a letter or a space;
/// a blank line and a number are what is left of a data block that it did not expect.
fn is_text(bytes: &[u8]) -> bool {
    let begins = |first: &u8| first.is_ascii_alphanumeric() || matches!(first, b' ' | b'\r' | b'\n');
    let mut command =
        bytes.iter().skip_while(|byte| **byte == b' ').take_while(|byte| !matches!(byte, b' ' | b'\n' | 0));
    bytes.first().is_some_and(begins) && command.all(|byte| byte.is_ascii_graphic() || *byte == b'\r')
}

/// The end of the first key in the line of a command that takes any number of them, if a space follows it. Only such a line
/// may be longer than a head.
fn first_key(line: &[u8]) -> Option<usize> {
    let key = match line::words(line).next()? {
        b"get" | b"gets" | b"bget" => 1,
        b"gat" | b"gats" => 2,
        _ => return None,
    };
    let mut end = 0;
    for _ in 0..=key {
        end += line[end..].iter().position(|byte| *byte != b' ')?;
        end += memchr(b' ', &line[end..])?;
    }
    Some(end)
}

/// The length of the data block in bytes, line end included, and the reply to expect.
fn read(content: &[u8]) -> Result<(u64, AnyExpect), Step> {
    let mut words = line::words(content);
    let command = words.next().unwrap_or_default();
    let expect = match command {
        b"get" | b"gets" | b"gat" | b"gats" | b"bget" => ReplyKind::Values.expected(),
        [b'm', _] => return meta::request(content),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" => return Ok(storage(content, 5)),
        b"cas" => return Ok(storage(content, 6)),
        b"incr" | b"decr" | b"touch" => Words::read(content).unless_noreply(3..=4),
        b"delete" => match Words::read(content) {
            // In `delete noreply`, `noreply` is the key.
            words if words.count < 3 => ReplyKind::Line.expected(),
            words => words.unless_noreply(3..=4),
        },
        b"flush_all" => Words::read(content).unless_noreply(1..=3),
        b"verbosity" | b"cache_memlimit" => Words::read(content).unless_noreply(2..=3),
        b"lru" | b"extstore" => Words::read(content).unless_noreply(2..=usize::MAX),
        b"slabs" if words.next() == Some(b"automove") => Words::read(content).unless_noreply(3..=usize::MAX),
        // ElastiCache: the nodes of a cluster.
        b"config" if words.next() == Some(b"get") => ReplyKind::Config.expected(),
        b"stats" => match words.next() {
            // The replies of these two are a `STAT` line without `END`.
            Some(b"sizes_enable" | b"sizes_disable") => ReplyKind::Line.expected(),
            _ => ReplyKind::List.expected(),
        },
        b"lru_crawler" if matches!(words.next(), Some(b"metadump" | b"mgdump")) => ReplyKind::List.expected(),
        // The server closes the connection.
        b"quit" => AnyExpect::Nothing,
        b"watch" => return Err(Step::Opaque("watch: the server sends log lines in place of replies")),
        b"refresh_certs" if Words::read(content).last == b"noreply" => {
            return Err(Step::Opaque("refresh_certs noreply: whether there is a reply depends on the outcome"));
        }
        b"version" | b"slabs" | b"lru_crawler" | b"shutdown" | b"refresh_certs" | b"misbehave" | b"debugtime" => {
            ReplyKind::Line.expected()
        }
        _ if foreign::is_http_request(content) => return Err(Step::Opaque(foreign::HTTP_REQUEST)),
        _ if foreign::is_ssh_banner(content) => return Err(Step::Opaque(foreign::SSH_BANNER)),
        _ => ReplyKind::Unknown.expected(),
    };
    Ok((0, expect))
}

/// `<command> <key> <flags> <exptime> <bytes> [<cas unique>] [noreply]` (protocol.txt, "Storage commands"), which has
/// `plain` words without `noreply`. Returns 0 for the data block if memcached refuses the command line and reads the
/// block as commands.
fn storage(content: &[u8], plain: usize) -> (u64, AnyExpect) {
    let words = Words::read(content);
    let [_, key, flags, exptime, bytes, cas, ..] = words.first;
    let is_unsigned = |word| matches!(line::number(word), Some((false, _)));
    let is_signed = |word| line::number(word).is_some_and(|(minus, size)| size <= i64::MAX as u64 + u64::from(minus));
    let fits = (plain..=plain + 1).contains(&words.count)
        && key.len() <= MAX_KEY
        && is_unsigned(flags)
        && is_signed(exptime)
        && (plain == 5 || is_unsigned(cas));
    (data(bytes).filter(|_| fits).unwrap_or(0), words.unless_noreply(plain..=plain + 1))
}

/// The length of a data block, line end included, that the command line announces as `bytes`. `None` if memcached
/// refuses that length.
pub(super) fn data(bytes: &[u8]) -> Option<u64> {
    match line::number(bytes) {
        Some((false, size)) if size <= MAX_DATA => Some(size + 2),
        _ => None,
    }
}

/// The words of a command other than a meta command that affect framing.
struct Words<'a> {
    first: [&'a [u8]; 7],
    last: &'a [u8],
    count: usize,
}

impl<'a> Words<'a> {
    fn read(content: &'a [u8]) -> Self {
        let mut words = Words { first: [&[]; 7], last: &[], count: 0 };
        for word in line::words(content) {
            if let Some(place) = words.first.get_mut(words.count) {
                *place = word;
            }
            words.last = word;
            words.count += 1;
        }
        words
    }

    /// Expects no reply after `noreply`, else one line. If the number of words is not in `counts`, memcached answers
    /// `ERROR` before it looks for `noreply`; otherwise `noreply` suppresses errors as well.
    fn unless_noreply(&self, counts: std::ops::RangeInclusive<usize>) -> AnyExpect {
        if self.last == b"noreply" && counts.contains(&self.count) {
            AnyExpect::Nothing
        } else {
            ReplyKind::Line.expected()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Requests;
    use super::*;

    const LINE: AnyExpect = ReplyKind::Line.expected();
    const NOTHING: AnyExpect = AnyExpect::Nothing;
    const UNKNOWN: AnyExpect = ReplyKind::Unknown.expected();

    #[test]
    fn data_follows_a_command_line_that_memcached_takes() {
        for (line, body, expect) in [
            ("set k 0 0 5", 7, LINE),
            ("set k 0 0 5 noreply", 7, NOTHING),
            ("set k 0 0 5 other", 7, LINE),
            ("add k +1 -1 +05", 7, LINE),
            ("append k 18446744073709551615 9223372036854775807 0", 2, LINE),
            ("prepend k 0 -9223372036854775808 -0 noreply", 2, NOTHING),
            ("replace k 0 0 2147483645", 2_147_483_647, LINE),
            ("replace k 0 0 2147483646", 0, LINE),
            ("set k 0 0 99999999999999999999999 noreply", 0, NOTHING),
            ("set k 0 0 -1", 0, LINE),
            ("set k 0 0 five", 0, LINE),
            ("set k -1 0 5", 0, LINE),
            ("set k 18446744073709551616 0 5", 0, LINE),
            ("set k 0 9223372036854775808 5", 0, LINE),
            ("set k 0 0", 0, LINE),
            ("set k 0 0 noreply", 0, NOTHING),
            ("set k 0 0 5 6 noreply", 0, LINE),
            ("cas k 0 0 5 1", 7, LINE),
            ("cas k 0 0 5 18446744073709551615 noreply", 7, NOTHING),
            ("cas k 0 0 5", 0, LINE),
            ("cas k 0 0 5 noreply", 0, NOTHING),
            ("cas k 0 0 5 -1", 0, LINE),
            ("cas k 0 0 5 1 2 noreply", 0, LINE),
        ] {
            assert_eq!(read(line.as_bytes()), Ok((body, expect)), "{line}");
        }
        let line = |key: usize| format!("set {} 0 0 5", "k".repeat(key));
        assert_eq!(read(line(250).as_bytes()), Ok((7, LINE)));
        assert_eq!(read(line(251).as_bytes()), Ok((0, LINE)));
    }

    #[test]
    fn noreply_counts_where_memcached_looks_for_it() {
        for (line, expect) in [
            ("incr k noreply", NOTHING),
            ("decr k 1 noreply", NOTHING),
            ("touch k 1 2 noreply", LINE),
            ("delete noreply", LINE),
            ("delete k noreply", NOTHING),
            ("delete k 0 noreply", NOTHING),
            ("delete k 0 0 noreply", LINE),
            ("flush_all noreply", NOTHING),
            ("flush_all noreply 0", LINE),
            ("flush_all 0 0 noreply", LINE),
            ("verbosity noreply", NOTHING),
            ("verbosity 1 2 noreply", LINE),
            ("cache_memlimit 64 noreply", NOTHING),
            ("lru mode flat noreply", NOTHING),
            ("slabs automove 1 noreply", NOTHING),
            ("slabs reassign 1 noreply", LINE),
            ("version noreply", LINE),
            ("unknown noreply", UNKNOWN),
            ("quit", NOTHING),
        ] {
            assert_eq!(read(line.as_bytes()), Ok((0, expect)), "{line}");
        }
    }

    #[test]
    fn long_replies_are_told_from_lines() {
        for (line, kind) in [
            ("get", ReplyKind::Values),
            ("gats 0 a b", ReplyKind::Values),
            ("GET a", ReplyKind::Unknown),
            ("gete a 1", ReplyKind::Unknown),
            ("lease-get a", ReplyKind::Unknown),
            ("mx", ReplyKind::Unknown),
            ("config get cluster", ReplyKind::Config),
            ("config set cluster 0 1", ReplyKind::Unknown),
            ("version", ReplyKind::Line),
            ("shutdown graceful", ReplyKind::Line),
            ("stats", ReplyKind::List),
            ("stats items", ReplyKind::List),
            ("stats sizes_enable", ReplyKind::Line),
            ("lru_crawler metadump all", ReplyKind::List),
            ("lru_crawler crawl all", ReplyKind::Line),
            ("slabs automove 1", ReplyKind::Line),
            ("", ReplyKind::Unknown),
        ] {
            assert_eq!(read(line.as_bytes()), Ok((0, kind.expected())), "{line}");
        }
    }

    #[test]
    fn the_keys_of_a_long_line_stream() {
        let keys: String = (0..10_000).flat_map(|number| [" key".to_owned(), number.to_string()]).collect();
        for (begin, head) in [("get", 8), ("gets ", 10), ("gat 0", 10), ("gats 100", 13), (" bget", 10)] {
            let line = format!("{begin}{keys}\r\n");
            let expect = ReplyKind::Values.expected();
            let mut framer = Requests::default();
            assert_eq!(framer.step(&line.as_bytes()[..MAX_HEAD - 1], false), Step::More);
            let len = MAX_HEAD + 5;
            assert_eq!(framer.step(&line.as_bytes()[..len], false), Step::Call { len, head, left: None, expect });
            assert_eq!(framer.step(b"key key", true), Step::Part { len: 7, left: None });
            assert_eq!(framer.step(b" key\r\nmn\r\n", true), Step::Part { len: 6, left: Some(0) });
            assert!(matches!(framer.step(b"mn\r\n", true), Step::Call { len: 4, .. }));
            let whole = Step::Call { len: line.len(), head, left: Some(0), expect };
            assert_eq!(framer.step(format!("{line}mn\r\n").as_bytes(), true), whole);
        }
        // Shorter lines are heads as a whole, however they come. Others have no first key or more than one line.
        for (begin, words) in
            [("get", "x".repeat(MAX_HEAD)), ("delete", keys.clone()), ("", keys), ("get", " ".repeat(MAX_HEAD))]
        {
            let line = format!("{begin} {words}\r\n");
            assert!(matches!(Requests::default().step(line.as_bytes(), false), Step::Opaque(_)), "{begin}");
        }
    }

    #[test]
    fn what_cannot_begin_a_command_is_opaque_at_once() {
        for bytes in [
            &b"\x16\x03\x01\x00\x05hello"[..], // TLS
            b"^",                              // mcrouter
            b"}",
            b"\x08", // Couchbase
            b"\x81",
            b"\xc3\xa9",
            b"\0\r\nQUIT\n", // behind the blank lines of PROXY v2
            b" \x16",
            b"ge\x01",
            b"m\x7f",
            b"m\xff key",
            b"\tget",
        ] {
            for line_end in [&b""[..], b"\r\n"] {
                let line = [bytes, line_end].concat();
                let step = Requests::default().step(&line, false);
                assert!(matches!(step, Step::Opaque(_)), "{} {step:?}", line.escape_ascii());
            }
        }
        for text in ["a", "get \x16", "get \u{e9}", "  ", "\r", "GET", "5", "lease-get", "get\0\x01", "cas_\r"] {
            assert_eq!(Requests::default().step(text.as_bytes(), false), Step::More, "{text:?}");
        }
    }

    #[test]
    fn watch_is_opaque() {
        assert!(matches!(read(b"watch fetchers"), Err(Step::Opaque(_))));
        assert!(matches!(read(b"refresh_certs noreply"), Err(Step::Opaque(_))));
        assert_eq!(read(b"refresh_certs"), Ok((0, LINE)));
    }
}
