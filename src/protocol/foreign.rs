//! Names what turns out to be another protocol by its first bytes, and says what to do about it.

use super::Protocol;
use super::http2::preface;

/// Why a line of text that is an HTTP request turns a connection of another protocol opaque.
pub(super) const HTTP_REQUEST: &str = "an HTTP request";

/// Why a line of text that is the banner of SSH turns a connection of another protocol opaque.
pub(super) const SSH_BANNER: &str = "an SSH banner";

/// What links the name of a protocol to the one that was asked for.
const UNREADABLE: &str = ", which --protocol ";

/// Why a connection of HTTP/1 turns opaque whose backend speaks HTTP/2.
const MIXED: &str = "the backend speaks HTTP/2, and its client HTTP/1: let the client speak HTTP/2";

/// A protocol that is not the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A client's.
    Tls,
    /// A backend's alert, at a request without TLS.
    TlsAlert,
    Http2,
    /// A backend's settings, at a request that is not HTTP/2.
    Http2Settings,
    Http,
    Redis,
    Memcache,
    PostgreSql,
    MySql,
    Ssh,
}

impl Foreign {
    /// The one that a client begins with `bytes`, which are no request of the protocol that was asked for.
    pub(crate) fn of_client(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // RFC 8446, section 5.1: a handshake record, of version 3.x whatever the version of TLS.
            [0x16, 3, 0..=4, ..] => Some(Self::Tls),
            // An SSL, GSSAPI or cancel request, or the startup message of version 3.
            [0, 0, _, _, 4, 0xd2, 0x16, 0x2e..=0x30, ..] | [0, 0, _, _, 0, 3, 0, _, ..] => Some(Self::PostgreSql),
            [b'*', b'1'..=b'9', ..] => Some(Self::Redis),
            _ if bytes.starts_with(b"PRI * HTTP/2.0") => Some(Self::Http2),
            _ if bytes.starts_with(b"SSH-") => Some(Self::Ssh),
            _ if is_http_request(bytes.split(|byte| *byte == b'\n').next()?) => Some(Self::Http),
            _ => None,
        }
    }

    /// The one that a backend begins with `bytes`, which are no reply of the protocol that was asked for.
    pub(crate) fn of_backend(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // RFC 8446, section 5.1: a record with an alert, of two bytes.
            [0x15, 3, 0..=4, 0, 2, ..] => Some(Self::TlsAlert),
            // A greeting: its length, the number 0, version 10 of the protocol, the version of the server.
            [_, _, 0, 0, 10, b'0'..=b'9', ..] => Some(Self::MySql),
            [_, _, _, _, _, _, _, _, _, ..] if preface::is_of_server(bytes) => Some(Self::Http2Settings),
            _ if bytes.starts_with(b"SSH-") => Some(Self::Ssh),
            _ if bytes.starts_with(b"HTTP/1.") => Some(Self::Http),
            _ => match bytes.split_inclusive(|byte| *byte == b'\n').next()?.strip_suffix(b"\r\n")? {
                line if is_memcached(line) => Some(Self::Memcache),
                line if is_resp(line) => Some(Self::Redis),
                _ => None,
            },
        }
    }

    /// Why there is no HTTP/2 with a backend whose first bytes are `said`, within TLS or not.
    pub(crate) fn instead_of_http2(said: &[u8], is_tls: bool) -> String {
        let speaks = match Self::of_backend(said) {
            Some(Self::Http) if is_tls => ", but HTTP/1: let the client speak that".to_owned(),
            // Servers of TLS say so in HTTP/1 as well.
            Some(Self::Http) => {
                ", but HTTP/1: let the client speak that, or add --backend-tls if it has TLS".to_owned()
            }
            Some(Self::TlsAlert) => ", but TLS: add --backend-tls".to_owned(),
            Some(foreign) if foreign != Self::Http2Settings => {
                format!(", but {}: {}", foreign.name(), foreign.advice())
            }
            _ if is_tls => String::new(),
            _ => ": if it speaks TLS, add --backend-tls".to_owned(),
        };
        format!("it does not speak HTTP/2{speaks}")
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tls | Self::TlsAlert => "TLS",
            Self::Http2 | Self::Http2Settings => "HTTP/2",
            Self::Http => "HTTP",
            Self::Redis => "RESP, the protocol of Redis",
            Self::Memcache => "memcached",
            Self::PostgreSql => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::Ssh => "SSH",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Tls => "speak it to clients, with --tls auto, or use --protocol tcp",
            Self::TlsAlert => "speak it to the backend, with --backend-tls",
            Self::Http2 | Self::Http2Settings => "use --protocol http, or grpc",
            Self::Http => "use --protocol http",
            Self::Redis => "use --protocol redis",
            Self::Memcache => "use --protocol memcache",
            Self::PostgreSql | Self::MySql | Self::Ssh => "use --protocol tcp",
        }
    }

    /// Why connections of `protocol` that speak this turn opaque; `None` if it is that protocol itself.
    pub(crate) fn reason(self, protocol: Protocol) -> Option<String> {
        if self == Self::Http2Settings && protocol.is_http() {
            return Some(MIXED.to_owned());
        }
        let is_itself = matches!(
            (self, protocol),
            (Self::Http | Self::Http2, Protocol::Http | Protocol::Grpc)
                | (Self::Redis, Protocol::Redis)
                | (Self::Memcache, Protocol::Memcache)
        );
        (!is_itself).then(|| format!("{}{UNREADABLE}{protocol} cannot read: {}", self.name(), self.advice()))
    }
}

