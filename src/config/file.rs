//! The configuration file: TOML, with the line of each key.

use std::path::Path;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Mistakes, shown};
use super::options::{Options, Scope};
use super::values::{Asked, Place};
use crate::mix::unknown_handler;
use crate::settings::Given;

/// Where the settings of handlers are.
const HANDLERS: &str = "handlers";

/// What a file asks for in the order of its lines, each key by itself right or wrong.
pub(crate) type Keys<'a> = Vec<Result<Asked<'a>, Mistake>>;

/// Reads the file at `path`, which `place` named. When it is no TOML, nothing is known of what it asks for.
pub(crate) fn read<'a>(place: &str, path: &Path, options: &'a Options<'_>) -> Result<Keys<'a>, Mistakes> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        Mistake::new(place, format_args!("cannot read `{}`: {why}", path.display()))
    })?;
    parse(path, &text, options)
}

/// As [`read`], for the text of a file.
pub(crate) fn parse<'a>(path: &Path, text: &str, options: &'a Options<'_>) -> Result<Keys<'a>, Mistakes> {
    let mut file = File { name: path.display().to_string(), text, options, keys: Vec::new() };
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let unreadable = errors.iter().map(|error| {
        let span = error.span().unwrap_or_default();
        let line = file.line(span.start);
        match error.message() {
            "duplicate key" => Mistake::new(line, format_args!("duplicate key `{}`, give it once", &text[span])),
            message => Mistake::new(line, message.lines().collect::<Vec<_>>().join(", ")),
        }
    });
    unreadable.collect::<Mistakes>().none_or(())?;
    file.top(table.get_ref());
    Ok(file.keys)
}

type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

struct File<'t, 'a> {
    name: String,
    text: &'t str,
    options: &'a Options<'a>,
    keys: Keys<'a>,
}

impl File<'_, '_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = key.span().start;
            match (key.get_ref().as_ref(), value.get_ref()) {
                (HANDLERS, DeValue::Table(handlers)) => self.handlers(handlers),
                (HANDLERS, other) => {
                    let value = shown(&json(other));
                    self.wrong(
                        at,
                        format!("`{HANDLERS}` is {value}, write a table for each handler, `[handlers.delay]`"),
                    );
                }
                ("handler", DeValue::Table(_)) => {
                    self.wrong(at, "`handler` is a name or a mix, settings are in `[handlers.delay]`".to_owned());
                }
                (name, DeValue::Table(_)) if self.options.registry.get(name).is_some() => {
                    self.wrong(at, format!("unknown key `{name}`, did you mean `{HANDLERS}.{name}`?"));
                }
                _ => self.setting(&[Scope::Proxy, Scope::Program], "", (key, value)),
            }
        }
    }

    fn handlers(&mut self, handlers: &DeTable<'_>) {
        for (key, value) in handlers {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            if self.options.registry.get(name).is_none() {
                self.wrong(at, unknown_handler(name, self.options.registry));
                continue;
            }
            let DeValue::Table(settings) = value.get_ref() else {
                let value = shown(&json(value.get_ref()));
                self.wrong(at, format!("`{HANDLERS}.{name}` is {value}, write a table, `[{HANDLERS}.{name}]`"));
                continue;
            };
            let within = format!("{HANDLERS}.{name}.");
            for entry in settings {
                self.setting(&[Scope::Handler(name.to_owned())], &within, entry);
            }
        }
    }

    /// `within` is what stands before the key when its whole path is written.
    fn setting(&mut self, scopes: &[Scope], within: &str, (key, value): Entry<'_, '_>) {
        let at = key.span().start;
        match self.options.find(scopes, key.get_ref()) {
            Ok(setting) => {
                let place = Place::new(self.line(at), format!("{within}{}", key.get_ref()));
                self.keys.push(Ok(Asked { setting, given: Given::Value(json(value.get_ref())), place }));
            }
            Err(unknown) => {
                let of =
                    if within.is_empty() { String::new() } else { format!(" in `[{}]`", within.trim_end_matches('.')) };
                self.wrong(at, unknown.message(&of));
            }
        }
    }

    fn wrong(&mut self, at: usize, what: String) {
        let line = self.line(at);
        self.keys.push(Err(Mistake::new(line, what)));
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
