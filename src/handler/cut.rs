//! `cut` passes the beginning of the reply, then ends the connection in its middle.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Call, End, Verdict};
use crate::error::Result;
use crate::size::{Amount, Percent};

/// Passes the beginning of the reply, then ends the connection in its middle.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cut {
    /// How much of the reply passes: bytes or percent
    ///
    /// Bytes of the reply, with `http` of its body; or a part of its data, as far as its length is announced. A reply that is no
    /// longer passes.
    pub after: Amount,
    /// How the connection ends: close, reset or hang
    #[schemars(extend("x-unit" = "end"))]
    pub how: End,
}

impl Default for Cut {
    fn default() -> Self {
        Self { after: Amount::Percent(Percent::HALF), how: End::Close }
    }
}

impl Handler for Cut {
    fn role(&self) -> Role {
        Role::ShapesReply
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Cut { after: self.after, end: self.how })
    }
}
