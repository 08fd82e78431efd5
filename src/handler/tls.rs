//! `tls` makes the TLS handshake with the client go wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Scope};
use crate::call::{Accept, Verdict};
use crate::error::Result;
use crate::net::tls::{ClientTls, TlsFault};

/// Makes the TLS handshake with the client go wrong, as a connection begins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// What goes wrong: expired, wrong_name, self_signed, unknown_ca, handshake_stall, handshake_reset or old_version
    #[expect(clippy::doc_markdown, reason = "it is a line of the help")]
    #[schemars(extend("x-unit" = "fault"))]
    pub fault: TlsFault,
}

impl Default for Tls {
    fn default() -> Self {
        Self { fault: TlsFault::Expired }
    }
}

impl Handler for Tls {
    fn scope(&self) -> Scope {
        Scope::Handshake
    }

    fn check_tls(&self, tls: Option<&ClientTls>) -> std::result::Result<(), String> {
        match tls {
            None => Err("it needs TLS with clients, `tls.auto` or `tls.cert`".to_owned()),
            Some(tls) if tls.authority().is_none() && self.fault.needs_authority() => {
                Err("this fault needs `tls.auto`: clients have to trust who signs the certificate".to_owned())
            }
            Some(_) => Ok(()),
        }
    }

    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        match self.fault {
            TlsFault::HandshakeStall => Err(client.hold().await),
            fault => Ok(Verdict::Handshake(fault)),
        }
    }
}
