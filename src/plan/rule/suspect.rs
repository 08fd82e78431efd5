//! Rules that can match no call, or whose handlers can do nothing to what they match.

use super::Rule;
use super::matcher::{Matcher, Place};
use super::pattern::Pattern;
use crate::diagnostic::did_you_mean;
use crate::protocol::{Mode, Protocol};

/// Methods that servers know (RFC 9110, 5789 and 4918). Others are possible.
const METHODS: [&str; 16] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
];

/// Why no request of this protocol has such a path, or no call of gRPC such a service or method.
pub(super) fn impossible(matcher: &Matcher, protocol: Protocol) -> Option<String> {
    let of_grpc = (protocol == Protocol::Grpc).then(|| no_name(matcher)).flatten();
    of_grpc.or_else(|| no_path(matcher, protocol))
}

/// What of a condition on the service or the method of gRPC has the slashes of a path.
fn no_name(matcher: &Matcher) -> Option<String> {
    let services = matcher.fields.iter().filter(|field| field.place == Place::Service).map(|field| &field.value);
    let mut wrong =
        services.map(|service| ("service", service)).chain(matcher.method.iter().map(|method| ("method", method)));
    let begins = |(what, pattern): (&'static str, &Pattern)| {
        let begins = |(begin, _): (String, bool)| match what {
            // A service may have a prefix, and its own name has a dot.
            "service" => {
                let of_method = |(service, method): (&str, &str)| service.contains('.') && !method.contains('.');
                begin.starts_with('/') || begin.rsplit_once('/').is_some_and(of_method)
            }
            _ => begin.contains('/'),
        };
        pattern.beginnings().into_iter().any(begins).then(|| (what, pattern.text().to_owned()))
    };
    let (what, text) = wrong.find_map(begins)?;
    let bare = text.trim_start_matches('/').trim_end_matches('/');
    let right = match bare.rsplit_once('/') {
        Some((service, method)) => format!("service={service} method={method}"),
        None => format!("{what}={bare}"),
    };
    Some(format!("`{text}` is no {what} of gRPC, write `{right}`"))
}

fn no_path(matcher: &Matcher, protocol: Protocol) -> Option<String> {
    let path = matcher.key.as_ref().filter(|_| protocol.is_http())?;
    let method = matcher.command.as_ref();
    let may_connect = method.is_none_or(|method| method.matches(b"CONNECT"));
    path.beginnings().into_iter().find_map(|(begin, is_all)| {
        // The path of OPTIONS may be `*`, that of CONNECT is a host with its port.
        let is_host = may_connect && !begin.contains('/') && begin.contains([':', '.']);
        if begin.is_empty() || begin.starts_with('/') || begin == "*" || is_host {
            return None;
        }
        let more = if is_all { "" } else { "…" };
        Some(match begin.split_once("://") {
            Some((_, rest)) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let path = if path.is_empty() { "/" } else { path };
                format!("`{begin}{more}` is no path, write `{path}{more}`, and `header.host={host}` for the host")
            }
            None => format!("`{begin}{more}` is no path, write `/{begin}{more}`"),
        })
    })
}

