//! Settings of `error` that cannot be what was meant.

use super::Error;
use crate::handler::values::Statuses;
use crate::protocol::{FailureKind, Protocol, grpc, http};

impl Error {
    /// What is wrong with the settings with this protocol.
    pub(super) fn check_settings(&self, protocol: Protocol) -> Result<(), String> {
        if protocol.is_http() {
            return self.check_http(protocol);
        }
        let kinds = || FailureKind::of(protocol).iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        if let Some(name) = self.of_http() {
            let theirs = if name == "grpc" { "grpc" } else { "http" };
            return Err(match kinds() {
                none if none.is_empty() => format!("`{name}` needs the protocol {theirs}, write `--protocol {theirs}`"),
                kinds => format!("`{name}` is for {theirs}, write `kind=…` with {protocol} ({kinds})"),
            });
        }
        let Some(kind) = self.kind else {
            let given = [("message", self.message.is_some()), ("to", self.to.is_some())];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => Err(format!("`{name}` needs a kind, write `kind=…`")),
                None => Ok(()),
            };
        };
        match protocol {
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

    /// What is wrong with the settings of HTTP, in which gRPC is spoken as well.
    fn check_http(&self, protocol: Protocol) -> Result<(), String> {
        if let Some(kind) = self.kind {
            let right = if protocol == Protocol::Grpc { "grpc=UNAVAILABLE" } else { "status=503" };
            return Err(format!("`kind={kind}` is for redis and memcache, write `{right}` with {protocol}"));
        }
        if self.to.is_some() {
            return Err("`to` is for redis, leave it out".to_owned());
        }
        if self.fails_grpc(protocol) {
            return self.check_grpc();
        }
        if self.message.is_some() {
            return Err("`message` is not for a response of HTTP, write `body=…`, or add `grpc=UNAVAILABLE`".to_owned());
        }
        if self.of_http().is_some() { self.check_response() } else { Ok(()) }
    }

    /// What is wrong with the settings of gRPC.
    fn check_grpc(&self) -> Result<(), String> {
        if self.status.is_some() {
            return Err("`grpc` and `status` exclude each other: gRPC has statuses of its own".to_owned());
        }
        if self.body.is_some() {
            return Err("`body` needs a `status` of HTTP, write `message=…` for the text of gRPC".to_owned());
        }
        if let Some(time) = self.retry_after {
            let milliseconds = time.duration().as_millis();
            let right = format!("headers=\"grpc-retry-pushback-ms: {milliseconds}\"");
            return Err(format!("`retry_after` needs a `status` of HTTP, write `{right}` for clients of gRPC"));
        }
        if let Some(own) = grpc::OWN.into_iter().find(|own| self.headers.as_ref().is_some_and(|all| all.has(own))) {
            let right = if own == "grpc-status" { "grpc=UNAVAILABLE" } else { "message=…" };
            return Err(format!("`headers` have a `{own}`, write `{right}`"));
        }
        if self.inject && self.grpc.is_some() {
            return Err("`inject` and `grpc` exclude each other: one inserts bytes, the other answers".to_owned());
        }
        Ok(())
    }

    /// What is wrong with the settings of a response.
    fn check_response(&self) -> Result<(), String> {
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
            ("grpc", self.grpc.is_some()),
            ("status", self.status.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
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
            (Protocol::Tcp, json!({ "grpc": 14 }), "`grpc` needs the protocol grpc, write `--protocol grpc`"),
            (
                Protocol::Memcache,
                json!({ "grpc": "UNAVAILABLE" }),
                "`grpc` is for grpc, write `kind=…` with memcache (server_error, client_error, error, oom, busy)",
            ),
            (
                Protocol::Http,
                json!({ "grpc": 14, "status": 503 }),
                "`grpc` and `status` exclude each other: gRPC has statuses of its own",
            ),
            (
                Protocol::Grpc,
                json!({ "body": "no" }),
                "`body` needs a `status` of HTTP, write `message=…` for the text of gRPC",
            ),
            (
                Protocol::Grpc,
                json!({ "retry_after": "1.5s" }),
                "`retry_after` needs a `status` of HTTP, write `headers=\"grpc-retry-pushback-ms: 1500\"` for clients of gRPC",
            ),
            (
                Protocol::Grpc,
                json!({ "headers": "gRPC-Status: 5" }),
                "`headers` have a `grpc-status`, write `grpc=UNAVAILABLE`",
            ),
            (
                Protocol::Http,
                json!({ "grpc": 5, "headers": "grpc-message: no" }),
                "`headers` have a `grpc-message`, write `message=…`",
            ),
            (
                Protocol::Grpc,
                json!({ "grpc": "INTERNAL", "inject": true }),
                "`inject` and `grpc` exclude each other: one inserts bytes, the other answers",
            ),
            (
                Protocol::Grpc,
                json!({ "kind": "busy", "grpc": 14 }),
                "`kind=busy` is for redis and memcache, write `grpc=UNAVAILABLE` with grpc",
            ),
            (Protocol::Grpc, json!({ "to": "a:1" }), "`to` is for redis, leave it out"),
            (
                Protocol::Grpc,
                json!({ "status": 503, "message": "no" }),
                "`message` is not for a response of HTTP, write `body=…`, or add `grpc=UNAVAILABLE`",
            ),
        ] {
            let error: Error = serde_json::from_value(settings).unwrap();
            assert_eq!(error.check_settings(protocol), Err(why.to_owned()));
        }
        for (protocol, settings) in [
            (Protocol::Memcache, json!({ "kind": "server_error", "message": "no" })),
            (Protocol::Http, json!({ "status": 304, "headers": "ETag: a", "retry_after": 2 })),
            (Protocol::Http, json!({ "inject": true })),
            (Protocol::Http, json!({ "grpc": 14, "message": "no", "headers": "grpc-retry-pushback-ms: 20" })),
            (Protocol::Grpc, json!({ "message": "no" })),
            (Protocol::Grpc, json!({ "status": 503, "retry_after": 1, "body": "no" })),
            (Protocol::Grpc, json!({ "inject": true })),
        ] {
            let error: Error = serde_json::from_value(settings).unwrap();
            assert_eq!(error.check_settings(protocol), Ok(()));
        }
    }
}
