//! `blackout` closes the client's connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Accept, Call, Verdict};
use crate::error::Result;

/// Closes the client's connection on every call; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blackout {}

impl Handler for Blackout {
    fn role(&self) -> Role {
        Role::Answers
    }

    async fn accept(&self, _: &mut Accept<'_>) -> Result<Verdict> {
        Ok(Verdict::Close)
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Close)
    }
}