/// What a rule is probably not meant to say, a line each.
pub(crate) fn doubts(rule: &Rule, protocol: Protocol) -> Vec<String> {
    let Matcher { command, key, method: of_grpc, .. } = rule.matcher();
    let command = command.as_ref().filter(|_| protocol != Protocol::Grpc || of_grpc.is_none());
    let mut doubts = Vec::new();
    let commands: Vec<String> = command
        .into_iter()
        .filter_map(Pattern::exact)
        .flatten()
        .map(|command| String::from_utf8_lossy(command).to_uppercase())
        .collect();
    if protocol.is_http() {
        for method in commands.iter().filter(|method| !METHODS.contains(&method.as_str())) {
            let hint = did_you_mean(method, METHODS);
            doubts.extend((!hint.is_empty()).then(|| format!("`{method}` is no method of HTTP{hint}")));
        }
        if let Some(query) = key.as_ref().and_then(Pattern::query) {
            let name = query.split('&').next().filter(|query| query.contains('=')).unwrap_or("NAME=…");
            doubts.push(format!("a path is without its query, which is a condition of its own: write `query.{name}`"));
        }
    }
    if protocol == Protocol::Grpc {
        doubts.extend(of_grpc.as_ref().and_then(method_of_http));
        // Where it looks like a typing mistake, it has been told.
        doubts.extend(command.filter(|_| doubts.is_empty()).and_then(no_method_of_http));
        doubts.extend(key.as_ref().and_then(service_alone));
    }
    if matches!(protocol, Protocol::Redis | Protocol::Memcache) && key.is_none() {
        let begins = command.into_iter().flat_map(Pattern::beginnings);
        let key = begins.map(|(begin, _)| begin).find(|begin| begin.contains(':'));
        doubts.extend(key.map(|key| format!("`{key}…` is in the place of the command, write `* {key}…` for a key")));
    }
    let misses =
        rule.mix().shares().iter().any(|share| share.percent() > 0.0 && share.handlers().any(|name| name == "miss"));
    if misses && !commands.is_empty() && !commands.iter().any(|command| can_miss(command, protocol)) {
        let commands = commands.join(" and ");
        doubts.push(format!("`miss` never acts on {commands}, whose replies cannot say that there is nothing"));
    }
    doubts.into_iter().map(|doubt| format!("`{rule}`: {doubt}")).collect()
}

/// What a condition on the method of gRPC has of HTTP.
fn method_of_http(method: &Pattern) -> Option<String> {
    let exact = method.exact()?;
    let of_http = METHODS.into_iter().find(|of_http| exact.contains(&of_http.as_bytes()))?;
    Some(format!("`method` is that of gRPC, write `{of_http}` as the first word for that of HTTP"))
}

/// What the first word is, if that is no method of HTTP: with gRPC all calls have the same.
fn no_method_of_http(command: &Pattern) -> Option<String> {
    if METHODS.into_iter().any(|method| command.matches(method.as_bytes())) {
        return None;
    }
    let text = command.text();
    let what = if text.contains('.') { "service" } else { "method" };
    Some(format!("`{text}` is compared with the method of HTTP, which is POST with gRPC: write `{what}={text}`"))
}

/// A path that is a service without a method.
fn service_alone(path: &Pattern) -> Option<String> {
    let exact = path.exact()?;
    let is_service = |path: &&&[u8]| path.contains(&b'.') && !path.iter().skip(1).any(|byte| *byte == b'/');
    let service = String::from_utf8_lossy(exact.iter().find(is_service)?).into_owned();
    Some(format!("`{service}` is a service without a method, write `{service}/*`"))
}

