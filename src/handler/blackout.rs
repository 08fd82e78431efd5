//! `blackout`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;

/// Closes the client's connection on every call; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blackout {}

impl Handler for Blackout {}
