//! `hang`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;

/// Reads the request, never answers, and holds the connection until the client leaves.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hang {}

impl Handler for Hang {}
