//! Replies of our own: errors, and those that say that there is nothing.

use super::requests::{key, word_count};
use super::words;
use crate::protocol::failure::{Failure, FailureKind, Mode};

/// The failures that Redis has an error for.
pub(in crate::protocol) const KINDS: [FailureKind; 14] = [
    FailureKind::Err,
    FailureKind::Loading,
    FailureKind::Busy,
    FailureKind::Readonly,
    FailureKind::Oom,
    FailureKind::Moved,
    FailureKind::Ask,
    FailureKind::Tryagain,
    FailureKind::Clusterdown,
    FailureKind::Masterdown,
    FailureKind::Noauth,
    FailureKind::Wrongpass,
    FailureKind::Noscript,
    FailureKind::Misconf,
];

/// The reply to EXEC where a command in the transaction was refused.
pub(crate) const EXECABORT: &[u8] = b"-EXECABORT Transaction discarded because of previous errors.\r\n";

/// Ends a transaction of which nothing is to be done.
pub(crate) const DISCARD: &[u8] = b"*1\r\n$7\r\nDISCARD\r\n";

/// The slots of a cluster (Redis cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;

const CRC16: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);

/// The error line for `failure`, in reply to the command with this head.
pub(in crate::protocol) fn failure(failure: &Failure, head: &[u8]) -> Vec<u8> {
    let own = match failure.kind {
        FailureKind::Loading => "LOADING Redis is loading the dataset in memory",
        FailureKind::Busy => "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        FailureKind::Readonly => "READONLY You can't write against a read only replica.",
        FailureKind::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
        FailureKind::Moved => "MOVED ",
        FailureKind::Ask => "ASK ",
        FailureKind::Tryagain => "TRYAGAIN Multiple keys request during rehashing of slot",
        FailureKind::Clusterdown => "CLUSTERDOWN The cluster is down",
        FailureKind::Masterdown => "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        FailureKind::Noauth => "NOAUTH Authentication required.",
        FailureKind::Wrongpass => "WRONGPASS invalid username-password pair or user is disabled.",
        FailureKind::Noscript => "NOSCRIPT No matching script.",
        FailureKind::Misconf => "MISCONF Errors writing to disk: writes are disabled.",
        _ => "ERR ",
    };
    let code = own.split(' ').next().unwrap_or("ERR");
    let text = match (&failure.message, &failure.to) {
        (Some(message), _) => format!("{code} {message}"),
        (None, Some(to)) if failure.kind.redirects() => format!("{code} {} {to}", slot(key(head).unwrap_or_default())),
        _ if own.ends_with(' ') => format!("{code} {}", failure.text()),
        _ => own.to_owned(),
    };
    format!("-{text}\r\n").into_bytes()
}

/// The slot of a key: that of what stands in its first braces, if anything does ("Hash tags").
fn slot(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key).map(|open| &key[open + 1..]).and_then(|rest| {
        let close = memchr::memchr(b'}', rest)?;
        (close > 0).then(|| &rest[..close])
    });
    CRC16.checksum(tag.unwrap_or(key)) % SLOTS
}

/// What a command gets where there is nothing.
#[derive(Debug, Clone, Copy)]
enum Nothing {
    /// One nil.
    Nil,
    /// A nil for each word of the command but the first so many.
    Nils(usize),
    /// A nil, or with one word more than this an empty array.
    NilOrArray(usize),
    /// A nil in place of an array.
    NilArray,
    Array,
    Set,
    Map,
}

/// The reply to the command with this head that says that there is nothing. A queued command, and one that always has a
/// reply, has none.
pub(in crate::protocol) fn miss(head: &[u8], mode: Mode) -> Option<Vec<u8>> {
    if mode.queued {
        return None;
    }
    let name = words(head).0.to_ascii_lowercase();
    let nothing = match name.as_slice() {
        b"spop" if word_count(head) > 2 => Nothing::Set,
        b"get" | b"getex" | b"getdel" | b"hget" | b"lindex" | b"zscore" | b"dump" | b"rpoplpush" | b"lmove"
        | b"geodist" | b"zrank" | b"zrevrank" | b"spop" => Nothing::Nil,
        b"mget" => Nothing::Nils(1),
        b"hmget" | b"zmscore" => Nothing::Nils(2),
        b"srandmember" | b"hrandfield" | b"zrandmember" => Nothing::NilOrArray(2),
        b"lpop" | b"rpop" => return Some(if word_count(head) > 2 { nil_array(mode) } else { nil(mode) }),
        b"blpop" | b"brpop" | b"bzpopmin" | b"bzpopmax" | b"lmpop" | b"zmpop" | b"blmpop" | b"bzmpop" | b"xread"
        | b"xreadgroup" | b"blmove" | b"brpoplpush" => Nothing::NilArray,
        b"hkeys" | b"hvals" | b"keys" | b"lrange" | b"zrange" | b"zrangebyscore" | b"zrangebylex" | b"zrevrange"
        | b"zrevrangebyscore" | b"zrevrangebylex" | b"zpopmin" | b"zpopmax" | b"xrange" | b"xrevrange" | b"sort"
        | b"sort_ro" | b"geosearch" => Nothing::Array,
        b"smembers" | b"sinter" | b"sunion" | b"sdiff" => Nothing::Set,
        b"hgetall" => Nothing::Map,
        _ => return None,
    };
    Some(match nothing {
        Nothing::Nil => nil(mode),
        Nothing::NilArray => nil_array(mode),
        Nothing::NilOrArray(words) if word_count(head) <= words => nil(mode),
        Nothing::NilOrArray(_) | Nothing::Array => b"*0\r\n".into(),
        Nothing::Set => if mode.resp3 { b"~0\r\n" } else { b"*0\r\n" }.into(),
        Nothing::Map => if mode.resp3 { b"%0\r\n" } else { b"*0\r\n" }.into(),
        Nothing::Nils(before) => {
            let nils = word_count(head).saturating_sub(before);
            let mut reply = format!("*{nils}\r\n").into_bytes();
            reply.extend(nil(mode).repeat(nils));
            reply
        }
    })
}

