//! The first data of a reply.

use crate::protocol::decimal;
use crate::protocol::payload::Payload;

/// What comes before the text of a verbatim string: its format (`txt:`).
const FORMAT: usize = 4;

/// The first element with data in it, at any depth.
pub(in crate::protocol) fn payload(bytes: &[u8]) -> Payload {
    // How many elements are still to begin. Streamed ones end with an element of their own.
    let (mut at, mut elements) = (0, 1_u64);
    while elements > 0 {
        let Some(rest) = bytes.get(at..) else { return Payload::More };
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Payload::More };
        let Some((kind, text)) = rest[..end].split_first() else { return Payload::Nothing };
        let next = at + end + 2;
        elements -= 1;
        match kind {
            b'_' | b'#' | b'.' => {}
            b'$' | b'!' | b';' | b'=' => match decimal(text) {
                Some(len) if len > FORMAT as u64 && *kind == b'=' => {
                    return Payload::announced(next + FORMAT, len - FORMAT as u64);
                }
                Some(len @ 1..) => return Payload::announced(next, len),
                // An empty string has a line end of its own.
                Some(0) if *kind != b';' => {
                    at = next + 2;
                    continue;
                }
                _ if text == b"?" => elements += 1,
                _ => {}
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let pairs = matches!(kind, b'%' | b'|');
                let more =
                    decimal(text).map_or(u64::from(text == b"?"), |len| len.saturating_mul(1 + u64::from(pairs)));
                // An attribute comes before its element.
                elements = elements.saturating_add(more).saturating_add(u64::from(*kind == b'|'));
            }
            _ if text.is_empty() => {}
            // A number without its sign stays a number.
            _ => {
                let sign = usize::from(*kind == b':' && text.starts_with(b"-"));
                return Payload::line(at + 1 + sign, text.len() - sign);
            }
        }
        at = next;
        if elements > 0 && at >= bytes.len() {
            return Payload::More;
        }
    }
    Payload::Nothing
}
