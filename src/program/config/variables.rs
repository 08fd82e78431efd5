//! The program's variables.

use crate::program::command::GIVEN;

/// The variables that there are. An empty one is as good as none.
pub(super) struct Variables<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    /// What [`GIVEN`] names.
    given: Vec<(String, String)>,
}

impl<'e> Variables<'e> {
    pub(super) fn new(env: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let given = env(GIVEN).unwrap_or_default();
        let given = given.split(' ').filter_map(|given| given.split_once('='));
        Self { env, given: given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// What is asked for by this name. What an outer program tells its command of its proxies is no option of this one.
    pub(super) fn asked(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !self.is_given(name, value))
    }

    /// What an outer program tells its command by this name.
    pub(super) fn told(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| self.is_given(name, value))
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn is_given(&self, name: &str, value: &str) -> bool {
        self.given.iter().any(|(given, told)| given == name && told == value)
    }
}
