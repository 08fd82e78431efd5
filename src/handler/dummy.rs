//! `dummy` passes everything unaltered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Scope};

/// Passes every byte unaltered, in both directions.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dummy {}

impl Handler for Dummy {
    fn scope(&self) -> Scope {
        Scope::Nothing
    }
}
