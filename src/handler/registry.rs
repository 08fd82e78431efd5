//! Which handlers there are, and what each can be set to.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Blackout, Delay, Dummy, DynHandler, Error, Handler, Hang, Scope};
use crate::settings;
use crate::settings::Field;

/// A handler that can be asked for by name: its fields are its settings, their documentation is the help text, and its
/// `Default` has the defaults. Implemented for every type that derives what it takes:
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use vaurien::handler::{Handler, Registry};
///
/// /// Lets one call in so many stumble.
/// #[derive(Default, Serialize, Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Stumble {
///     /// Every how manieth call stumbles.
///     #[schemars(extend("x-unit" = "calls"))]
///     every: u64,
/// }
///
/// impl Handler for Stumble {}
///
/// // `--handler 10:stumble --handler-stumble-every 5`, or `[handlers.stumble] every = 5` in the file.
/// let registry = Registry::default().with::<Stumble>("stumble");
/// # assert_eq!(registry.names().last(), Some("stumble"));
/// ```
///
/// What a field cannot be is refused by its own `Deserialize`, whose message is shown; fields with `#[serde(skip)]` are
/// no settings. `x-unit` names the unit in the help. Each field is checked with the others at their defaults, so what it
/// can be must not depend on theirs.
pub trait Configured: Handler + Default + Serialize + DeserializeOwned + JsonSchema {}

impl<H: Handler + Default + Serialize + DeserializeOwned + JsonSchema> Configured for H {}

/// The handlers that a program knows, by name. The default has `blackout`, `delay`, `dummy`, `error` and `hang`.
#[derive(Debug, Clone)]
pub struct Registry {
    entries: Vec<Entry>,
}

/// Makes a handler from its settings.
type Build = fn(Map<String, Value>) -> Result<Arc<dyn DynHandler>, String>;

/// One handler.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    name: String,
    help: String,
    fields: Vec<Field>,
    /// Whether the connection's options can be set for this handler: not where it ends the connection anyway.
    pub(crate) takes_connection_options: bool,
    build: Build,
}

impl Default for Registry {
    fn default() -> Self {
        let none = Self { entries: Vec::new() };
        none.entry::<Blackout>("blackout", false)
            .entry::<Delay>("delay", true)
            .entry::<Dummy>("dummy", true)
            .entry::<Error>("error", true)
            .entry::<Hang>("hang", false)
    }
}

impl Registry {
    /// Adds a handler of the user's own under `name`, or puts it in the place of the one that had this name.
    ///
    /// # Panics
    ///
    /// When `name` is not made of lower-case letters, digits and `_`, a letter first: it becomes part of flags and variables.
    #[must_use]
    pub fn with<H: Configured>(self, name: &str) -> Self {
        self.entry::<H>(name, true)
    }

    /// The handlers' names, in the order in which they were added.
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
        assert!(letter_first && name.bytes().all(plain), "`{name}` cannot be a handler's name");
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
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it does, in a sentence.
    pub(crate) fn help(&self) -> &str {
        &self.help
    }

    /// Whether it lets every call pass as it is.
    pub(crate) fn does_nothing(&self) -> bool {
        (self.build)(Map::new()).is_ok_and(|handler| handler.scope() == Scope::Nothing)
    }

    /// Its own settings.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The handler with `values`, which have been checked one by one. It may still refuse them together.
    pub(crate) fn build(&self, mut values: Map<String, Value>) -> Result<Arc<dyn DynHandler>, String> {
        values.retain(|name, _| self.fields.iter().any(|field| field.name == *name));
        (self.build)(values)
    }
}
