//! `reset` resets the client's connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Accept, Call, Verdict};
use crate::error::Result;

/// Resets the client's connection on every call; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reset {}

impl Handler for Reset {
    fn role(&self) -> Role {
        Role::Answers
    }

    async fn accept(&self, _: &mut Accept<'_>) -> Result<Verdict> {
        Ok(Verdict::Reset)
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Reset)
    }
}
