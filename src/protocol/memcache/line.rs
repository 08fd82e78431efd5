//! Splits lines into words and parses numbers as memcached does.

use super::super::{MAX_HEAD, Step, decimal};
use memchr::memchr;

/// How many words of a line memcached reads. It ignores the rest.
const MAX_WORDS: usize = 23;

/// The length of the first line in bytes, line end included.
pub(super) fn length(bytes: &[u8]) -> Result<usize, Step> {
    match memchr(b'\n', &bytes[..bytes.len().min(MAX_HEAD)]) {
        Some(end) => Ok(end + 1),
        None if bytes.len() < MAX_HEAD => Err(Step::More),
        None => Err(Step::Opaque("a line longer than 64 KiB")),
    }
}

/// The line without its end and without what follows a NUL. In the line `\r\n` the `\r` is content, as in memcached.
pub(super) fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = match line {
        [before @ .., b'\r'] if !before.is_empty() => before,
        _ => line,
    };
    &line[..memchr(0, line).unwrap_or(line.len())]
}

/// The words of a line's content. Only spaces separate words.
pub(super) fn words(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).take(MAX_WORDS)
}

/// Parses a number as `strtoull(3)` and `strtoll(3)` do: whether it is negative, and its absolute value. White space
/// may precede it. White space followed by anything may follow it.
pub(super) fn number(word: &[u8]) -> Option<(bool, u64)> {
    let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    let word = &word[word.iter().take_while(|byte| is_space(byte)).count()..];
    let (minus, digits) = match word {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || digits.get(count).is_some_and(|byte| !is_space(byte)) {
        return None;
    }
    let size = decimal(&digits[..count])?;
    Some((minus && size > 0, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_within_the_limit() {
        let mut line = vec![b'a'; MAX_HEAD - 1];
        assert_eq!(length(&line), Err(Step::More));
        line.push(b'a');
        assert!(matches!(length(&line), Err(Step::Opaque(_))));
        line.push(b'\n');
        assert!(matches!(length(&line), Err(Step::Opaque(_))));
        line[MAX_HEAD - 1] = b'\n';
        assert_eq!(length(&line), Ok(MAX_HEAD));
    }

    #[test]
    fn content_is_what_memcached_sees() {
        for (line, seen) in [
            (&b"a b\r\n"[..], &b"a b"[..]),
            (b"a b\n", b"a b"),
            (b"a\r\r\n", b"a\r"),
            (b"\r\n", b"\r"),
            (b"\n", b""),
            (b"a\0b\r\n", b"a"),
        ] {
            assert_eq!(content(line), seen);
        }
        assert_eq!(words(b"  a  b ").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(words(&b"a ".repeat(99)).count(), MAX_WORDS);
    }

    #[test]
    fn numbers_are_those_of_strtoull() {
        for (word, value) in [
            (&b"0"[..], Some((false, 0))),
            (b"+02", Some((false, 2))),
            (b"-2", Some((true, 2))),
            (b"-0", Some((false, 0))),
            (b"\t2\tx", Some((false, 2))),
            (b"18446744073709551615", Some((false, u64::MAX))),
            (b"18446744073709551616", None),
            (b"99999999999999999999999999", None),
            (b"0x2", None),
            (b"2x", None),
            (b"+-2", None),
            (b"-", None),
            (b"", None),
        ] {
            assert_eq!(number(word), value, "{}", word.escape_ascii());
        }
    }
}
