//! `error` answers in place of the backend, or inserts random bytes into its reply.

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
    /// The text of that error [default: none]
    ///
    /// Without one it is the server's own.
    #[schemars(extend("x-unit" = "text"))]
    pub message: Option<Message>,
    /// Where moved and ask send the client [default: none]
    #[schemars(extend("x-unit" = "host:port"))]
    pub to: Option<HostPort>,
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
            (Protocol::Http | Protocol::Grpc, _) => Answer::response(self.response(call)),
            (_, Some(kind)) => Answer::failure(self.failure(kind)),
            (_, None) => Answer::random(JUNK),
        }
    }

    fn response(&self, call: &mut Call<'_>) -> Response {
        let statuses = self.status.as_ref().map_or(http::FAILURES.as_slice(), Statuses::all);
        let status = match statuses {
            [status] => *status,
            several => *several.choose(call.random()).unwrap_or(&500),
        };
        let mut response = Response::new(status);
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

    /// What is wrong with the settings of `http`.
    fn check_response(&self) -> std::result::Result<(), String> {
        let statuses = self.status.as_ref().map_or(&[][..], Statuses::all);
        if self.inject {
            return Err("`inject` has no effect with http, leave it out".to_owned());
        }
        if let (Some(status), Some(_)) =
            (statuses.iter().find(|status| http::WITHOUT_BODY.contains(status)), &self.body)
        {
            return Err(format!("a response with status {status} has no body, leave `body` out"));
        }
        if self.retry_after.is_some() && self.headers.as_ref().is_some_and(|headers| headers.has("Retry-After")) {
            return Err("`headers` have a `Retry-After` as well, leave out `retry_after`".to_owned());
        }
        Ok(())
    }

    /// The settings of `http` that were given.
    fn of_http(&self) -> Option<&'static str> {
        let given = [
            ("status", self.status.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

impl Handler for Error {
    fn check(&self, protocol: Protocol) -> std::result::Result<(), String> {
        let kinds = || FailureKind::of(protocol).iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        if let Some(name) = self.of_http().filter(|_| !protocol.is_http()) {
            return Err(match kinds() {
                none if none.is_empty() => format!("`{name}` needs the protocol http, write `--protocol http`"),
                kinds => format!("`{name}` is for http, write `kind=…` with {protocol} ({kinds})"),
            });
        }
        if self.of_http().is_some() && self.kind.is_none() {
            self.check_response()?;
        }
        let Some(kind) = self.kind else {
            let given = [("message", self.message.is_some()), ("to", self.to.is_some())];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) if protocol.is_http() => {
                    Err(format!("`{name}` is for redis and memcache, write `body=…`"))
                }
                Some((name, _)) => Err(format!("`{name}` needs a kind, write `kind=…`")),
                None => Ok(()),
            };
        };
        match protocol {
            Protocol::Http | Protocol::Grpc => {
                Err(format!("`kind={kind}` is for redis and memcache, write `status=503` with {protocol}"))
            }
            Protocol::Tcp => Err(format!("`kind={kind}` needs the protocol redis or memcache, tcp has no errors")),
            _ if !FailureKind::of(protocol).contains(&kind) => {
                Err(format!("{protocol} has no error `{kind}` (known: {})", kinds()))
            }
            _ if self.inject => {
                Err("`inject` and `kind` exclude each other: one inserts bytes, the other answers".to_owned())
            }
            _ if self.message.is_some() && kind == FailureKind::Error => {
                Err(format!("`message` has no effect: `{kind}` has no text, write `kind=server_error`"))
            }
            _ if self.message.is_some() && kind.redirects() => {
                Err(format!("`message` is not for `kind={kind}`, whose text is the slot and `to`"))
            }
            _ if kind.redirects() && self.to.is_none() => {
                Err(format!("`kind={kind}` needs an address, write `to=HOST:PORT`"))
            }
            _ if self.to.is_some() && !kind.redirects() => {
                Err(format!("`to` is for the kinds moved and ask, `{kind}` sends the client nowhere"))
            }
            _ => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_without_effect_are_refused() {
        for (protocol, settings, why) in [
            (
                Protocol::Memcache,
                json!({ "kind": "error", "message": "no" }),
                "`message` has no effect: `error` has no text, write `kind=server_error`",
            ),
            (
                Protocol::Redis,
                json!({ "kind": "moved", "to": "a:1", "message": "no" }),
                "`message` is not for `kind=moved`, whose text is the slot and `to`",
            ),
            (
                Protocol::Redis,
                json!({ "kind": "ask", "message": "no" }),
                "`message` is not for `kind=ask`, whose text is the slot and `to`",
            ),
            (Protocol::Redis, json!({ "kind": "ask" }), "`kind=ask` needs an address, write `to=HOST:PORT`"),
            (
                Protocol::Http,
                json!({ "status": 503, "inject": true }),
                "`inject` has no effect with http, leave it out",
            ),
            (
                Protocol::Http,
                json!({ "status": "503|205", "body": "no" }),
                "a response with status 205 has no body, leave `body` out",
            ),
            (
                Protocol::Http,
                json!({ "headers": "retry-after: 5", "retry_after": 2 }),
                "`headers` have a `Retry-After` as well, leave out `retry_after`",
            ),
        ] {
            let error: Error = serde_json::from_value(settings).unwrap();
            assert_eq!(error.check(protocol), Err(why.to_owned()));
        }
        for (protocol, settings) in [
            (Protocol::Memcache, json!({ "kind": "server_error", "message": "no" })),
            (Protocol::Http, json!({ "status": 304, "headers": "ETag: a", "retry_after": 2 })),
            (Protocol::Http, json!({ "inject": true })),
        ] {
            let error: Error = serde_json::from_value(settings).unwrap();
            assert_eq!(error.check(protocol), Ok(()));
        }
    }
}
