//! `goaway` tells a client of HTTP/2 to open another connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Call, Verdict};
use crate::error::Result;
use crate::protocol::Protocol;
use crate::protocol::http2::ErrorCode;

/// Tells an HTTP/2 client to open another connection, as a server does that restarts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GoAway {
    /// The code: with another one the connection ends
    #[schemars(extend("x-unit" = "error-code"))]
    pub code: ErrorCode,
}

impl Default for GoAway {
    fn default() -> Self {
        Self { code: ErrorCode::NoError }
    }
}

impl Handler for GoAway {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        if protocol.is_http() {
            return Ok(());
        }
        Err(format!("it needs the protocol http or grpc, and clients of HTTP/2: {protocol} has no such message"))
    }

    fn role(&self) -> Role {
        if self.code == ErrorCode::NoError { Role::SeesReply } else { Role::Answers }
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::GoAway(self.code))
    }
}
