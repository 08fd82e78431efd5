//! The PROXY protocol's header, with which a load balancer begins a connection (haproxy's `proxy-protocol.txt`).

/// How version 1 begins (section 2.1).
const V1: &[u8] = b"PROXY ";

/// The longest line of version 1 in bytes, line end included (section 2.1).
const V1_MAX: usize = 107;

/// The signature of version 2 (section 2.2).
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of version 2 before the addresses: signature, command, family and length.
const V2_FIXED: usize = 16;

/// The least bytes that can begin nothing but a header: no other message begins with `PROXY ` or with the signature.
const CERTAIN: usize = V1.len();

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A header of this many bytes.
    Header(usize),
    /// That takes more bytes.
    Incomplete,
    /// No header.
    Other,
}

/// Whether bytes that are [`Start::Incomplete`] are certainly a header's.
pub(crate) fn is_certain(bytes: &[u8]) -> bool {
    bytes.len() >= CERTAIN
}

/// Reads the first bytes of a connection.
pub(crate) fn start(bytes: &[u8]) -> Start {
    if V1.starts_with(bytes) || V2.starts_with(bytes) {
        return Start::Incomplete;
    }
    let len = if bytes.starts_with(V1) {
        match memchr::memchr(b'\n', &bytes[..bytes.len().min(V1_MAX)]) {
            Some(end) if is_v1(&bytes[..end]) => end + 1,
            None if bytes.len() < V1_MAX => return Start::Incomplete,
            _ => return Start::Other,
        }
    } else if bytes.starts_with(V2) {
        match bytes.get(14..V2_FIXED) {
            Some(&[high, low]) => V2_FIXED + usize::from(u16::from_be_bytes([high, low])),
            _ => return Start::Incomplete,
        }
    } else {
        return Start::Other;
    };
    if bytes.len() < len { Start::Incomplete } else { Start::Header(len) }
}

/// Whether a line, without its `\n`, is a header of version 1 and not a command of that name.
fn is_v1(line: &[u8]) -> bool {
    let family = line[V1.len()..].split(|byte| matches!(byte, b' ' | b'\r')).next();
    line.ends_with(b"\r") && matches!(family, Some(b"TCP4" | b"TCP6" | b"UNKNOWN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_recognised_at_any_cut() {
        let v2 = [V2, b"\x21\x11\0\x0c", &[7; 12]].concat();
        for header in [b"PROXY TCP4 10.1.2.3 10.1.2.4 40000 6379\r\n", &b"PROXY UNKNOWN\r\n"[..], &v2] {
            for cut in 0..header.len() {
                assert_eq!(start(&header[..cut]), Start::Incomplete, "{}", header[..cut].escape_ascii());
            }
            assert_eq!(start(header), Start::Header(header.len()));
            assert_eq!(start(&[header, b"PROXY"].concat()), Start::Header(header.len()));
        }
    }

    #[test]
    fn other_bytes_are_no_header() {
        let long = [V1, &[b'a'; V1_MAX][..]].concat();
        for other in [
            &b"PING\r\n"[..],
            b"PROXY me\r\n",
            b"PROXY TCP4 10.1.2.3\n",
            b"PROXY / HTTP/1.1\r\n",
            b"\r\n\r\nGET",
            b"\x16\x03\x01",
            &long,
        ] {
            assert_eq!(start(other), Start::Other, "{}", other.escape_ascii());
        }
    }
}