fn nil(mode: Mode) -> Vec<u8> {
    if mode.resp3 { b"_\r\n".into() } else { b"$-1\r\n".into() }
}

fn nil_array(mode: Mode) -> Vec<u8> {
    if mode.resp3 { b"_\r\n".into() } else { b"*-1\r\n".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESP2: Mode = Mode { resp3: false, queued: false, ends_transaction: false, aborts: false };
    const RESP3: Mode = Mode { resp3: true, ..RESP2 };

    fn line(failure: &Failure, command: &str) -> String {
        String::from_utf8(super::failure(failure, command.as_bytes())).unwrap()
    }

    #[test]
    fn each_kind_has_its_code() {
        for kind in KINDS {
            let told = line(&Failure::new(kind).to("a:1"), "GET key\r\n");
            assert!(told.starts_with(&format!("-{} ", kind.name().to_uppercase())), "{told}");
            assert!(told.ends_with("\r\n") && told.len() > kind.name().len() + 5, "{told}");
            let told = line(&Failure::new(kind).message("no\r\n+OK"), "GET key\r\n");
            assert_eq!(told, format!("-{} no  +OK\r\n", kind.name().to_uppercase()));
        }
        assert_eq!(line(&Failure::new(FailureKind::ServerError), "GET a\r\n"), "-ERR injected by vaurien\r\n");
    }

    #[test]
    fn redirections_have_the_slot_of_the_key() {
        // As `CLUSTER KEYSLOT` has them.
        for (key, slot) in [("foo", 12182), ("bar", 5061), ("{user1000}.following", 3443), ("a{}b", 13694), ("", 0)] {
            assert_eq!(super::slot(key.as_bytes()), slot, "{key}");
        }
        let moved = Failure::new(FailureKind::Moved).to("127.0.0.1:7001");
        assert_eq!(line(&moved, "*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n"), "-MOVED 12182 127.0.0.1:7001\r\n");
    }

    #[test]
    fn a_miss_has_the_shape_of_the_commands_reply() {
        let said = |command: &str, mode| {
            miss(format!("{command}\r\n").as_bytes(), mode).map(|reply| String::from_utf8(reply).unwrap())
        };
        for (command, resp2, resp3) in [
            ("GET a", "$-1\r\n", "_\r\n"),
            ("mget a b", "*2\r\n$-1\r\n$-1\r\n", "*2\r\n_\r\n_\r\n"),
            ("HMGET h a", "*1\r\n$-1\r\n", "*1\r\n_\r\n"),
            ("HGETALL h", "*0\r\n", "%0\r\n"),
            ("SMEMBERS s", "*0\r\n", "~0\r\n"),
            ("LRANGE l 0 1", "*0\r\n", "*0\r\n"),
            ("LPOP l", "$-1\r\n", "_\r\n"),
            ("LPOP l 2", "*-1\r\n", "_\r\n"),
            ("SPOP s", "$-1\r\n", "_\r\n"),
            ("SPOP s 2", "*0\r\n", "~0\r\n"),
            ("BLPOP l 0", "*-1\r\n", "_\r\n"),
        ] {
            assert_eq!(said(command, RESP2).as_deref(), Some(resp2), "{command}");
            assert_eq!(said(command, RESP3).as_deref(), Some(resp3), "{command}");
            assert_eq!(said(command, Mode { queued: true, ..RESP2 }), None, "{command}");
        }
        for command in ["SET a 1", "PING", "EXISTS a", "MULTI", "EXEC", "HELLO 3"] {
            assert_eq!(said(command, RESP2), None, "{command}");
        }
        let array = b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n";
        assert_eq!(miss(array, RESP2).unwrap(), b"*2\r\n$-1\r\n$-1\r\n");
    }
}
