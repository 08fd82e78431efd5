//! `miss` answers that there is nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;
use crate::call::{Answer, Call, Verdict};
use crate::error::Result;
use crate::protocol::Protocol;

/// Answers that there is nothing: nil, a miss, a 404; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Miss {}

impl Handler for Miss {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        match protocol {
            Protocol::Tcp => Err("it needs the protocol redis, memcache, http or grpc: tcp has no misses".to_owned()),
            _ => Ok(()),
        }
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(if call.can_miss() { Verdict::Answer(Answer::miss()) } else { Verdict::Pass })
    }
}
