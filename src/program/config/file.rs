//! The configuration file: TOML, with the line of each key.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Number, Value};
use toml::de::{DeTable, DeValue};

use super::entry::{Entry, Origin};
use super::toxiproxy_file::{self, List};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::error::plain;
use crate::handler::Registry;

/// The largest configuration file, in bytes.
const FILE: u64 = 16 * 1024 * 1024;

/// What a configuration file says.
pub(crate) struct Contents {
    pub(crate) entries: Vec<Entry>,
    /// What a file says that is Toxiproxy's.
    pub(crate) listed: Option<List>,
}

/// Reads the file at `path`, which `place` named.
pub(crate) fn read(place: &str, path: &Path, registry: &Registry) -> Result<Contents, Diagnostics> {
    let text = text(place, path, FILE)?;
    if toxiproxy_file::is_list(&text) {
        let listed = toxiproxy_file::read(path, &text, registry)?;
        return Ok(Contents { entries: Vec::new(), listed: Some(listed) });
    }
    Ok(Contents { entries: parse(path, &text)?, listed: None })
}

/// The text of the file at `path`, which `place` named and which has at most `limit` bytes.
pub(super) fn text(place: impl Display, path: &Path, limit: u64) -> Result<String, Diagnostic> {
    let not_text = |_| Diagnostic::new(&place, format_args!("cannot read `{}`: it is not UTF-8", path.display()));
    String::from_utf8(bytes(&place, path, limit)?).map_err(not_text)
}

/// The same for a file that may be no text.
pub(super) fn bytes(place: impl Display, path: &Path, limit: u64) -> Result<Vec<u8>, Diagnostic> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut text)?;
        if text.len() as u64 > limit {
            let kib = limit / 1024;
            let limit = if kib < 1024 { format!("{kib} KiB") } else { format!("{} MiB", kib / 1024) };
            return Err(io::Error::other(format!("it has more than {limit}")));
        }
        Ok(text)
    };
    read().map_err(|error: io::Error| {
        Diagnostic::new(place, format_args!("cannot read `{}`: {}", path.display(), plain(&error)))
    })
}

/// As [`read`], for the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Diagnostics> {
    let file = Text { name: path.display().to_string(), text };
    let (table, mut errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() && is_json(text) {
        return Err(Diagnostic::new(file.name, IS_JSON).into());
    }
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let diagnostics = errors.iter().map(|error| {
        let span = error.span().unwrap_or_default();
        let line = file.line(span.start);
        match error.message() {
            "duplicate key" => Diagnostic::new(line, format_args!("duplicate key `{}`, give it once", &text[span])),
            message => Diagnostic::new(line, message.lines().collect::<Vec<_>>().join(", ")),
        }
    });
    let mut entries = Vec::new();
    file.entries(table.get_ref(), &[], &mut entries);
    diagnostics.collect::<Diagnostics>().none_or(entries)
}

const IS_JSON: &str = "this is JSON, the configuration file is TOML: write `backend = \"HOST:PORT\"`, or a table \
                       `[proxies.NAME]` for each proxy";

/// Whether text that is not TOML begins as JSON does.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

struct Text<'t> {
    name: String,
    text: &'t str,
}

impl Text<'_> {
    /// Adds the keys of `table`, each before those within it.
    fn entries(&self, table: &DeTable<'_>, within: &[String], entries: &mut Vec<Entry>) {
        for (key, value) in table {
            let path = [within, &[key.get_ref().to_string()]].concat();
            let line = self.line(key.span().start);
            let origin = match value.get_ref() {
                DeValue::Array(items) => {
                    Origin::Lines(line, items.iter().map(|item| self.line(item.span().start)).collect())
                }
                _ => Origin::Line(line),
            };
            entries.push(Entry { path: path.clone(), value: json(value.get_ref()), origin });
            if let DeValue::Table(table) = value.get_ref() {
                self.entries(table, &path, entries);
            }
        }
    }

    /// `vaurien.toml:4` for the byte `at`.
    fn line(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        format!("{}:{line}", self.name)
    }
}

/// The value in JSON. What JSON does not have (a date, not-a-number, an integer beyond 64 bits) becomes text, which no
/// setting of another type takes.
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