/// Whether a reason names the protocol of the connection, rather than what is wrong with it.
#[cfg(any(feature = "program", test))]
pub(crate) fn is_named(reason: &str) -> bool {
    reason.contains(UNREADABLE)
}

/// Whether a line, without its end, is one that a memcached sends and a Redis does not.
fn is_memcached(line: &[u8]) -> bool {
    const WHOLE: [&[u8]; 12] = [
        b"END",
        b"STORED",
        b"NOT_STORED",
        b"EXISTS",
        b"NOT_FOUND",
        b"DELETED",
        b"TOUCHED",
        b"ERROR",
        b"EN",
        b"HD",
        b"MN",
        b"NF",
    ];
    const BEGIN: [&[u8]; 7] = [b"VALUE ", b"CLIENT_ERROR ", b"SERVER_ERROR ", b"VERSION ", b"STAT ", b"VA ", b"HD "];
    WHOLE.contains(&line) || BEGIN.iter().any(|begin| line.starts_with(begin))
}

/// Whether a line, without its end, is one that a Redis sends. Mail servers send `+OK` and `-ERR` with other texts.
fn is_resp(line: &[u8]) -> bool {
    const WHOLE: [&[u8]; 4] = [b"+OK", b"+PONG", b"+QUEUED", b"$-1"];
    const ERRORS: [&[u8]; 6] = [
        b"-ERR unknown command",
        b"-ERR wrong number",
        b"-ERR syntax error",
        b"-WRONGTYPE ",
        b"-NOAUTH ",
        b"-LOADING ",
    ];
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    WHOLE.contains(&line)
        || ERRORS.iter().any(|begin| line.starts_with(begin))
        || matches!(line, [b'$' | b':' | b'*', digits @ ..] if is_number(digits))
}

/// Whether a line of text is the banner of SSH (RFC 4253, section 4.2).
pub(super) fn is_ssh_banner(line: &[u8]) -> bool {
    line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.")
}

