//! Text requests: a command line, followed by a data block for some commands.

use super::super::{Expect as AnyExpect, Step};
use super::{ReplyKind, Request, line, meta};

/// The longest key that memcached accepts, in bytes (protocol.txt, "Keys").
pub(super) const MAX_KEY: usize = 250;

/// The largest data block that memcached reads, in bytes without its line end. Up to this size it skips a block that is
/// too large to store. Beyond, it refuses the command line and reads the block as commands.
const MAX_DATA: u64 = i32::MAX as u64 - 2;

/// The request at the start of `bytes`.
pub(super) fn request(bytes: &[u8]) -> Result<Request, Step> {
    let head = line::length(bytes)?;
    let content = line::content(&bytes[..head]);
    let (body, expect) = read(content)?;
    Ok(Request { head, body, expect })
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
        _ => ReplyKind::Line.expected(),
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
    use super::*;

    const LINE: AnyExpect = ReplyKind::Line.expected();
    const NOTHING: AnyExpect = AnyExpect::Nothing;

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
            ("unknown noreply", LINE),
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
            ("GET a", ReplyKind::Line),
            ("stats", ReplyKind::List),
            ("stats items", ReplyKind::List),
            ("stats sizes_enable", ReplyKind::Line),
            ("lru_crawler metadump all", ReplyKind::List),
            ("lru_crawler crawl all", ReplyKind::Line),
            ("slabs automove 1", ReplyKind::Line),
            ("", ReplyKind::Line),
        ] {
            assert_eq!(read(line.as_bytes()), Ok((0, kind.expected())), "{line}");
        }
    }

    #[test]
    fn watch_is_opaque() {
        assert!(matches!(read(b"watch fetchers"), Err(Step::Opaque(_))));
        assert!(matches!(read(b"refresh_certs noreply"), Err(Step::Opaque(_))));
        assert_eq!(read(b"refresh_certs"), Ok((0, LINE)));
    }
}
