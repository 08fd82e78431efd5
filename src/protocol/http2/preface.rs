//! What a client begins HTTP/2 with (RFC 9113, section 3.4).

/// The client's connection preface, without the SETTINGS frame that follows.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a client are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// HTTP/2.
    Preface,
    /// Perhaps HTTP/2: more has to be seen. HTTP/1 has no method `PRI`, so nothing else begins with more than a few of these bytes.
    Incomplete,
    Other,
}

/// What `bytes`, the first of a client, are. They are not empty.
pub(crate) fn start(bytes: &[u8]) -> Start {
    if bytes.starts_with(PREFACE) {
        Start::Preface
    } else if PREFACE.starts_with(bytes) {
        Start::Incomplete
    } else {
        Start::Other
    }
}

/// Whether `bytes`, the first of a backend, begin as a server does: with a SETTINGS frame.
pub(crate) fn is_of_server(bytes: &[u8]) -> bool {
    let settings = |at: usize, byte: u8| match at {
        // Each setting takes six bytes, and nobody has sixty-four kilobytes of them.
        0 | 4..=8 => byte == 0,
        3 => byte == 4,
        _ => true,
    };
    bytes.iter().take(9).enumerate().all(|(at, byte)| settings(at, *byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_begins_with_its_settings() {
        let frame = b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff";
        for len in 1..frame.len() {
            assert!(is_of_server(&frame[..len]), "{len}");
        }
        // An acknowledgement, data of a stream, a greeting of MySQL, and HTTP/1.
        for other in [&b"\0\0\0\x04\x01\0\0\0\0"[..], b"\0\0\x05\0\0\0\0\0\x01", b"J\0\0\0\x0a8.0", b"HTTP/1.1 408"] {
            assert!(!is_of_server(other), "{other:?}");
        }
    }

    #[test]
    fn the_preface_is_known_once_it_is_complete() {
        for len in 1..PREFACE.len() {
            assert_eq!(start(&PREFACE[..len]), Start::Incomplete, "{len}");
        }
        assert_eq!(start(PREFACE), Start::Preface);
        assert_eq!(start(&[PREFACE, b"\0\0\0\x04"].concat()), Start::Preface);
        for other in ["PRI * HTTP/2.1\r\n", "PRI /", "PROXY TCP4", "GET / HTTP/1.1\r\n", "p"] {
            assert_eq!(start(other.as_bytes()), Start::Other, "{other}");
        }
    }
}
