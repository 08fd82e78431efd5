//! `error` answers in place of the backend, or inserts random bytes into its reply.

mod check;

use std::sync::atomic::{AtomicU64, Ordering};

use rand::seq::IndexedRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Escaped, Headers, Statuses};
use super::{Handler, Role};
use crate::call::{Answer, Call, Verdict, random};
use crate::duration::Seconds;
use crate::error::Result;
use crate::net::host_port::HostPort;
use crate::protocol::grpc;
use crate::protocol::http::{self, Response};
use crate::protocol::{Failure, FailureKind, Protocol};

/// How many random bytes replace a reply.
const JUNK: usize = 1000;

/// How many random bytes are inserted into a reply.
const INJECTED: usize = 100;

/// Answers with an error of the protocol, or random bytes; the backend is not called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
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
    /// With redis and memcache, answer with this error [default: none]
    ///
    /// `redis`: err, loading, busy, readonly, oom, moved, ask, tryagain, clusterdown, masterdown, noauth, wrongpass, noscript,
    /// misconf. `memcache`: `server_error`, `client_error`, error, oom, busy.
    #[schemars(extend("x-unit" = "kind"))]
    pub kind: Option<FailureKind>,
    /// The text of that error, or of a status of gRPC [default: none]
    ///
    /// Without one it is the server's own; with gRPC it says that vaurien injected it.
    #[schemars(extend("x-unit" = "text"))]
    pub message: Option<Message>,
    /// Where moved and ask send the client [default: none]
    #[schemars(extend("x-unit" = "host:port"))]
    pub to: Option<HostPort>,
    /// With grpc and http, fail with this status of gRPC, or one of several: UNAVAILABLE|INTERNAL [default: none]
    ///
    /// Without one it is `UNAVAILABLE` with grpc, unless there is a `status`.
    #[schemars(extend("x-unit" = "code"))]
    pub grpc: Option<grpc::Statuses>,
    /// With http, answer with this status, or one of several: 500|503 [default: none]
    ///
    /// Without one it is 500, 501, 502 or 503.
    #[schemars(extend("x-unit" = "status"))]
    pub status: Option<Statuses>,
    /// With http, tell the client when to try again [default: none]
    ///
    /// The header `Retry-After`, in whole seconds, rounded up.
    pub retry_after: Option<Seconds>,
    /// With http, add header fields: Name: value [default: none]
    #[schemars(extend("x-unit" = "fields"))]
    pub headers: Option<Headers>,
    /// With http, the body: a text with escapes [default: none]
    ///
    /// Without one it is a page that names vaurien.
    #[schemars(extend("x-unit" = "text"))]
    pub body: Option<Escaped>,
    /// Warm-up calls so far.
    #[serde(skip)]
    warmed_up: AtomicU64,
}

/// The text of an error: one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Message(String);

impl TryFrom<String> for Message {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, &'static str> {
        if text.contains(char::is_control) {
            Err("the message has a control character, write one line")
        } else {
            Ok(Self(text))
        }
    }
}

impl Error {
    /// An `error` handler. `warmup` is a number of calls.
    #[must_use]
    pub fn new(inject: bool, warmup: u64) -> Self {
        Self { inject, warmup, ..Self::default() }
    }

    /// Answers with an error of `redis` or `memcache`.
    #[must_use]
    pub fn of_kind(kind: FailureKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Answers with a status of `http`.
    ///
    /// # Panics
    ///
    /// If it is not 200 to 599.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        Self { status: Some(status.into()), ..Self::default() }
    }

    /// Answers with a status of gRPC.
    #[must_use]
    pub fn of_grpc(status: grpc::Status) -> Self {
        Self { grpc: Some(status.into()), ..Self::default() }
    }

    /// Whether this call belongs to the warm-up, and counts it if so.
    fn warms_up(&self) -> bool {
        let more = |passed| (passed < self.warmup).then_some(passed + 1);
        self.warmed_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn injects(&self, call: &Call<'_>) -> bool {
        self.inject && !call.protocol().is_http()
    }

    fn answer(&self, call: &mut Call<'_>) -> Answer {
        match (call.protocol(), self.kind) {
            (Protocol::Http | Protocol::Grpc, _) if self.fails_grpc(call.protocol()) => {
                Answer::response(self.trailers(call))
            }
            (Protocol::Http | Protocol::Grpc, _) => Answer::response(self.response(call)),
            (_, Some(kind)) => Answer::failure(self.failure(kind)),
            (_, None) => Answer::random(JUNK),
        }
    }

    /// Whether it answers with a status of gRPC.
    fn fails_grpc(&self, protocol: Protocol) -> bool {
        self.grpc.is_some() || protocol == Protocol::Grpc && self.status.is_none()
    }

    fn trailers(&self, call: &mut Call<'_>) -> Response {
        let statuses = self.grpc.as_ref().map_or(&[grpc::Status::Unavailable][..], grpc::Statuses::all);
        let status = one_of(statuses, call).unwrap_or(grpc::Status::Unavailable);
        let message = self.message.as_ref().map_or(grpc::INJECTED, |Message(message)| message);
        let response = grpc::trailers_only(status, message);
        match &self.headers {
            Some(headers) => headers.add_to(response),
            None => response,
        }
    }

    fn response(&self, call: &mut Call<'_>) -> Response {
        let statuses = self.status.as_ref().map_or(http::FAILURES.as_slice(), Statuses::all);
        let mut response = Response::new(one_of(statuses, call).unwrap_or(500));
        if let Some(headers) = &self.headers {
            response = headers.add_to(response);
        }
        if let Some(time) = self.retry_after {
            let seconds = time.duration().as_secs_f64().ceil().to_string();
            response = response.with_field("Retry-After", &seconds);
        }
        match &self.body {
            Some(body) => response.body(body.bytes().clone()),
            None => response,
        }
    }

    fn failure(&self, kind: FailureKind) -> Failure {
        let mut failure = Failure::new(kind);
        if let Some(Message(message)) = &self.message {
            failure = failure.message(message);
        }
        match &self.to {
            Some(address) => failure.to(address),
            None => failure,
        }
    }
}

/// One of them, drawn if there are several.
fn one_of<T: Copy>(all: &[T], call: &mut Call<'_>) -> Option<T> {
    match all {
        [one] => Some(*one),
        several => several.choose(call.random()).copied(),
    }
}

impl Handler for Error {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        self.check_settings(protocol)
    }

    fn role(&self) -> Role {
        if self.inject { Role::ReplacesReply } else { Role::Answers }
    }

    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        // A cluster sends nobody elsewhere for a command without a key.
        let is_lost = self.kind.is_some_and(FailureKind::redirects) && !call.has_key();
        if self.injects(call) || is_lost || self.warms_up() {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Answer(self.answer(call)))
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if !self.injects(call) || self.warms_up() {
            return Ok(Verdict::Pass);
        }
        Ok(Verdict::Inject(random(call.random(), INJECTED)))
    }
}
