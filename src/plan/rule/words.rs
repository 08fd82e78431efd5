//! The words of a rule's text: separated by blanks, with what stands in double quotes in one word.

use crate::plan::text::{self, Quotes, unquote};

/// A rule's text, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words<'t> {
    /// What stands before the first `=>` that is not in quotes.
    pub(super) words: Vec<&'t str>,
    /// What follows it, if there is one.
    pub(super) mix: Option<&'t str>,
}

impl<'t> Words<'t> {
    pub(super) fn split(text: &'t str) -> Result<Self, String> {
        let (mut words, mut begin) = (Vec::new(), None);
        let mut quotes = Quotes::default();
        for (at, char) in text.char_indices() {
            match char {
                char if !quotes.is_outside(char) => {}
                '=' if text[at..].starts_with("=>") => {
                    words.extend(begin.map(|begin| &text[begin..at]));
                    return Ok(Self { words, mix: Some(text[at + 2..].trim()) });
                }
                char if char.is_whitespace() => words.extend(begin.take().map(|begin: usize| &text[begin..at])),
                _ => {}
            }
            if quotes.is_quoted || !char.is_whitespace() {
                begin.get_or_insert(at);
            }
        }
        if quotes.is_quoted {
            return Err("a quote is not closed, add `\"`".to_owned());
        }
        words.extend(begin.map(|begin| &text[begin..]));
        Ok(Self { words, mix: None })
    }
}

/// What a word stands for: without its quotes, if it has any.
pub(super) fn value(word: &str) -> Result<String, String> {
    if word.starts_with('"') {
        return unquote(word).map(Into::into);
    }
    if word.contains('"') {
        return Err(format!("`{word}` has a quote within it, write `{}`", text::quoted(word)));
    }
    Ok(word.to_owned())
}

/// The word that stands for `value`.
pub(super) fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty()
        && !value.starts_with("=>")
        && !value.contains(|char: char| char.is_whitespace() || char == '"')
        && !value.contains("=>");
    if is_plain {
        return value.to_owned();
    }
    text::quoted(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blanks_separate_and_the_first_arrow_ends() {
        for (text, words, mix) in [
            ("GET /api times=3 => error", &["GET", "/api", "times=3"][..], Some("error")),
            ("a=>b=>c", &["a"], Some("b=>c")),
            (r#"GET "a => \" b" => delay"#, &["GET", r#""a => \" b""#], Some("delay")),
            ("\tGET\u{a0}x", &["GET", "x"], None),
            ("=>", &[], Some("")),
            ("", &[], None),
            (r#"header.x="a b" => d"#, &[r#"header.x="a b""#], Some("d")),
        ] {
            assert_eq!(Words::split(text), Ok(Words { words: words.to_vec(), mix }), "{text}");
        }
        assert_eq!(Words::split("GET \"a => b").unwrap_err(), "a quote is not closed, add `\"`");
    }

    proptest! {
        #[test]
        fn a_quoted_value_is_read_back(text in any::<String>()) {
            let word = quoted(&text);
            let split = Words::split(&word).unwrap();
            prop_assert_eq!(&split.words, &[word.as_str()]);
            prop_assert_eq!(value(&word).unwrap(), text);
        }
    }
}
