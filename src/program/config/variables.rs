//! The program's variables: `VAURIEN_BACKEND` for `--backend`. An empty variable counts as unset.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::entry::{Entry, Origin};
use super::schema::{Schema, Setting};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::program::command::GIVEN;

/// The variable for `--config`.
pub(crate) const FILE: &str = "VAURIEN_CONFIG";

/// What the names of all variables of the program begin with.
const PREFIX: &str = "VAURIEN_";

/// Variables that do not count as unset when they are empty: the API would be open by mistake.
const NEVER_EMPTY: [&str; 2] = ["VAURIEN_HTTP_TOKEN", "VAURIEN_HTTP_TOKEN_FILE"];

pub(crate) struct Variables {
    values: BTreeMap<String, String>,
    /// What [`GIVEN`] names.
    given: Vec<(String, String)>,
}

impl Variables {
    /// The program's variables among `environment`.
    pub(crate) fn new(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            match value.into_string() {
                Ok(value) => drop(values.insert(name.to_owned(), value)),
                Err(_) => diagnostics.push(Diagnostic::new(name, "the value is not UTF-8")),
            }
        }
        let given = values.get(GIVEN).map(String::as_str).unwrap_or_default();
        let given = given.split(' ').filter_map(|given| given.split_once('='));
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, given }
    }

    /// The value of a variable. What an outer vaurien has set for its command is not an option of this one.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !self.is_given(name, value))
    }

    /// The value of a variable that an outer vaurien has set for its command.
    pub(crate) fn told(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| self.is_given(name, value))
    }

    pub(crate) fn entries(&self, schema: &Schema<'_>) -> Vec<Entry> {
        let entry = |setting: &Setting<'_>| {
            let variable = setting.variable();
            let value = setting.field.parse(&self.asked(&variable)?);
            Some(setting.entry(value, Origin::Named(variable)))
        };
        schema.all().filter_map(entry).collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty() || NEVER_EMPTY.contains(&name)).cloned()
    }

    fn is_given(&self, name: &str, value: &str) -> bool {
        self.given.iter().any(|(given, told)| given == name && told == value)
    }
}
