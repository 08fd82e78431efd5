//! A program with a handler of its own: a service that limits how many calls it takes in a second.
//!
//! Does your client slow down, or does it try again at once, and make it worse? Try it, with an HTTP service on port 3000:
//!
//! ```sh
//! cargo run --example custom_handler -- --backend localhost:3000 --protocol http --handler limit --handler-limit-calls 2
//! curl -i 'http://localhost:8000/?[1-3]'    # the third is a 429, with Retry-After: 1
//! ```
//!
//! With Redis and memcached the refusal is an error of theirs. `--help` lists `limit` and its options like all others, and it may
//! stand in rules. They can also be set in the file:
//!
//! ```toml
//! backend = "localhost:6379"
//! protocol = "redis"
//! rules = ["SET|DEL => delay(sleep=5ms)+limit"]
//!
//! [handlers.limit]
//! calls = 100
//! ```

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vaurien::{Answer, Call, Failure, FailureKind, Handler, Protocol, Registry, Response, Result, Verdict};

/// Refuses calls above a number in each second
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Limit {
    /// How many calls pass in a second
    #[schemars(extend("x-unit" = "calls"))]
    calls: u64,
    /// When the current second began, and its calls. All connections share it.
    #[serde(skip)]
    second: Mutex<Option<(Instant, u64)>>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { calls: 10, second: Mutex::default() }
    }
}

impl Limit {
    /// Whether this call is one too many.
    fn exceeded(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, calls) = match *second {
            Some((began, calls)) if began.elapsed() < Duration::from_secs(1) => (began, calls + 1),
            _ => (Instant::now(), 1),
        };
        *second = Some((began, calls));
        calls > self.calls
    }
}

impl Handler for Limit {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        match protocol {
            Protocol::Tcp => Err("it needs the protocol redis, memcache or http: tcp has no errors".to_owned()),
            _ => Ok(()),
        }
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if !self.exceeded() {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Answer(match call.protocol() {
            Protocol::Http => Answer::response(Response::new(429).header("Retry-After", "1")?),
            _ => Answer::failure(Failure::new(FailureKind::Busy).message("Too many calls, try again in a second")),
        }))
    }
}

fn main() -> ExitCode {
    vaurien::main(&Registry::default().with::<Limit>("limit"))
}
