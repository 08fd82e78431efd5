//! The number in a header: `3\r\n` after `$` or `*`.

/// A header's number, read digit by digit, so that it may be split anywhere and no byte has to be kept.
///
/// It is as strict as Redis: no plus sign, no leading zeros, nothing over 64 bits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Number {
    value: i64,
    negative: bool,
    seen: Seen,
}

/// What has been read so far.
#[derive(Debug, Clone, Copy, Default)]
enum Seen {
    #[default]
    Nothing,
    Minus,
    Zero,
    Digits,
    QuestionMark,
    Return(Size),
}

/// The size of what follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// A count, or a negative number.
    Known(i64),
    /// `?`: streamed, with an end marker.
    Streamed,
}

impl Number {
    /// Continues at `bytes[*at..]`, through the line end; `None` if the bytes end before it. After an error `at` is the
    /// index of the invalid byte.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Size>, &'static str> {
        if let (Seen::Nothing, Some((value, len))) = (self.seen, whole(&bytes[*at..])) {
            *at += len;
            return Ok(Some(Size::Known(value)));
        }
        self.read_slowly(bytes, at)
    }

    /// The general case of [`Self::read`], digit by digit.
    fn read_slowly(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<Size>, &'static str> {
        while let Some(&byte) = bytes.get(*at) {
            match (self.seen, byte) {
                (Seen::Nothing | Seen::Minus, b'1'..=b'9') | (Seen::Digits, b'0'..=b'9') => {
                    let value = self.value.checked_mul(10).and_then(|value| value.checked_add(digit(byte)));
                    self.value = value.ok_or("a size over 64 bits")?;
                    self.seen = Seen::Digits;
                }
                (Seen::Digits | Seen::Zero, b'\r') => {
                    self.seen = Seen::Return(Size::Known(if self.negative { -self.value } else { self.value }));
                }
                (Seen::Return(size), b'\n') => {
                    *at += 1;
                    *self = Self::default();
                    return Ok(Some(size));
                }
                (Seen::Nothing, b'0') => self.seen = Seen::Zero,
                (Seen::Nothing, b'-') => (self.seen, self.negative) = (Seen::Minus, true),
                (Seen::Nothing, b'?') => self.seen = Seen::QuestionMark,
                (Seen::QuestionMark, b'\r') => self.seen = Seen::Return(Size::Streamed),
                _ => return Err("a size that is not a number"),
            }
            *at += 1;
        }
        Ok(None)
    }
}

/// Fast path for a complete header: the number and the header's length. `None` leaves the decision to [`Number::read`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "a SET is framed in 0.76 of the time")]
pub(super) fn whole(bytes: &[u8]) -> Option<(i64, usize)> {
    // Most sizes have one or two digits.
    match bytes {
        [one @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(*one), 3)),
        [ten @ b'1'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(*ten) * 10 + digit(*one), 4)),
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => whole_of_more_digits(bytes),
        _ => None,
    }
}

#[inline(never)] // keeps `whole` small enough to inline
fn whole_of_more_digits(bytes: &[u8]) -> Option<(i64, usize)> {
    /// Any number with this many digits fits in 64 bits.
    const MAX_DIGITS: usize = 18;

    let len = bytes.iter().take(MAX_DIGITS + 1).position(|byte| !byte.is_ascii_digit())?;
    let value = bytes[..len].iter().fold(0, |value, byte| value * 10 + digit(*byte));
    bytes[len..].starts_with(b"\r\n").then_some((value, len + 2))
}

fn digit(byte: u8) -> i64 {
    i64::from(byte - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Size>, &'static str> {
        let (mut number, mut whole) = (Number::default(), Number::default());
        let mut last = Ok(None);
        for byte in bytes {
            last = number.read(&[*byte], &mut 0);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last, whole.read(bytes, &mut 0), "cut and whole are the same");
        last
    }

    #[test]
    fn numbers() {
        assert_eq!(read(b"0\r\n"), Ok(Some(Size::Known(0))));
        assert_eq!(read(b"1024\r\n"), Ok(Some(Size::Known(1024))));
        assert_eq!(read(b"-1\r\n"), Ok(Some(Size::Known(-1))));
        assert_eq!(read(b"?\r\n"), Ok(Some(Size::Streamed)));
        assert_eq!(read(b"9223372036854775807\r\n"), Ok(Some(Size::Known(i64::MAX))));
        assert_eq!(read(b"12\r"), Ok(None));
    }

    #[test]
    fn invalid_numbers() {
        for bytes in ["\r\n", "-\r\n", "+1\r\n", "01\r\n", "-0\r\n", "1 \r\n", "1\n", "1\r\r", "??", "-?", "1?", "x"] {
            assert_eq!(read(bytes.as_bytes()), Err("a size that is not a number"), "{bytes:?}");
        }
        assert_eq!(read(b"9223372036854775808\r\n"), Err("a size over 64 bits"));
    }

    #[test]
    fn an_error_points_at_its_byte() {
        let mut at = 1;
        assert!(Number::default().read(b"$12x", &mut at).is_err());
        assert_eq!(at, 3);
    }
}
