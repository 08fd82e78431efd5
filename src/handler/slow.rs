//! `slow` passes the reply at a limited rate.

use std::num::NonZero;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Call, Verdict};
use crate::error::Result;
use crate::size::{Rate, Size};

/// The default rate, in bytes a second.
const RATE: NonZero<u64> = NonZero::new(1000).unwrap();

/// Passes the reply at a limited rate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// How fast the reply passes
    pub rate: Rate,
    /// How much of the reply passes at once
    pub first: Size,
}

impl Default for Slow {
    fn default() -> Self {
        Self { rate: Rate::from_bytes(RATE), first: Size::default() }
    }
}

impl Handler for Slow {
    fn role(&self) -> Role {
        Role::ShapesReply
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Slow { rate: self.rate, first: self.first })
    }
}
