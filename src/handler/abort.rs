//! `abort` calls the backend, drops its reply and closes the client's connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Call, Verdict};
use crate::error::Result;

/// Calls the backend, drops its reply and closes the client's connection.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Abort {
    /// Reset the client's connection instead of closing it
    pub reset: bool,
}

impl Handler for Abort {
    fn role(&self) -> Role {
        Role::ReplacesReply
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(if self.reset { Verdict::Reset } else { Verdict::Close })
    }
}
