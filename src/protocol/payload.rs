//! Where the data of a reply is: what can be altered while the reply's framing stays intact.

use super::Protocol;

/// The first data of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// It shows only with more of the reply.
    More,
    /// The reply has none.
    Nothing,
    /// Data.
    Data {
        /// How many bytes of the reply come before it.
        begin: usize,
        /// How many bytes it has; none where that is not known, so that it is as long as what is here.
        len: Option<u64>,
        /// It is the text of a line: not every byte may be in it.
        is_line: bool,
    },
}

impl Payload {
    /// Data whose length was announced.
    pub(super) fn announced(begin: usize, len: u64) -> Self {
        Self::Data { begin, len: Some(len), is_line: false }
    }

    /// The text of a line, without what ends it.
    pub(super) fn line(begin: usize, len: usize) -> Self {
        Self::Data { begin, len: Some(len as u64), is_line: true }
    }

    /// Data without an end.
    pub(super) const fn open(begin: usize) -> Self {
        Self::Data { begin, len: None, is_line: false }
    }
}

impl Protocol {
    /// The first data of the reply that begins with `bytes`.
    pub(crate) fn payload(self, bytes: &[u8]) -> Payload {
        match self {
            Self::Tcp => Payload::open(0),
            Self::Redis => super::redis::payload(bytes),
            Self::Memcache => super::memcache::payload(bytes),
            Self::Http | Self::Grpc => super::http::payload(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, or what there is in place of it.
    fn payload(protocol: Protocol, reply: &[u8]) -> Result<(&[u8], Option<u64>), Payload> {
        match protocol.payload(reply) {
            Payload::Data { begin, len, .. } => {
                let end = len.and_then(|len| usize::try_from(len).ok()).map_or(reply.len(), |len| begin + len);
                Ok((&reply[begin..end.min(reply.len())], len))
            }
            other => Err(other),
        }
    }

    #[test]
    fn the_first_data_of_a_reply_is_found() {
        use Protocol::{Http, Memcache, Redis, Tcp};
        // Extras of four bytes, the key `k`.
        let mut binary = vec![0; 24 + 4];
        (binary[0], binary[3], binary[4], binary[11]) = (0x81, 1, 4, 4 + 1 + 5);
        binary.extend_from_slice(b"kvalue");
        for (protocol, reply, data, len) in [
            (Tcp, &b"anything"[..], &b"anything"[..], None),
            (Redis, b"+OK\r\n", b"OK", Some(2)),
            (Redis, b":1000\r\n", b"1000", Some(4)),
            (Redis, b":-17\r\n", b"17", Some(2)),
            (Redis, b"-ERR no\r\n", b"ERR no", Some(6)),
            (Redis, b"$3\r\nabc\r\n", b"abc", Some(3)),
            (Redis, b"$1000\r\nab", b"ab", Some(1000)),
            (Redis, b"=7\r\ntxt:abc\r\n", b"abc", Some(3)),
            (Redis, b"*3\r\n$-1\r\n*1\r\n_\r\n$2\r\nab\r\n", b"ab", Some(2)),
            (Redis, b"%1\r\n+k\r\n#t\r\n", b"k", Some(1)),
            (Redis, b"*?\r\n$?\r\n;4\r\nabcd\r\n;0\r\n.\r\n", b"abcd", Some(4)),
            (Memcache, b"VALUE key 0 3\r\nabc\r\nEND\r\n", b"abc", Some(3)),
            (Memcache, b"VALUE a 0 0\r\n\r\nVALUE b 0 9 1\r\nab", b"ab", Some(9)),
            (Memcache, b"VA 2 c1\r\nhi\r\n", b"hi", Some(2)),
            (Memcache, b"STORED\r\n", b"STORED", Some(6)),
            (Memcache, b"17\r\n", b"17", Some(2)),
            (Memcache, &binary, b"value", Some(5)),
            (Http, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", b"hel", Some(5)),
            (Http, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na;x=y\r\n01234", b"01234", Some(10)),
            (Http, b"HTTP/1.0 200 OK\r\n\r\nuntil", b"until", None),
        ] {
            assert_eq!(payload(protocol, reply), Ok((data, len)), "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn a_reply_may_have_no_data_or_none_yet() {
        use Payload::{More, Nothing};
        use Protocol::{Http, Memcache, Redis};
        for (protocol, reply, expected) in [
            (Redis, &b"$-1\r\n"[..], Nothing),
            (Redis, b"*0\r\n", Nothing),
            (Redis, b"$0\r\n\r\n", Nothing),
            (Redis, b"_\r\n", Nothing),
            (Redis, b"#t\r\n", Nothing),
            (Redis, b"*2\r\n$-1\r\n_\r\n", Nothing),
            (Redis, b"$1", More),
            (Redis, b"+OK\r", More),
            (Redis, b"*2\r\n$-1\r\n", More),
            (Memcache, b"END\r\n", Nothing),
            (Memcache, b"EN\r\n", Nothing),
            (Memcache, b"VALUE a 0 0\r\n\r\nEND\r\n", Nothing),
            (Memcache, b"VALUE a 0 0\r\n\r\n", More),
            (Memcache, b"\x81\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Nothing),
            (Memcache, b"\x81\0\0", More),
            (Http, b"HTTP/1.1 204 No Content\r\n\r\n", Nothing),
            (Http, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Nothing),
            (Http, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Nothing),
            (Http, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na", More),
        ] {
            assert_eq!(payload(protocol, reply).unwrap_err(), expected, "{}", reply.escape_ascii());
        }
    }
}
