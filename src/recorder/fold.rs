//! Folding a command and a key into their shape.
//!
//! A shape is written as a rule writes it, and a rule with these two words matches every call that folds into it: each byte of a
//! shape is a byte of the call in its place, or a `*` for what was left out. What has a meaning in a rule is always left out.

use crate::protocol::{Protocol, grpc};

/// The longest command that is kept.
const MAX_COMMAND: usize = 24;

/// The longest shape, in bytes.
pub(super) const MAX_SHAPE: usize = 128;

/// The longest part of a key that is looked at. The rest of the key is left out behind a longer one.
const MAX_SEGMENT: usize = 64;

/// From this length on, a text of hexadecimal digits with a number among them is an identifier.
const HEX: usize = 8;

/// The same for a text of letters and numbers.
const MIXED: usize = 16;

/// The same for any text.
const LONG: usize = 32;

/// The same for a text with upper case, lower case and numbers, in which `-` and `_` are digits as well.
const BASE64: usize = 20;

/// How many digits at the end of a text are a number: `user42`, but not `oauth2`.
const NUMBER: usize = 2;

/// The longest version: `v100`.
const VERSION: usize = 4;

/// A command and a key, folded.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    /// The command, directly followed by the key, and zeros.
    bytes: [u8; MAX_SHAPE],
    len: usize,
    /// The length of the command.
    command: usize,
}

/// What a byte means in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// Within identifiers and between words: `-` and `_`.
    Joint,
    /// Between segments, as `/` and `:`.
    Separator,
    /// Everything that a rule, a shell or a terminal may take for something else.
    Special,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Special; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        classes[byte as usize] = match byte {
            b'0'..=b'9' => Class::Digit,
            b'A'..=b'Z' | b'a'..=b'z' => Class::Letter,
            b'-' | b'_' => Class::Joint,
            b'*' | b'?' | b'|' | b'\\' | b'"' | b'\'' | b'~' | b'=' => Class::Special,
            _ => Class::Separator,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

impl Folded {
    pub(super) fn of(protocol: Protocol, command: &[u8], key: &[u8]) -> Self {
        let mut folded = Self { bytes: [0; MAX_SHAPE], len: 0, command: 0 };
        let is_plain = |byte: &u8| matches!(class(*byte), Class::Letter | Class::Digit | Class::Joint) || *byte == b'.';
        if command.is_empty() || command.len() > MAX_COMMAND || !command.iter().all(is_plain) {
            folded.leave_out();
        } else {
            folded.push(command);
            folded.bytes[..folded.len].make_ascii_uppercase();
        }
        folded.command = folded.len;
        // The names of services and methods identify nothing, however long they are.
        let has_names = protocol == Protocol::Grpc && command == b"POST" && grpc::service_and_method(key).is_some();
        folded.push_key(key, has_names);
        folded
    }

    /// The command and the key.
    pub(super) fn words(&self) -> (&[u8], &[u8]) {
        self.bytes[..self.len].split_at(self.command)
    }

    pub(super) fn hash(&self) -> u64 {
        let mut hash = self.command as u64;
        for chunk in self.bytes.chunks_exact(8).take(self.len.div_ceil(8)) {
            let word = chunk.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        hash ^ hash >> 32
    }

    fn push_key(&mut self, mut key: &[u8], has_names: bool) {
        while !key.is_empty() {
            let seen = &key[..key.len().min(MAX_SEGMENT + 1)];
            let end = seen.iter().position(|byte| class(*byte) == Class::Separator).unwrap_or(seen.len());
            // There has to be room for a segment, its separator and a wildcard.
            if end > MAX_SEGMENT || self.len + end + 2 > MAX_SHAPE {
                return self.leave_out();
            }
            let (segment, rest) = key.split_at(end);
            if has_names && segment.iter().all(|byte| class(*byte) != Class::Special) {
                self.push(segment);
            } else {
                self.push_segment(segment);
            }
            let (separator, rest) = rest.split_at(rest.len().min(1));
            self.push(separator);
            key = rest;
        }
    }

    fn push_segment(&mut self, segment: &[u8]) {
        let (mut has_digits, mut is_special, mut cases) = (false, false, [false; 2]);
        for byte in segment {
            match class(*byte) {
                Class::Digit => has_digits = true,
                Class::Letter => cases[usize::from(byte.is_ascii_lowercase())] = true,
                Class::Special => is_special = true,
                Class::Joint | Class::Separator => {}
            }
        }
        let is_base64 = || segment.len() >= BASE64 && has_digits && cases == [true; 2];
        if is_special || is_base64() || is_uuid(segment) {
            return self.leave_out();
        }
        if !has_digits && segment.len() < LONG {
            return self.push(segment);
        }
        let begin = self.len;
        for part in segment.chunk_by(|a, b| class(*a) != Class::Joint && class(*b) != Class::Joint) {
            let kept = kept(part);
            let is_behind_one = kept == 0 && self.len >= begin + 2 && self.bytes[self.len - 2] == b'*';
            if is_behind_one && class(self.bytes[self.len - 1]) == Class::Joint {
                // One stands for both, and for what is between them: `2024-01-31`.
                self.len -= 1;
                self.bytes[self.len] = 0;
                continue;
            }
            self.push(&part[..kept]);
            if kept < part.len() {
                self.leave_out();
            }
        }
    }

    /// A `*`, for any bytes.
    fn leave_out(&mut self) {
        if self.len == self.command || self.bytes[self.len - 1] != b'*' {
            self.push(b"*");
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// How many bytes of `part`, from its beginning, belong to its shape: all, or those before the number at its end, or none.
fn kept(part: &[u8]) -> usize {
    let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_hex = || part.len() >= HEX && part.iter().all(u8::is_ascii_hexdigit);
    if digits == 0 {
        return if part.len() < LONG { part.len() } else { 0 };
    }
    if digits == part.len() || part.len() >= MIXED || is_hex() {
        return 0;
    }
    let at_end = part.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let is_version = part.len() <= VERSION && matches!(part, [b'v' | b'V', rest @ ..] if rest.len() == at_end);
    if at_end < NUMBER || is_version { part.len() } else { part.len() - at_end }
}

/// `550e8400-e29b-41d4-a716-446655440000`.
fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
