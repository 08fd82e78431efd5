//! Which handlers there are, and what each can be set to.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DynHandler, Handler};

/// A handler that can be asked for by name: its fields are its settings, their documentation is the help text, and its
/// `Default` has the defaults. Implemented for every type that derives what it takes.
pub trait Configured: Handler + Default + Serialize + DeserializeOwned + JsonSchema {}

impl<H: Handler + Default + Serialize + DeserializeOwned + JsonSchema> Configured for H {}

/// The handlers that a program knows, by name.
#[derive(Default)]
pub struct Registry {
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    build: fn() -> Arc<dyn DynHandler>,
}

impl Registry {
    /// Adds a handler of the user's own under `name`.
    #[must_use]
    pub fn with<H: Configured>(mut self, name: &str) -> Self {
        self.entries.push(Entry { name: name.to_owned(), build: || Arc::new(H::default()) });
        self
    }
}
