//! Splits an inline command into words as `sdssplitargs` in Redis does: at white space, with `"…"` and `'…'` around
//! words that contain white space. The specification does not mention quotes.

use std::iter;

/// The words of `line`, as typed. Unbalanced quotes, which Redis refuses, yield an error and end the iteration.
pub(super) fn split(line: &[u8]) -> impl Iterator<Item = Result<&[u8], &'static str>> {
    let mut rest = line;
    iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_space(*byte))?;
        let word = &rest[start..];
        let end = word_end(word);
        rest = end.map_or(&[], |end| &word[end..]);
        Some(end.map(|end| &word[..end]).ok_or("unbalanced quotes in an inline command"))
    })
}

/// White space as in C's `isspace`: includes vertical tab and form feed.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// The length of the word at the start of `line`; `None` if its quotes are unbalanced.
fn word_end(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut quote = None;
    while let Some(&byte) = line.get(at) {
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\r' | b'\n') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            // An escaped quote does not end the word.
            (Some(b'"'), b'\\') => at += 1,
            (Some(b'\''), b'\\') if line.get(at + 1) == Some(&b'\'') => at += 1,
            (Some(quote), _) if quote == byte => {
                return line.get(at + 1).is_none_or(|next| is_space(*next)).then_some(at + 1);
            }
            _ => {}
        }
        at += 1;
    }
    quote.is_none().then_some(at)
}

/// The bytes that `word`, as typed, stands for: quotes removed, escapes decoded.
pub(super) fn unquoted(word: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = word;
    let mut quote = None;
    iter::from_fn(move || {
        if let (None, [mark @ (b'"' | b'\''), inner @ ..]) = (quote, rest) {
            (quote, rest) = (Some(*mark), inner);
        }
        let (byte, len) = match (quote, rest) {
            (_, []) => return None,
            (Some(b'"'), [b'\\', escaped @ ..]) if !escaped.is_empty() => unescaped(escaped),
            (Some(b'\''), [b'\\', b'\'', ..]) => (b'\'', 2),
            // A closing quote ends the word.
            (Some(quote), [byte, ..]) if quote == *byte => return None,
            (_, [byte, ..]) => (*byte, 1),
        };
        rest = &rest[len..];
        Some(byte)
    })
}

/// Decodes the escape sequence of a backslash followed by `escaped`: the byte and the sequence's length.
fn unescaped(escaped: &[u8]) -> (u8, usize) {
    if let [b'x', high, low, ..] = escaped
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return (high << 4 | low, 4);
    }
    let byte = match escaped[0] {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => b'\x08',
        b'a' => b'\x07',
        other => other,
    };
    (byte, 2)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, &'static str> {
        split(line.as_bytes())
            .map(|word| word.map(|word| String::from_utf8_lossy(&unquoted(word).collect::<Vec<_>>()).into_owned()))
            .collect()
    }

    #[test]
    fn words_and_quotes() {
        for (line, expected) in [
            ("", [].as_slice()),
            (" \t\x0b\x0c\r ", &[]),
            ("  set a\tb ", &["set", "a", "b"]),
            (r#""" '' "a b" 'c "d"'"#, &["", "", "a b", "c \"d\""]),
            (r#"mon"itor" x'y'"#, &["monitor", "xy"]),
            (r#""\x6d\n\r\t\b\a\"\q\xz0" 'a\'b\n' c\d"#, &["m\n\r\t\x08\x07\"qxz0", r"a'b\n", r"c\d"]),
        ] {
            assert_eq!(words(line), Ok(expected.iter().map(ToString::to_string).collect()), "{line}");
        }
    }

    #[test]
    fn unbalanced_quotes() {
        for line in [r#"a "b"#, r#""a"b"#, "'a", "'a'b", r#""a\""#, r#""a\"#, r"'a\'"] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
