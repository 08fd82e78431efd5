//! Rules that can match no call, or whose handlers can do nothing to what they match.

use super::Rule;
use super::matcher::Matcher;
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

/// Why no request of this protocol has such a path.
pub(super) fn impossible(matcher: &Matcher, protocol: Protocol) -> Option<String> {
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
    let Matcher { command, key, .. } = rule.matcher();
    let mut doubts = Vec::new();
    let commands: Vec<String> = command
        .iter()
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
    if matches!(protocol, Protocol::Redis | Protocol::Memcache) && key.is_none() {
        let begins = command.iter().flat_map(Pattern::beginnings);
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
        ] {
            assert_eq!(doubts(&rule(text), protocol), Vec::<String>::new());
        }
    }
}
