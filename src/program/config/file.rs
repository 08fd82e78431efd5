//! The configuration file: TOML, with the line of each key.

use std::path::Path;

use serde_json::{Number, Value};
use toml::de::{DeTable, DeValue};

use super::options::Options;
use super::tree::Key;
use super::walk::Walk;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::error::plain;

/// Reads the file at `path`, which `place` named. When it is no TOML, nothing is known of what it asks for.
pub(crate) fn read<'a>(place: &str, path: &Path, options: &'a Options<'_>) -> Result<Walk<'a>, Diagnostics> {
    parse(path, &text(place, path)?, options)
}

/// The text of the file at `path`, which `place` named.
pub(crate) fn text(place: impl std::fmt::Display, path: &Path) -> Result<String, Diagnostic> {
    std::fs::read_to_string(path)
        .map_err(|error| Diagnostic::new(place, format_args!("cannot read `{}`: {}", path.display(), plain(&error))))
}

/// As [`read`], for the text of a file.
pub(crate) fn parse<'a>(path: &Path, text: &str, options: &'a Options<'_>) -> Result<Walk<'a>, Diagnostics> {
    let file = File { name: path.display().to_string(), text };
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let unreadable = errors.iter().map(|error| {
        let span = error.span().unwrap_or_default();
        let line = file.line(span.start);
        match error.message() {
            "duplicate key" => Diagnostic::new(line, format_args!("duplicate key `{}`, give it once", &text[span])),
            message => Diagnostic::new(line, message.lines().collect::<Vec<_>>().join(", ")),
        }
    });
    unreadable.collect::<Diagnostics>().none_or(())?;
    Ok(Walk::file(options, &file.keys(table.get_ref())))
}

struct File<'t> {
    name: String,
    text: &'t str,
}

impl File<'_> {
    fn keys(&self, table: &DeTable<'_>) -> Vec<Key> {
        let keys = table.iter().map(|(key, value)| Key {
            name: key.get_ref().to_string(),
            at: self.line(key.span().start),
            value: json(value.get_ref()),
            table: match value.get_ref() {
                DeValue::Table(table) => Some(self.keys(table)),
                _ => None,
            },
        });
        keys.collect()
    }

    /// `vaurien.toml:4` for the byte `at`.
    fn line(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        format!("{}:{line}", self.name)
    }
}

/// The same value as flags and the API have it. What JSON cannot say (a date, not-a-number, an integer beyond 64 bits) is
/// text, which no setting of another type takes.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let number = u64::from_str_radix(digits, radix).map(Number::from);
            let number = number.or_else(|_| i64::from_str_radix(digits, radix).map(Number::from));
            number.map_or_else(|_| Value::String(integer.to_string()), Value::Number)
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| Value::String(float.to_string()), Value::Number)
        }
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(array) => array.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}
