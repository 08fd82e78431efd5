//! `hang` reads the request and never answers.

use std::future::pending;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Handler, Role};
use crate::call::{Accept, Call, Verdict};
use crate::duration::Seconds;
use crate::error::{Error, Result};
use crate::timer;

/// Reads the request, never answers, and holds the connection until the client leaves.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hang {
    /// Close the connection after this time [default: never]
    #[serde(rename = "for")]
    pub duration: Option<Seconds>,
}

impl Handler for Hang {
    fn role(&self) -> Role {
        Role::Answers
    }

    async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        until_over(self.duration, client.hold()).await
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        until_over(self.duration, call.hold()).await
    }
}

/// The client is held until it leaves, or until the time is over.
async fn until_over(time: Option<Seconds>, held: impl Future<Output = Error>) -> Result<Verdict> {
    let over = async {
        match time {
            Some(time) => timer::sleep(time.duration()).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        error = held => Err(error),
        () = over => Ok(Verdict::Close),
    }
}
