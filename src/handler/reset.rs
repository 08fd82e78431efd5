//! `reset` resets the client's connection, with HTTP/2 the stream of the call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Accept, Call, Verdict};
use crate::error::Result;
use crate::protocol::Protocol;
use crate::protocol::http2::ErrorCode;

/// Resets the connection, with HTTP/2 the call's stream; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::doc_markdown, reason = "it is the help text as well")]
pub struct Reset {
    /// Reset the connection with HTTP/2 as well
    ///
    /// Without it the stream of the call is reset, and other calls of the connection go on.
    pub connection: bool,
    /// With HTTP/2, the code of the reset [default: INTERNAL_ERROR]
    ///
    /// `REFUSED_STREAM` tells the client that it may try again, `CANCEL` that nobody needs the call any more.
    #[schemars(extend("x-unit" = "error-code"))]
    pub code: Option<ErrorCode>,
}

impl Reset {
    fn verdict(&self) -> Verdict {
        match self.code {
            _ if self.connection => Verdict::ResetConnection,
            Some(code) => Verdict::ResetStream(code),
            None => Verdict::Reset,
        }
    }
}

impl Handler for Reset {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        match self.code {
            Some(code) if !protocol.is_http() => Err(format!(
                "`code={code}` needs the protocol http or grpc: {protocol} resets connections, without a code"
            )),
            Some(code) if self.connection => {
                Err(format!("`code={code}` and `connection` exclude each other: a reset of the connection has no code"))
            }
            None if self.connection && !protocol.is_http() => Err(format!(
                "`connection` has no effect with {protocol}, whose connections are reset anyway: leave it out"
            )),
            _ => Ok(()),
        }
    }

    fn role(&self) -> Role {
        Role::Answers
    }

    async fn accept(&self, _: &mut Accept<'_>) -> Result<Verdict> {
        // A connection that has not begun has no stream yet.
        Ok(if self.code.is_some() { Verdict::Pass } else { self.verdict() })
    }

    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_effect_are_refused() {
        let of_code = Reset { code: Some(ErrorCode::Cancel), ..Reset::default() };
        let of_connection = Reset { connection: true, ..Reset::default() };
        let both = Reset { connection: true, ..of_code.clone() };
        for (reset, protocol, why) in [
            (
                &of_code,
                Protocol::Redis,
                "`code=CANCEL` needs the protocol http or grpc: redis resets connections, without a code",
            ),
            (
                &of_connection,
                Protocol::Tcp,
                "`connection` has no effect with tcp, whose connections are reset anyway: leave it out",
            ),
            (
                &both,
                Protocol::Grpc,
                "`code=CANCEL` and `connection` exclude each other: a reset of the connection has no code",
            ),
        ] {
            assert_eq!(reset.check(protocol), Err(why.to_owned()));
        }
        for (reset, protocol) in [(&of_code, Protocol::Http), (&of_connection, Protocol::Grpc)] {
            assert_eq!(reset.check(protocol), Ok(()));
        }
        assert_eq!(Reset::default().check(Protocol::Redis), Ok(()));
    }
}
