//! `reply` answers with what the user says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Escaped;
use super::{Handler, Role};
use crate::call::{Answer, Call, Verdict};
use crate::error::Result;
use crate::protocol::Protocol;

/// Answers with these bytes; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// The reply: a text with escapes, as in +OK\r\n [default: none]
    ///
    /// `\r`, `\n`, `\t`, `\0`, `\\` and `\x7f` stand for one byte each. Nothing is added to them.
    #[schemars(extend("x-unit" = "text"))]
    pub bytes: Option<Escaped>,
}

impl Handler for Reply {
    fn check(&self, _: Protocol) -> std::result::Result<(), String> {
        self.bytes.as_ref().map(drop).ok_or_else(|| r#"it has no `bytes`, write `reply(bytes="+OK\r\n")`"#.to_owned())
    }

    fn role(&self) -> Role {
        Role::Answers
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        let bytes = self.bytes.as_ref().map(|text| text.bytes().clone()).unwrap_or_default();
        Ok(Verdict::Answer(Answer::new(bytes)))
    }
}
