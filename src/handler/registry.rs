//! The handlers that a program offers, with their settings.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Abort, Blackout, Corrupt, Cut, Delay, Dummy, DynHandler, Error, GoAway, Handler, Hang, Miss, Reply, Reset, Scope,
    Slow, Tls, Transient,
};
use crate::settings::{self, Field};

/// A handler that can be registered by name, as the [module's documentation](super) shows. Every type that derives the
/// required traits implements it.
///
/// Its fields are its settings, their doc comments are the help text, and its `Default` holds the defaults. A field's own
/// `Deserialize` refuses invalid values, and its message is shown. Fields with `#[serde(skip)]` are not settings.
/// `#[schemars(extend("x-unit" = "calls"))]` names the unit in the help. Each field is checked with the others at their
/// defaults, so its valid values must not depend on theirs.
pub trait Configured: Handler + Default + Serialize + DeserializeOwned + JsonSchema {}

impl<H: Handler + Default + Serialize + DeserializeOwned + JsonSchema> Configured for H {}

/// The handlers of a program, by name. The default registry has `abort`, `blackout`, `corrupt`, `cut`, `delay`, `dummy`,
/// `error`, `goaway`, `hang`, `miss`, `reply`, `reset`, `slow`, `tls` and `transient`.
#[derive(Debug, Clone)]
pub struct Registry {
    entries: Vec<Entry>,
}

/// Builds a handler from its settings.
type Build = fn(Map<String, Value>) -> Result<Arc<dyn DynHandler>, String>;

/// One registered handler.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// What the handler does, in one sentence.
    pub(crate) help: String,
    /// The handler's own settings, without connection options.
    pub(crate) fields: Vec<Field>,
    /// Whether connection options can be set for this handler. They have no effect if it always ends the connection.
    pub(crate) takes_connection_options: bool,
    build: Build,
}

impl Default for Registry {
    fn default() -> Self {
        let none = Self { entries: Vec::new() };
        none.entry::<Abort>("abort", true)
            .entry::<Blackout>("blackout", false)
            .entry::<Corrupt>("corrupt", true)
            .entry::<Cut>("cut", true)
            .entry::<Delay>("delay", true)
            .entry::<Dummy>("dummy", true)
            .entry::<Error>("error", true)
            .entry::<GoAway>("goaway", true)
            .entry::<Hang>("hang", false)
            .entry::<Miss>("miss", true)
            .entry::<Reply>("reply", true)
            .entry::<Reset>("reset", false)
            .entry::<Slow>("slow", true)
            .entry::<Tls>("tls", true)
            .entry::<Transient>("transient", true)
    }
}

impl Registry {
    /// Adds a handler under `name`, or replaces the one of this name.
    ///
    /// # Panics
    ///
    /// If `name` is not a lower-case letter followed by lower-case letters, digits and `_`: it becomes a part of flags
    /// and variables.
    #[must_use]
    pub fn with<H: Configured>(self, name: &str) -> Self {
        self.entry::<H>(name, true)
    }

    /// The names of the handlers, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn entry<H: Configured>(mut self, name: &str, takes_connection_options: bool) -> Self {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let letter_first = name.starts_with(|first: char| first.is_ascii_lowercase());
        assert!(
            letter_first && name.bytes().all(plain),
            "invalid handler name `{name}`: use lower-case letters, digits and `_`, beginning with a letter"
        );
        let entry = Entry {
            name: name.to_owned(),
            help: settings::help::<H>(),
            fields: settings::fields::<H>(),
            takes_connection_options,
            build: |values| Ok(Arc::new(settings::build::<H>(values)?)),
        };
        match self.entries.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
        self
    }
}

impl Entry {
    /// Whether the handler passes every call unaltered.
    pub(crate) fn does_nothing(&self) -> bool {
        (self.build)(Map::new()).is_ok_and(|handler| handler.scope() == Scope::Nothing)
    }

    /// Builds the handler with `values`, each of which has been checked: it may refuse them together.
    pub(crate) fn build(&self, mut values: Map<String, Value>) -> Result<Arc<dyn DynHandler>, String> {
        values.retain(|name, _| self.fields.iter().any(|field| field.name == *name));
        (self.build)(values)
    }
}
