//! The program's variables: `VAURIEN_BACKEND` for `--backend`. An empty variable counts as unset.

use super::entry::{Entry, Origin};
use super::schema::{Schema, Setting};
use crate::program::command::GIVEN;

/// The variable for `--config`.
pub(crate) const FILE: &str = "VAURIEN_CONFIG";

pub(crate) struct Variables<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    /// What [`GIVEN`] names.
    given: Vec<(String, String)>,
}

impl<'e> Variables<'e> {
    pub(crate) fn new(env: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let given = env(GIVEN).unwrap_or_default();
        let given = given.split(' ').filter_map(|given| given.split_once('='));
        Self { env, given: given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
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
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn is_given(&self, name: &str, value: &str) -> bool {
        self.given.iter().any(|(given, told)| given == name && told == value)
    }
}