/// Whether there is a reply to this command that says that there is nothing.
fn can_miss(command: &str, protocol: Protocol) -> bool {
    let command = if protocol == Protocol::Memcache { command.to_lowercase() } else { command.to_owned() };
    let misses = |head: String| protocol.miss(head.as_bytes(), Mode::default()).is_some();
    protocol.is_http()
        || protocol == Protocol::Tcp
        || misses(format!("{command} a\r\n"))
        || misses(format!("{command} a b\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_that_no_request_has_is_refused() {
        let why = |text: &str| impossible(rule(text).matcher(), Protocol::Http);
        for (text, expected) in [
            ("GET api/pay => error", "`api/pay` is no path, write `/api/pay`"),
            ("path=pay* => error", "`pay…` is no path, write `/pay…`"),
            ("GET /a|b => error", "`b` is no path, write `/b`"),
            ("GET http://x/pay => error", "`http://x/pay` is no path, write `/pay`, and `header.host=x` for the host"),
            ("GET x.org:80 => error", "`x.org:80` is no path, write `/x.org:80`"),
        ] {
            assert_eq!(why(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "GET /pay => error",
            "GET * => error",
            "GET *.png => error",
            "OPTIONS \\* => error",
            "CONNECT x.org:443 => error",
            "path=x.org:443 => error",
            "GET ~pay => error",
        ] {
            assert_eq!(why(text), None, "{text}");
        }
        assert_eq!(impossible(rule("GET user:* => error").matcher(), Protocol::Redis), None);
    }

    #[test]
    fn a_service_or_a_method_with_slashes_is_refused() {
        let why = |text: &str| impossible(rule(text).matcher(), Protocol::Grpc);
        for (text, expected) in [
            ("service=/pkg.Pay* => error", "`/pkg.Pay*` is no service of gRPC, write `service=pkg.Pay*`"),
            (
                "service=/pkg.Pay/Charge => error",
                "`/pkg.Pay/Charge` is no service of gRPC, write `service=pkg.Pay method=Charge`",
            ),
            (
                "service=pkg.Pay/Charge => error",
                "`pkg.Pay/Charge` is no service of gRPC, write `service=pkg.Pay method=Charge`",
            ),
            ("method=pkg.Pay/Ch* => error", "`pkg.Pay/Ch*` is no method of gRPC, write `service=pkg.Pay method=Ch*`"),
            ("method=/Charge => error", "`/Charge` is no method of gRPC, write `method=Charge`"),
            ("POST pkg.Pay/Charge => error", "`pkg.Pay/Charge` is no path, write `/pkg.Pay/Charge`"),
        ] {
            assert_eq!(why(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["service=pkg.Pay method=Ch* => error", "service=v1/pkg.Pay => error", "/pkg.Pay/* => error"] {
            assert_eq!(why(text), None, "{text}");
        }
    }

    #[test]
    fn what_can_hardly_be_meant_is_told() {
        for (text, protocol, expected) in [
            ("PSOT /pay => error", Protocol::Http, "`PSOT` is no method of HTTP, did you mean `POST`?"),
            (
                "GET \"/pay?id=7\" => error",
                Protocol::Http,
                "a path is without its query, which is a condition of its own: write `query.id=7`",
            ),
            ("user:* => error", Protocol::Redis, "`user:…` is in the place of the command, write `* user:…` for a key"),
            (
                "Pay* => error",
                Protocol::Grpc,
                "`Pay*` is compared with the method of HTTP, which is POST with gRPC: write `method=Pay*`",
            ),
            (
                "pkg.Pay* => error",
                Protocol::Grpc,
                "`pkg.Pay*` is compared with the method of HTTP, which is POST with gRPC: write `service=pkg.Pay*`",
            ),
            ("PSOT /a.B/C => error", Protocol::Grpc, "`PSOT` is no method of HTTP, did you mean `POST`?"),
            (
                "method=POST => error",
                Protocol::Grpc,
                "`method` is that of gRPC, write `POST` as the first word for that of HTTP",
            ),
            ("/a.B => error", Protocol::Grpc, "`/a.B` is a service without a method, write `/a.B/*`"),
            (
                "SET x => miss",
                Protocol::Redis,
                "`miss` never acts on SET, whose replies cannot say that there is nothing",
            ),
            (
                "set|add x => 5:miss",
                Protocol::Memcache,
                "`miss` never acts on SET and ADD, whose replies cannot say that there is nothing",
            ),
        ] {
            assert_eq!(doubts(&rule(text), protocol), [format!("`{}`: {expected}", rule(text))]);
        }
        for (text, protocol) in [
            ("PURGE /pay => error", Protocol::Http),
            ("post /p?y => error", Protocol::Http),
            ("GET|SET x => miss", Protocol::Redis),
            ("SPOP|LPOP x => miss", Protocol::Redis),
            ("DEL x => 0:miss", Protocol::Redis),
            ("* x => miss", Protocol::Redis),
            ("mg a => miss", Protocol::Memcache),
            ("POST => miss", Protocol::Http),
            ("POST|GET /a.B/C => error", Protocol::Grpc),
            ("~^P => error", Protocol::Grpc),
            ("/healthz => error", Protocol::Grpc),
            ("service=a.B method=PSOT => error", Protocol::Grpc),
        ] {
            assert_eq!(doubts(&rule(text), protocol), Vec::<String>::new());
        }
    }
}