/// Whether a line is the first of an HTTP request.
pub(super) fn is_http_request(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    [&b" HTTP/1.1"[..], b" HTTP/1.0", b" HTTP/2.0"].iter().any(|version| line.ends_with(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Step;

    /// The first bytes of clients, as they were captured.
    const CLIENTS: [(&[u8], Foreign); 9] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Foreign::Tls),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0", Foreign::Http2),
        (b"GET /pay HTTP/1.1\r\nHost: a\r\n\r\n", Foreign::Http),
        (b"POST / HTTP/1.0\r\n\r\n", Foreign::Http),
        (b"*1\r\n$4\r\nPING\r\n", Foreign::Redis),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Foreign::PostgreSql),
        (b"\0\0\0\x08\x04\xd2\x16\x30", Foreign::PostgreSql),
        (b"\0\0\0\x26\0\x03\0\0user\0postgres\0database\0postgres\0\0", Foreign::PostgreSql),
        (b"SSH-2.0-OpenSSH_9.7\r\n", Foreign::Ssh),
    ];

    const BACKENDS: [(&[u8], Foreign); 13] = [
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Foreign::Http2Settings),
        (b"\x15\x03\x01\0\x02\x02\x0a", Foreign::TlsAlert),
        (b"END\r\n", Foreign::Memcache),
        (b"STORED\r\n", Foreign::Memcache),
        (b"VALUE a 0 1\r\n1\r\nEND\r\n", Foreign::Memcache),
        (b"ERROR\r\n", Foreign::Memcache),
        (b"$-1\r\n", Foreign::Redis),
        (b"$1\r\na\r\n", Foreign::Redis),
        (b"-ERR unknown command 'gets'\r\n", Foreign::Redis),
        (b"-ERR syntax error\r\n", Foreign::Redis),
        (b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0", Foreign::MySql),
        (b"SSH-2.0-OpenSSH_9.7\r\n", Foreign::Ssh),
        (b"HTTP/1.1 400 Bad Request\r\n", Foreign::Http),
    ];

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        for (bytes, foreign) in CLIENTS {
            assert_eq!(Foreign::of_client(bytes), Some(foreign), "{}", bytes.escape_ascii());
        }
        for (bytes, foreign) in BACKENDS {
            assert_eq!(Foreign::of_backend(bytes), Some(foreign), "{}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"\x16", b"\x16\x03", b"GET a\r\n", b"hello\r\n", b"\0\0\0\0", b"*\r\n"] {
            assert_eq!((Foreign::of_client(bytes), Foreign::of_backend(bytes)), (None, None));
        }
        // Another line, a mail server, and a line that has not ended.
        for bytes in [&b"ENDS\r\n"[..], b"+OK POP3 ready\r\n", b"-ERR\r\n", b"END", b"$-1"] {
            assert_eq!(Foreign::of_backend(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    /// A name is asked for only where the framer cannot read on, so these have to stop it.
    #[test]
    fn framers_stop_at_the_first_bytes_of_other_protocols() {
        for (bytes, foreign) in CLIENTS {
            for protocol in [Protocol::Http, Protocol::Redis, Protocol::Memcache] {
                if foreign.reason(protocol).is_none() {
                    continue;
                }
                let step = protocol.requests().step(bytes, false);
                assert!(matches!(step, Step::Opaque(_)), "{protocol}: {} {step:?}", bytes.escape_ascii());
            }
        }
        for (bytes, _) in BACKENDS {
            for protocol in [Protocol::Http, Protocol::Redis, Protocol::Memcache] {
                let step = protocol.replies().step(bytes, None);
                assert!(matches!(step, Step::Opaque(_)), "{protocol}: {} {step:?}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn a_backend_without_http2_is_known_by_what_it_says_instead() {
        for (said, is_tls, why) in [
            (&b"\x15\x03\x01\0\x02\x02\x46"[..], false, ", but TLS: add --backend-tls"),
            (b"HTTP/1.1 400 ", true, ", but HTTP/1: let the client speak that"),
            (b"HTTP/1.0 400 ", false, ", but HTTP/1: let the client speak that, or add --backend-tls if it has TLS"),
            (b"-ERR unknown command 'PRI'\r\n", false, ", but RESP, the protocol of Redis: use --protocol redis"),
            (b"", false, ": if it speaks TLS, add --backend-tls"),
            (b"", true, ""),
        ] {
            let expected = format!("it does not speak HTTP/2{why}");
            assert_eq!(Foreign::instead_of_http2(said, is_tls), expected, "{}", said.escape_ascii());
        }
    }

    #[test]
    fn a_reason_says_what_to_do() {
        let reason = Foreign::Tls.reason(Protocol::Http).unwrap();
        let expected =
            "TLS, which --protocol http cannot read: speak it to clients, with --tls auto, or use --protocol tcp";
        assert_eq!(reason, expected);
        assert!(is_named(&reason) && !is_named("a lone carriage return"));
        let reason = Foreign::Http2Settings.reason(Protocol::Grpc).unwrap();
        assert_eq!(reason, "the backend speaks HTTP/2, and its client HTTP/1: let the client speak HTTP/2");
        let itself = [(Foreign::Http, Protocol::Http), (Foreign::Memcache, Protocol::Memcache)];
        assert_eq!(itself.map(|(foreign, protocol)| foreign.reason(protocol)), [None, None]);
    }
}
