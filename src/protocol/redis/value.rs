//! Finds the end of a RESP value of any type.

use memchr::memchr;

use super::number::{self, Number, Size};
use crate::protocol::skip;

/// How deep streamed aggregates, which do not announce their number of elements, may be nested. Other aggregates need
/// no limit: one count of the elements still to come serves all levels.
const MAX_STREAMED: usize = 32;

/// The state of reading a value, which may be split anywhere. No bytes are kept, and contents of lines are not checked.
#[derive(Debug, Default)]
pub(super) struct Value {
    next: Next,
    /// Announced elements that have not begun, summed over all levels inside the innermost streamed aggregate.
    announced: u64,
    /// The saved `announced` of the levels around each open streamed aggregate.
    outer: Vec<u64>,
    size: Number,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default)]
enum Next {
    /// Nothing: the value has ended.
    #[default]
    Nothing,
    /// The `>` of a push.
    Push,
    /// The type byte of an element.
    Type,
    /// The size of an element of this type.
    Size(u8),
    /// A line; `true` if the last byte was `\r`.
    Line(bool),
    /// A bulk string of which this many bytes remain, line end included.
    Bulk(u64),
    /// The `;` before a chunk of a streamed string.
    Semicolon,
    /// A chunk of which this many bytes remain, line end included.
    Chunk(u64),
}

impl Value {
    /// Begins a value; its type comes next.
    pub(super) fn begin(&mut self) {
        (self.next, self.announced) = (Next::Type, 1);
    }

    /// Begins a push; its `>` comes next. Inside another value a `>` is an error.
    pub(super) fn begin_push(&mut self) {
        (self.next, self.announced) = (Next::Push, 0);
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Bytes still to come; known only in a bulk string that ends the value.
    pub(super) fn left(&self) -> Option<u64> {
        match self.next {
            Next::Nothing => Some(0),
            Next::Bulk(left) if self.is_complete() => Some(left),
            _ => None,
        }
    }

    /// Continues at `bytes[*at..]`, at most to the value's end. After an error `at` is the index of the invalid byte,
    /// however the bytes were split.
    pub(super) fn read(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), &'static str> {
        while *at < bytes.len() {
            match self.next {
                Next::Nothing => break,
                Next::Push => {
                    self.next = Next::Size(b'>');
                    *at += 1;
                }
                Next::Type => {
                    self.next = self.element(bytes[*at])?;
                    *at += 1;
                }
                Next::Size(kind) => {
                    let Some(size) = self.size.read(bytes, at)? else { break };
                    self.next = self.sized(kind, size)?;
                }
                Next::Line(after_return) => {
                    self.next = if let Some(len) = line_end(&bytes[*at..], after_return) {
                        *at += len;
                        self.after_element()
                    } else {
                        *at = bytes.len();
                        Next::Line(bytes.ends_with(b"\r"))
                    };
                }
                Next::Bulk(mut left) => {
                    *at += skip(&mut left, bytes.len() - *at);
                    self.next = if left > 0 { Next::Bulk(left) } else { self.after_element() };
                }
                Next::Semicolon if bytes[*at] == b';' => {
                    self.next = Next::Size(b';');
                    *at += 1;
                }
                Next::Semicolon => return Err("a streamed string without its next chunk"),
                Next::Chunk(mut left) => {
                    *at += skip(&mut left, bytes.len() - *at);
                    self.next = if left > 0 { Next::Chunk(left) } else { Next::Semicolon };
                }
            }
        }
        Ok(())
    }

    /// Begins an element of type `kind` and returns what comes next.
    fn element(&mut self, kind: u8) -> Result<Next, &'static str> {
        let next = match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Next::Line(false),
            b'$' | b'!' | b'=' | b'*' | b'%' | b'~' | b'|' => Next::Size(kind),
            // The end of a streamed aggregate.
            b'.' if self.announced == 0 => {
                self.announced = self.outer.pop().ok_or("an end marker outside a streamed aggregate")?;
                return Ok(Next::Line(false));
            }
            b'>' => return Err("a push inside a reply"),
            _ => return Err("an unknown RESP type"),
        };
        if kind == b'|' {
            // An attribute is not an element: it precedes the element that it describes.
            self.announced = self.announced.max(1);
        } else {
            self.announced = self.announced.saturating_sub(1); // stays 0 in a streamed aggregate
        }
        Ok(next)
    }

    /// What comes after the `size` of an element of type `kind`.
    fn sized(&mut self, kind: u8, size: Size) -> Result<Next, &'static str> {
        let size = match (kind, size) {
            (b'$', Size::Streamed) => return Ok(Next::Semicolon),
            (b'*' | b'%' | b'~' | b'>' | b'|', Size::Streamed) => {
                if self.outer.len() == MAX_STREAMED {
                    return Err("streamed aggregates nested more than 32 deep");
                }
                self.outer.push(self.announced);
                self.announced = 0;
                return Ok(Next::Type);
            }
            (b'$' | b'*', Size::Known(-1)) => return Ok(self.after_element()), // RESP2's null
            (_, Size::Known(size)) => u64::try_from(size).map_err(|_| "a negative size")?,
            (_, Size::Streamed) => return Err("a type that cannot be streamed"),
        };
        let elements = match kind {
            b'$' | b'!' | b'=' => return Ok(Next::Bulk(size.saturating_add(2))),
            b';' if size > 0 => return Ok(Next::Chunk(size.saturating_add(2))),
            b';' => 0,
            b'%' | b'|' => size.saturating_mul(2),
            _ => size,
        };
        self.announced = self.announced.checked_add(elements).ok_or("an aggregate of too many elements")?;
        Ok(self.after_element())
    }

    fn after_element(&self) -> Next {
        if self.is_complete() { Next::Nothing } else { Next::Type }
    }

    /// Whether no further element is to begin.
    fn is_complete(&self) -> bool {
        self.announced == 0 && self.outer.is_empty()
    }
}

