//! Texts with parts in parentheses and in quotes: `delay(sleep=normal(100ms, 20ms)),reply(bytes="a, b")`.

use std::borrow::Cow;

use serde_json::Value;

use crate::settings::Field;

/// The longest name from Toxiproxy's API, in bytes.
pub(crate) const LONGEST_ANY_NAME: usize = 255;

/// Whether a proxy or a toxic from Toxiproxy's API may have this name: `redis:6379`.
pub(crate) fn is_any_name(name: &str) -> bool {
    (1..=LONGEST_ANY_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// What is opened and not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unclosed {
    Parenthesis,
    Quote,
    /// It is closed and was never opened.
    Unopened,
}

impl Unclosed {
    pub(super) fn within(self, text: &str) -> String {
        match self {
            Self::Parenthesis => format!("`{text}`: a parenthesis is not closed, add `)`"),
            Self::Quote => format!("`{text}`: a quote is not closed, add `\"`"),
            Self::Unopened => format!("`{text}`: a `)` has no `(`"),
        }
    }
}

/// Whether characters of a text, one after the other, stand in double quotes, in which a backslash escapes.
#[derive(Debug, Default)]
pub(crate) struct Quotes {
    pub(super) is_quoted: bool,
    is_escaped: bool,
}

impl Quotes {
    /// Whether the next character stands outside, and is no quote itself.
    pub(crate) fn is_outside(&mut self, char: char) -> bool {
        match char {
            _ if self.is_escaped => self.is_escaped = false,
            '\\' if self.is_quoted => self.is_escaped = true,
            '"' => self.is_quoted = !self.is_quoted,
            _ => return !self.is_quoted,
        }
        false
    }
}

/// Calls `outside` with the place of each character that is neither in parentheses nor in quotes.
fn scan(text: &str, mut outside: impl FnMut(usize, char)) -> Result<(), Unclosed> {
    let (mut depth, mut quotes) = (0_usize, Quotes::default());
    for (at, char) in text.char_indices() {
        match char {
            char if !quotes.is_outside(char) => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or(Unclosed::Unopened)?,
            char if depth == 0 => outside(at, char),
            _ => {}
        }
    }
    match (quotes.is_quoted, depth) {
        (true, _) => Err(Unclosed::Quote),
        (false, 0) => Ok(()),
        (false, _) => Err(Unclosed::Parenthesis),
    }
}

/// The parts of `text` between those `separator`s that are neither in parentheses nor in quotes.
pub(crate) fn split(text: &str, separator: char) -> Result<Vec<&str>, Unclosed> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    scan(text, |at, char| {
        if char == separator {
            parts.push(&text[begin..at]);
            begin = at + char.len_utf8();
        }
    })?;
    parts.push(&text[begin..]);
    Ok(parts)
}

/// Whether all that `text` opens is closed in it, and the other way round.
pub(crate) fn is_outside(text: &str) -> bool {
    scan(text, |_, _| {}).is_ok()
}

/// The name and the value of `sleep=250ms`; none if one of them is missing.
pub(crate) fn name_and_value(setting: &str) -> Option<(&str, &str)> {
    let (name, value) = setting.split_once('=')?;
    Some((name.trim(), value.trim())).filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// The value of a field that `text` says, perhaps in double quotes.
pub(crate) fn value_of(field: &Field, text: &str) -> Result<Value, String> {
    let wrong = |why| format!("`{}`: {why}", field.name);
    let value = field.parse(&unquote(text).map_err(wrong)?);
    field.check(&value).map_err(wrong)?;
    Ok(value)
}

/// `text` in double quotes, as [`unquote`] reads it.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What `"a \"b\""` stands for; other text stands for itself.
pub(crate) fn unquote(text: &str) -> Result<Cow<'_, str>, String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let mut is_plain = !text.contains('"');
        let _ = scan(text, |_, char| is_plain &= !char.is_whitespace() && char != '+');
        if !is_plain {
            return Err(format!("write `{}`, in double quotes", quoted(text)));
        }
        return Ok(text.into());
    };
    let (mut read, mut chars) = (String::new(), quoted.chars());
    while let Some(char) = chars.next() {
        match char {
            '"' if chars.as_str().is_empty() => return Ok(read.into()),
            '"' => return Err(format!("`{}` follows the closing quote", chars.as_str())),
            // Other escapes are the setting's own.
            '\\' => match chars.next() {
                Some(char @ ('"' | '\\')) => read.push(char),
                other => {
                    read.push('\\');
                    read.extend(other);
                }
            },
            char => read.push(char),
        }
    }
    Err("the quote is not closed, add `\"`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_parentheses_and_quotes_do_not_separate() {
        assert_eq!(split("a,b(c,d(e,f)),g=\"h,(\\\",\"", ','), Ok(vec!["a", "b(c,d(e,f))", "g=\"h,(\\\",\""]));
        assert_eq!(split("", ','), Ok(vec![""]));
        for (text, unclosed) in [
            ("a(b", Unclosed::Parenthesis),
            ("a(\")", Unclosed::Quote),
            ("a)", Unclosed::Unopened),
            ("a)(", Unclosed::Unopened),
        ] {
            assert_eq!(split(text, ','), Err(unclosed), "{text}");
        }
    }

    #[test]
    fn quotes_hold_what_would_separate() {
        for (text, value) in [
            ("250ms", "250ms"),
            ("normal(100ms, 20ms)", "normal(100ms, 20ms)"),
            ("\"a, b) \\\" \\\\ \\r\\n\"", "a, b) \" \\ \\r\\n"),
            ("\"\"", ""),
            (r"a\r\n", r"a\r\n"),
        ] {
            assert_eq!(unquote(text).as_deref(), Ok(value));
        }
        for (text, why) in [
            ("two words", "write `\"two words\"`, in double quotes"),
            ("1+1", "write `\"1+1\"`, in double quotes"),
            ("a\"b\"", "write `\"a\\\"b\\\"\"`, in double quotes"),
            ("\"a\" b", "` b` follows the closing quote"),
            ("\"a", "the quote is not closed, add `\"`"),
        ] {
            assert_eq!(unquote(text), Err(why.to_owned()));
        }
    }
}
