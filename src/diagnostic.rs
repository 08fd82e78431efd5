//! Mistakes in a configuration. Each is one line: where, what is wrong, what would be right.

use std::convert::Infallible;
use std::fmt;

use serde_json::Value;

/// A mistake that the user has to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    place: String,
    what: String,
}

impl Diagnostic {
    /// `place` is a flag, a variable, or a file's name and line; empty if there is none. `what` says what is wrong and
    /// what would be right.
    pub(crate) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }

    /// Where the mistake is: `--backend`, `VAURIEN_BACKEND`, `vaurien.toml:4: backend`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong, and what would be right.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.place.is_empty() { "" } else { ": " };
        f.write_str(&one_line(&format!("{}{colon}{}", self.place, self.what)))
    }
}

/// The text as one line: control characters, which may come from quoted input, are escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for char in text.chars() {
        if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
    }
    line
}

/// All mistakes, in the order in which they were found. Never empty in an `Err`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// The same, at this place where they have none.
    pub(crate) fn at(self, place: &str) -> Self {
        let at = |wrong: Diagnostic| {
            if wrong.place.is_empty() { Diagnostic { place: place.to_owned(), ..wrong } } else { wrong }
        };
        Self(self.0.into_iter().map(at).collect())
    }

    /// The mistakes; each displays as one line.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// `value` if there are no mistakes, else the mistakes.
    pub(crate) fn none_or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        Self(diagnostics.into_iter().collect())
    }
}

impl From<Infallible> for Diagnostics {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.0.iter().enumerate() {
            write!(f, "{}{diagnostic}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A name with more typos than this is not suggested.
const MAX_TYPOS: usize = 3;

/// The name that was probably meant. It may differ by one typo for every three letters.
pub(crate) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typos = (given.chars().count() / 3).clamp(1, MAX_TYPOS);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= typos)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The end of a message about an unknown name: suggests the nearest of `names`, or is empty.
pub(crate) fn did_you_mean<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, names).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

/// The longest value that a message shows uncut, in characters.
const MAX_SHOWN: usize = 60;

/// A value for a message, as the user wrote it, in backticks. A long one is cut.
pub(crate) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_within_a_few_typos() {
        let names = ["tcp", "redis", "memcache", "http"];
        for (given, meant) in [
            ("tpc", Some("tcp")),
            ("htp", Some("http")),
            ("memchached", Some("memcache")),
            ("REDIS", Some("redis")),
            ("ftp", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, names), meant, "{given}");
        }
    }

    #[test]
    fn a_diagnostic_is_one_line_whatever_it_quotes() {
        assert_eq!(Diagnostic::new("--proxy", "`a\nb\u{1b}` is wrong").to_string(), r"--proxy: `a\nb\u{1b}` is wrong");
        assert_eq!(Diagnostic::new("", "unknown option `-x`").to_string(), "unknown option `-x`");
        let long = Value::String("x".repeat(200));
        assert_eq!(shown(&long), format!("`{}…`", "x".repeat(60)));
    }
}
