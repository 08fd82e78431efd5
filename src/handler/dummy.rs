//! `dummy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;

/// Nothing: every byte passes unaltered, both ways.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dummy {}

impl Handler for Dummy {}
