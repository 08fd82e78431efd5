//! The first data of a reply.

use crate::protocol::decimal;
use crate::protocol::payload::Payload;

/// How a binary reply begins, and how long its header is ("Packet Structure" of the binary protocol).
const BINARY_REPLY: u8 = 0x81;
const BINARY_HEADER: usize = 24;

/// The first item with data, or the text of a reply's only line.
pub(in crate::protocol) fn payload(bytes: &[u8]) -> Payload {
    if bytes.first() == Some(&BINARY_REPLY) { binary(bytes) } else { text(bytes) }
}

/// The value lies behind extras and key.
fn binary(bytes: &[u8]) -> Payload {
    let Some(header) = bytes.get(..BINARY_HEADER) else { return Payload::More };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let before = number(&header[2..4]) + u64::from(header[4]);
    let value = number(&header[8..12]).saturating_sub(before);
    match usize::try_from(before) {
        Ok(before) if value > 0 => Payload::announced(BINARY_HEADER + before, value),
        _ => Payload::Nothing,
    }
}

fn text(bytes: &[u8]) -> Payload {
    let mut at = 0;
    loop {
        let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) else {
            return Payload::More;
        };
        let line = &bytes[at..at + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut words = line.split(|byte| *byte == b' ');
        let size = match words.next() {
            Some(b"VALUE" | b"CONFIG") => words.nth(2),
            Some(b"VA") => words.next(),
            Some(b"END" | b"EN" | b"") => return Payload::Nothing,
            _ => return Payload::line(at, line.len()),
        };
        match size.and_then(decimal) {
            None | Some(0) => at += end + 1 + 2,
            Some(size) => return Payload::announced(at + end + 1, size),
        }
    }
}