/// Fast path for a complete line or bulk string, as most replies are: its length. `None` leaves the decision to
/// [`Value::read`].
#[inline]
pub(super) fn whole(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'+' | b'-' | b':', ..] => line_end(bytes, false),
        [b'$', b'-', b'1', b'\r', b'\n', ..] => Some(5),
        [b'$', size @ ..] => {
            let (size, header) = number::whole(size)?;
            let len = usize::try_from(size).ok()?.checked_add(1 + header + 2)?;
            (len <= bytes.len()).then_some(len)
        }
        _ => None,
    }
}

/// The length of the rest of the line, `\r\n` included. `after_return` says whether the byte before `bytes` was `\r`.
fn line_end(bytes: &[u8], after_return: bool) -> Option<usize> {
    let mut start = 0;
    while let Some(len) = memchr(b'\n', &bytes[start..]) {
        let end = start + len;
        if end.checked_sub(1).map_or(after_return, |before| bytes[before] == b'\r') {
            return Some(end + 1);
        }
        start = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the value at the start of `bytes` ends, read one byte at a time.
    fn end(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        let mut value = Value::default();
        value.begin();
        for (at, byte) in bytes.iter().enumerate() {
            value.read(&[*byte], &mut 0)?;
            if value.has_ended() {
                return Ok(Some(at + 1));
            }
        }
        Ok(None)
    }

    #[test]
    fn values_of_every_type() {
        for bytes in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":1\r\n",
            "$5\r\nhello\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
            "_\r\n",
            "#t\r\n",
            ",3.141\r\n",
            "(1234567999999999999999999999999999999\r\n",
            "!5\r\nERR a\r\n",
            "=5\r\ntxt:a\r\n",
            "%1\r\n+a\r\n:1\r\n",
            "~2\r\n:0\r\n:1\r\n",
            "|1\r\n+a\r\n:1\r\n$1\r\nx\r\n",
            "*2\r\n|1\r\n+a\r\n|0\r\n:1\r\n:2\r\n:3\r\n",
            "$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n",
            "$?\r\n;0\r\n",
            "*?\r\n:1\r\n*2\r\n:1\r\n%?\r\n+a\r\n~?\r\n.\r\n.\r\n|1\r\n:1\r\n:2\r\n:3\r\n.\r\n",
            "*1\r\n*?\r\n.\r\n",
            "|?\r\n+a\r\n:1\r\n.\r\n:2\r\n",
            "+a\nb\r\r\n",
        ] {
            let more = format!("{bytes}+OK\r\n");
            assert_eq!(end(more.as_bytes()), Ok(Some(bytes.len())), "{bytes:?}");
            let (mut value, mut at) = (Value::default(), 0);
            value.begin();
            assert_eq!((value.read(more.as_bytes(), &mut at), at), (Ok(()), bytes.len()), "{bytes:?}");
            assert!(whole(more.as_bytes()).is_none_or(|len| len == bytes.len()), "{bytes:?}");
            assert!((0..bytes.len()).all(|cut| whole(&bytes.as_bytes()[..cut]).is_none()), "{bytes:?}");
        }
    }

    #[test]
    fn invalid_values() {
        for bytes in [
            "x",
            "$-2\r\n",
            "*-2\r\n",
            "%-1\r\n",
            "!-1\r\n",
            "!?\r\n",
            "$a",
            "$?\r\n:",
            "$?\r\n;-1\r\n",
            "$?\r\n;?\r\n",
            ".\r\n",
            "*1\r\n.\r\n",
            "*?\r\n*1\r\n.",
            "*?\r\n|0\r\n.",
            "*1\r\n>1\r\n",
            ">1\r\n",
            ";1\r\n",
        ] {
            assert!(end(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn element_counts_over_64_bits_are_refused() {
        let huge = "*9223372036854775807\r\n";
        assert_eq!(end(huge.repeat(2).as_bytes()), Ok(None));
        assert!(end(huge.repeat(3).as_bytes()).is_err());
        assert_eq!(end(b"%9223372036854775807\r\n"), Ok(None));
        assert!(end(b"%9223372036854775807\r\n%9223372036854775807\r\n").is_err());
    }

    #[test]
    fn nesting() {
        let deep = "*1\r\n".repeat(10_000) + ":1\r\n";
        assert_eq!(end(deep.as_bytes()), Ok(Some(deep.len())), "announced aggregates need no memory");
        assert_eq!(end("*?\r\n".repeat(MAX_STREAMED).as_bytes()), Ok(None));
        assert!(end("*?\r\n".repeat(MAX_STREAMED + 1).as_bytes()).is_err());
    }
}
