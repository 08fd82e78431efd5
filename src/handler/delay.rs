//! `delay` waits, then passes the call on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Call, Verdict};
use crate::distribution::Distribution;
use crate::duration::Seconds;
use crate::error::Result;

/// Waits, then passes the call on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delay {
    /// How long a call waits: a time, or a distribution of times
    pub sleep: Distribution,
    /// Delay the request, or if false the reply
    ///
    /// True: waits before the request reaches the backend. False: waits before the reply reaches the client.
    pub before: bool,
}

impl Default for Delay {
    fn default() -> Self {
        Self { sleep: Seconds::from_secs(1).into(), before: true }
    }
}

impl Delay {
    async fn wait(&self, call: &mut Call<'_>) -> Result<()> {
        // A sleeping call needs no random stream of its own where nothing is drawn.
        let time = self.sleep.always().unwrap_or_else(|| self.sleep.draw(call.random()));
        call.sleep(time).await
    }
}

impl Handler for Delay {
    fn role(&self) -> Role {
        if self.before { Role::Any } else { Role::SeesReply }
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if self.before {
            self.wait(call).await?;
        }
        Ok(Verdict::Pass)
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if !self.before {
            self.wait(call).await?;
        }
        Ok(Verdict::Pass)
    }
}
