//! `error` answers in place of the backend, or inserts random bytes into its reply.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;
use crate::call::{Answer, Call, Verdict, random};
use crate::error::Result;
use crate::protocol::{Protocol, http};

/// How many random bytes replace a reply.
const JUNK: usize = 1000;

/// How many random bytes are inserted into a reply.
const INJECTED: usize = 100;

/// Answers with random bytes (http: a 500, 501, 502 or 503); the backend is not called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Error {
    /// Insert random bytes into the backend's reply
    ///
    /// 100 bytes in the middle of the reply, in place of the answer. No effect with `http`.
    pub inject: bool,
    /// Pass this many calls before the first error
    ///
    /// Counts the calls that are drawn for the handler, over all connections of the proxy.
    #[schemars(extend("x-unit" = "calls"))]
    pub warmup: u64,
    /// Warm-up calls so far.
    #[serde(skip)]
    warmed_up: AtomicU64,
}

impl Error {
    /// An `error` handler. `warmup` is a number of calls.
    #[must_use]
    pub fn new(inject: bool, warmup: u64) -> Self {
        Self { inject, warmup, warmed_up: AtomicU64::new(0) }
    }

    /// Whether this call belongs to the warm-up, and counts it if so.
    fn warms_up(&self) -> bool {
        let more = |passed| (passed < self.warmup).then_some(passed + 1);
        self.warmed_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn injects(&self, call: &Call<'_>) -> bool {
        self.inject && call.protocol() != Protocol::Http
    }
}

impl Handler for Error {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if self.injects(call) || self.warms_up() {
            return Ok(Verdict::Pass);
        }
        if call.protocol() != Protocol::Http {
            return Ok(Verdict::Answer(Answer::random(JUNK)));
        }
        let status = *http::FAILURES.choose(call.random()).unwrap_or(&500);
        let http::Answer { bytes, close } = http::answer(call.head(), status, SystemTime::now());
        let answer = Answer::new(bytes);
        Ok(Verdict::Answer(if close { answer.then_close() } else { answer }))
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if !self.injects(call) || self.warms_up() {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Inject(random(call.random(), INJECTED)))
    }
}
