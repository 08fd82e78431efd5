//! Keys with their values, so that what the file asks for and what JSON asks for are walked in one way.

use serde_json::{Map, Value};

/// One key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// `vaurien.toml:4`, or empty where there are no lines.
    pub(crate) at: String,
    /// The whole value as JSON has it, of a table too.
    pub(crate) value: Value,
    /// The keys within, of a table.
    pub(crate) table: Option<Vec<Key>>,
}

impl Key {
    pub(crate) fn of_json(keys: &Map<String, Value>) -> Vec<Self> {
        let key = |(name, value): (&String, &Value)| Self {
            name: name.clone(),
            at: String::new(),
            value: value.clone(),
            table: value.as_object().map(Self::of_json),
        };
        keys.iter().map(key).collect()
    }
}
