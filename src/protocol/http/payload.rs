//! The first data of a response.

use super::head::{self, Coding, Fields};
use crate::protocol::payload::Payload;

/// The beginning of the body, in a chunked one that of the first chunk.
pub(in crate::protocol) fn payload(bytes: &[u8]) -> Payload {
    let delimits = head::response(bytes, |response| {
        let has_body = !matches!(response.code, Some(204 | 304));
        Ok((has_body, Fields::read(response.version, response.headers)?))
    });
    match delimits {
        Ok(None) => Payload::More,
        Ok(Some((head, (true, Fields { length, coding, .. })))) => match (coding, length) {
            (Coding::Chunked, _) => chunk(bytes, head),
            (Coding::None, Some(0)) => Payload::Nothing,
            (Coding::None, Some(length)) => Payload::announced(head, length),
            _ => Payload::open(head),
        },
        Ok(Some((_, (false, _)))) | Err(_) => Payload::Nothing,
    }
}

/// The chunk that begins behind the head (RFC 9112, section 7.1).
fn chunk(bytes: &[u8], head: usize) -> Payload {
    let Some(end) = bytes[head..].iter().position(|byte| *byte == b'\n') else { return Payload::More };
    let digits = bytes[head..head + end].iter().take_while(|byte| byte.is_ascii_hexdigit());
    let size = digits.fold(0_u64, |size, digit| {
        size.saturating_mul(16).saturating_add(char::from(*digit).to_digit(16).unwrap_or(0).into())
    });
    if size == 0 { Payload::Nothing } else { Payload::announced(head + end + 1, size) }
}
