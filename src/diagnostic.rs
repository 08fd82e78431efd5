//! What is wrong with a configuration: where, what, and what would be right, each on one line.

use std::fmt;

use serde_json::Value;

/// Something that a person wrote and has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    place: String,
    what: String,
}

impl Diagnostic {
    /// `place` is a flag, a variable, or a file's name and line; empty where there is none to name.
    pub(crate) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }

    /// Where: `--backend`, `VAURIEN_BACKEND`, `vaurien.toml:4: backend`.
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

/// The text as one line, which what it quotes cannot break.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for char in text.chars() {
        if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
    }
    line
}

/// All that is wrong, in the order in which it was found. Never empty in an `Err`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// One after the other; each displays as one line.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, mistake: Diagnostic) {
        self.0.push(mistake);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// `right`, if nothing is wrong.
    pub(crate) fn none_or<T>(self, right: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(right) } else { Err(self) }
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
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(mistakes: I) -> Self {
        Self(mistakes.into_iter().collect())
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(mistake: Diagnostic) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// More slips than this in one word, and another word was meant.
const MAX_SLIPS: usize = 3;

/// The name that was probably meant: one slip in three letters at most.
fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (given.chars().count() / 3).clamp(1, MAX_SLIPS);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The end of a message about a name that is not known: which of `names` was probably meant, or nothing.
pub(crate) fn did_you_mean<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, names).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

/// The longest value that is shown whole, in characters.
const MAX_SHOWN: usize = 60;

/// A value in a message, as its author wrote it, as far as that is of use.
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
    fn the_nearest_name_is_within_a_few_slips() {
        let names = ["tcp", "redis", "memcache", "http"];
        for (given, meant) in
            [("tpc", Some("tcp")), ("htp", Some("http")), ("memchached", Some("memcache")), ("ftp", None), ("", None)]
        {
            assert_eq!(nearest(given, names), meant, "{given}");
        }
    }

    #[test]
    fn a_mistake_is_one_line_whatever_it_quotes() {
        assert_eq!(Diagnostic::new("--proxy", "`a\nb\u{1b}` is wrong").to_string(), r"--proxy: `a\nb\u{1b}` is wrong");
        assert_eq!(Diagnostic::new("", "unknown option `-x`").to_string(), "unknown option `-x`");
        let long = Value::String("x".repeat(200));
        assert_eq!(shown(&long), format!("`{}…`", "x".repeat(60)));
    }
}
