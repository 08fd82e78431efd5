//! `transient` answers with errors at first, then passes for ever.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Error, Handler};
use crate::call::{Call, Verdict};
use crate::error::Result;
use crate::protocol::Protocol;

/// Answers the first calls as error does, then passes all others.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Transient {
    /// How many calls get an error
    ///
    /// Counts the calls that are drawn for the handler, over all connections of the proxy.
    #[schemars(extend("x-unit" = "calls"))]
    pub agitate: u64,
    /// What they get.
    #[serde(flatten)]
    pub error: Error,
    /// Calls with an error so far.
    #[serde(skip)]
    agitated: AtomicU64,
}

impl Default for Transient {
    fn default() -> Self {
        Self { agitate: 1, error: Error::default(), agitated: AtomicU64::new(0) }
    }
}

impl Transient {
    /// Gives the first `agitate` calls what `error` has for them.
    #[must_use]
    pub fn new(agitate: u64, error: Error) -> Self {
        Self { agitate, error, ..Self::default() }
    }

    /// Whether all errors have been given.
    fn is_over(&self) -> bool {
        self.agitated.load(Ordering::Relaxed) >= self.agitate
    }

    /// Whether this call gets an error, and counts it if so.
    fn agitates(&self) -> bool {
        let more = |so_far| (so_far < self.agitate).then_some(so_far + 1);
        self.agitated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl Handler for Transient {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        self.error.check(protocol)
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if self.is_over() {
            return Ok(Verdict::Pass);
        }
        match self.error.before(call).await? {
            Verdict::Answer(answer) if self.agitates() => Ok(Verdict::Answer(answer)),
            _ => Ok(Verdict::Pass),
        }
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if self.is_over() {
            return Ok(Verdict::Pass);
        }
        match self.error.after(call).await? {
            Verdict::Inject(bytes) if self.agitates() => Ok(Verdict::Inject(bytes)),
            _ => Ok(Verdict::Pass),
        }
    }
}
