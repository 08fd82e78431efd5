//! `hang` reads the request and never answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;
use crate::call::{Accept, Call, Verdict};
use crate::error::Result;

/// Reads the request, never answers, and holds the connection until the client leaves.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hang {}

impl Handler for Hang {
    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        Err(client.hold().await)
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Err(call.hold().await)
    }
}
