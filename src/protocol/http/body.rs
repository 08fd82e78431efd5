//! Finds the end of a body (RFC 9112, sections 6 and 7).

use crate::protocol::skip;

/// The longest size line of a chunk, and the longest trailer section of a body, in bytes.
const MAX_LINES: usize = 16 * 1024;

/// The rest of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes.
    Length(u64),
    /// Chunks, and then trailers.
    Chunked(Chunked),
    /// Everything until the connection ends.
    UntilClose,
}

impl Body {
    /// No body.
    pub(super) const NONE: Self = Self::Length(0);

    /// The beginning of a chunked body.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunked { at: At::Size, left: 0, line: 0 });

    /// Takes the bytes that belong to the body. Returns how many were taken and how many are still to come: `Some(0)`
    /// at the end, `None` if unknown. Valid bytes before an invalid one are taken first; the error is returned when the
    /// invalid byte is the first.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<u64>), &'static str> {
        match self {
            Self::Length(left) => {
                let len = skip(left, bytes.len());
                Ok((len, Some(*left)))
            }
            Self::Chunked(chunked) => chunked.take(bytes),
            Self::UntilClose => Ok((bytes.len(), None)),
        }
    }
}

/// The state of reading a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// The part of the chunk's size read so far; then the bytes of its data still to come.
    left: u64,
    /// Bytes of the current size line, or of the trailers, so far.
    line: usize,
}

/// What the next byte is. Lines must end with CRLF: readers that accept a lone LF and readers that do not would see
/// different chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first digit of a size.
    Size,
    /// Another digit, or the end of the digits.
    Digits,
    /// Blanks with which some servers pad the digits.
    Padding,
    /// Inside the extensions.
    Extension,
    /// The LF of a size line.
    SizeEnd,
    /// Data, which is skipped.
    Data,
    /// The CR after data.
    DataCr,
    /// The LF after data.
    DataEnd,
    /// A trailer field, or the blank line that ends the body.
    Line,
    /// Inside a trailer field.
    Trailer,
    /// The LF of a trailer field.
    TrailerEnd,
    /// The LF that ends the body.
    BodyEnd,
    /// Nothing: the body has ended.
    Done,
}

impl Chunked {
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<u64>), &'static str> {
        let mut len = 0;
        while len < bytes.len() {
            if self.at == At::Data {
                len += skip(&mut self.left, bytes.len() - len);
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.byte(bytes[len]) {
                Ok(()) => len += 1,
                Err(why) if len == 0 => return Err(why),
                Err(_) => break, // the invalid byte is the first of the next call
            }
            if self.at == At::Done {
                return Ok((len, Some(0)));
            }
        }
        Ok((len, None))
    }

    /// Takes one byte outside data. An error leaves the state unchanged.
    fn byte(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.line == MAX_LINES {
            return Err("a chunk size line or trailers longer than 16 KiB");
        }
        let next = match (self.at, byte) {
            (At::Size | At::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.left = append(self.left, byte).ok_or("a chunk size over 64 bits")?;
                At::Digits
            }
            (At::Digits | At::Padding, b' ' | b'\t') => At::Padding,
            (At::Digits | At::Padding, b';') => At::Extension,
            (At::Digits | At::Padding | At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, 1..) if byte != b'\n' => At::Extension,
            (At::SizeEnd, b'\n') if self.left == 0 => At::Line,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size,
            (At::Line, b'\r') => At::BodyEnd,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::Line | At::Trailer, 1..) if byte != b'\n' => At::Trailer,
            (At::TrailerEnd, b'\n') => At::Line,
            (At::BodyEnd, b'\n') => At::Done,
            (At::Size | At::Digits | At::Padding, _) => return Err("an invalid chunk size"),
            (At::DataCr | At::DataEnd, _) => return Err("a chunk longer than its size"),
            _ => return Err("an invalid line in a chunked body"),
        };
        self.line = if matches!(self.at, At::SizeEnd | At::DataEnd) { 0 } else { self.line + 1 };
        self.at = next;
        Ok(())
    }
}

/// `size` with one more hexadecimal digit; `None` on overflow.
fn append(size: u64, digit: u8) -> Option<u64> {
    let value = char::from(digit).to_digit(16)?;
    size.checked_mul(16)?.checked_add(u64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=b;c=\"d;e\"\r\nhello\r\n00\r\nX: y\r\nZ:\r\n\r\n",
            "3 \t\r\n\r\n\0\r\n0 ; x\r\n\r\n",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        ] {
            let with_more = [body.as_bytes(), b"more"].concat();
            let mut chunked = Body::CHUNKED;
            assert_eq!(chunked.take(&with_more), Ok((body.len(), Some(0))), "{body:?}");
        }
    }

    #[test]
    fn bytes_before_an_invalid_one_are_taken() {
        for (good, bad) in [
            ("", "\r\n"),
            ("", "-1\r\n"),
            ("", " 5\r\n"),
            ("5", "\nhello"),
            ("5;a", "\nhello"),
            ("5;a", "\0\r\n"),
            ("5 ", "5\r\n"),
            ("5\r\nhello", "more"),
            ("5\r\nhello\r", "more"),
            ("5\r\nhello\r\n", "\r\n"),
            ("0\r\n", "\n"),
            ("0\r\nX: y", "\n\n"),
            ("0\r\nX: y\r", "\r\n"),
            ("0\r\n\r", "\r\n"),
            ("FFFFFFFFFFFFFFFF", "0\r\n"),
        ] {
            let mut body = Body::CHUNKED;
            if !good.is_empty() {
                assert_eq!(body.take([good, bad].concat().as_bytes()), Ok((good.len(), None)), "{good:?} {bad:?}");
            }
            for _ in 0..2 {
                assert!(body.take(bad.as_bytes()).is_err(), "{good:?} {bad:?}");
            }
        }
    }

    #[test]
    fn lines_are_limited_and_data_is_not() {
        let extension = |len| format!("1;{}\r\n", "x".repeat(len - 4));
        let mut body = Body::CHUNKED;
        for _ in 0..3 {
            let chunk = extension(MAX_LINES) + "x\r\n";
            assert_eq!(body.take(chunk.as_bytes()), Ok((chunk.len(), None)));
        }
        let trailers = format!("0\r\n{}\r\n\r\n", "x".repeat(MAX_LINES - 4));
        assert_eq!(body.take(trailers.as_bytes()), Ok((trailers.len(), Some(0))));

        let trailers = format!("0\r\n{}", "x: y\r\n".repeat(MAX_LINES));
        for (long, fits) in [(extension(MAX_LINES + 1), MAX_LINES), (trailers, MAX_LINES + 3)] {
            let mut body = Body::CHUNKED;
            assert_eq!(body.take(long.as_bytes()), Ok((fits, None)));
            assert!(body.take(&long.as_bytes()[fits..]).is_err());
        }
    }

    #[test]
    fn sizes_go_up_to_the_largest_number() {
        let mut body = Body::Length(u64::MAX);
        assert_eq!(body.take(b"12345"), Ok((5, Some(u64::MAX - 5))));
        let mut body = Body::CHUNKED;
        assert_eq!(body.take(b"0000ffffffffffffffff\r\n12345"), Ok((27, None)));
        assert_eq!(body.take(&[0; 1000]), Ok((1000, None)));
    }
}
