//! `error`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;
use crate::call::{Answer, Call, Verdict, random};
use crate::error::Result;
use crate::protocol::{Protocol, http};

/// Bytes of junk in place of a reply.
const JUNK: usize = 1000;

/// Bytes of junk within a reply.
const INJECTED: usize = 100;

/// Answers with junk, or in http with a 500, 501, 502 or 503; the backend is not called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Error {
    /// Put junk into the backend's own reply
    ///
    /// 100 random bytes in the middle of it; no effect with `http`.
    pub inject: bool,
    /// This many calls pass unharmed first
    ///
    /// Counted over the whole proxy, of the calls that reach the handler.
    #[schemars(extend("x-unit" = "calls"))]
    pub warmup: u64,
    /// Calls that passed unharmed so far.
    #[serde(skip)]
    unharmed: AtomicU64,
}

impl Error {
    /// With these settings.
    #[must_use]
    pub fn new(inject: bool, warmup: u64) -> Self {
        Self { inject, warmup, unharmed: AtomicU64::new(0) }
    }

    /// Whether this call is among the first that pass.
    fn warms_up(&self) -> bool {
        let more = |passed| (passed < self.warmup).then_some(passed + 1);
        self.unharmed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
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
