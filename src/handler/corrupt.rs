//! `corrupt` flips bits of the reply's data.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Handler, Role};
use crate::call::{Call, Verdict};
use crate::error::Result;

/// The most bytes that can be asked for.
const MAX_BYTES: u64 = 65_536;

/// Flips a bit in some bytes of the reply's data, and leaves what delimits messages intact.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Corrupt {
    /// In how many bytes a bit is flipped
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 1, max = MAX_BYTES), extend("x-unit" = "bytes"))]
    pub bytes: u64,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        bytes @ 1..=MAX_BYTES => Ok(bytes),
        other => Err(de::Error::custom(format_args!("`{other}` bytes: give 1 to {MAX_BYTES}"))),
    }
}

impl Default for Corrupt {
    fn default() -> Self {
        Self { bytes: 1 }
    }
}

impl Handler for Corrupt {
    fn role(&self) -> Role {
        Role::ShapesReply
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Corrupt { bytes: self.bytes })
    }
}
