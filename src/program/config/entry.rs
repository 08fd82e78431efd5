//! A value that a source gives to a path, and where it was given.

use std::fmt;

use serde_json::{Map, Value};

/// A value that one source gives to one path.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The keys from the top of the file: `handlers`, `delay`, `sleep`.
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// Where a value was given.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A flag or a variable: `--backend`, `VAURIEN_BACKEND`.
    Named(String),
    /// A line of the file: `vaurien.toml:4`.
    Line(String),
    /// The same for a list: the line of its key, then those of its items.
    Lines(String, Vec<String>),
    /// JSON of the HTTP API, where the path is the place.
    Json,
    /// A default; the text says why it applies.
    Default(&'static str),
}

impl Origin {
    /// Where `path` was given, for a message that does not name it.
    pub(crate) fn place(&self, path: &str) -> String {
        match self {
            Self::Line(line) | Self::Lines(line, _) => format!("{line}: {path}"),
            _ => self.line(path),
        }
    }

    /// The same, for a message that names the path.
    pub(crate) fn line(&self, path: &str) -> String {
        if let Self::Json = self { path.to_owned() } else { self.to_string() }
    }
}

impl Origin {
    /// Where the item in this place of the list `path` was given, for a message that quotes it.
    pub(crate) fn item(&self, path: &str, place: usize) -> String {
        match self {
            Self::Lines(_, items) if place < items.len() => items[place].clone(),
            _ => self.line(path),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(text) | Self::Line(text) | Self::Lines(text, _) => f.write_str(text),
            Self::Json => Ok(()),
            Self::Default(why) => f.write_str(why),
        }
    }
}

/// The entries of `keys`, under the path `within`: each key before the keys of its table.
pub(super) fn of_json(keys: &Map<String, Value>, within: &[String]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (key, value) in keys {
        let path = [within, std::slice::from_ref(key)].concat();
        let keys = value.as_object().map(|keys| of_json(keys, &path));
        entries.push(Entry { path, value: value.clone(), origin: Origin::Json });
        entries.extend(keys.into_iter().flatten());
    }
    entries
}
