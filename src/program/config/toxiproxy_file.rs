//! Toxiproxy's proxies as ours: those of its configuration file, a list in JSON, and those that its clients make.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::spec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::Registry;
use crate::net::host_port::HostPort;
use crate::program::tls::Folder;
use crate::program::toxiproxy_json::json::first;
use crate::program::toxiproxy_json::proxy::{Body, upstream};
use crate::program::toxiproxy_json::{Wrong, listen};
use crate::proxy::config::{ProxyConfig, address_conflicts, check_any_name};

/// Whether a file that begins so is Toxiproxy's. In TOML no value may follow on a bracket at the begin of a line.
pub(super) fn is_list(text: &str) -> bool {
    text.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', ']']))
}

/// What a file of Toxiproxy's says.
pub(crate) struct List {
    pub(crate) proxies: Vec<ProxyConfig>,
    /// What is there and has no effect.
    pub(crate) warnings: Vec<String>,
}

/// Reads the file at `path`, which holds `text`. Fails with all mistakes in it.
pub(super) fn read(path: &Path, text: &str, registry: &Registry) -> Result<List, Diagnostics> {
    let file = path.display().to_string();
    let wrong = |what: String| Diagnostic::new(&file, what);
    let body = first(text.as_bytes()).map_err(|why| wrong(format!("this is no JSON: {why}")))?;
    let bodies = Body::each(&body).map_err(|mistake| wrong(mistake.why()))?;
    let (mut proxies, mut warnings, mut diagnostics) = (Vec::<ProxyConfig>::new(), Vec::new(), Diagnostics::default());
    let mut names = HashSet::new();
    for (number, (body, mistakes)) in (1..).zip(&bodies) {
        let name = if body.name.is_empty() { number.to_string() } else { format!("`{}`", body.name.escape_debug()) };
        let place = format!("{file}: proxy {name}");
        warnings.extend(body.doubts.iter().map(|doubt| format!("{place}: {doubt}")));
        let mut told: Vec<String> = mistakes.iter().map(Wrong::why).collect();
        // What is of the wrong type has been told.
        let is_told = |key: &str| mistakes.iter().any(|one| one.is_of(key));
        if body.name.is_empty() && !is_told("name") && !is_told("") {
            told.push("`name` is missing".to_owned());
        }
        let text = body.upstream.as_deref().unwrap_or_default();
        if text.is_empty() && !is_told("upstream") && !is_told("") {
            told.push("`upstream` is missing, write `\"upstream\": \"HOST:PORT\"`".to_owned());
        } else if !text.is_empty() && upstream(text).port == 0 {
            told.push(format!("upstream: `{}` is no address, write `HOST:PORT`", text.escape_debug()));
        }
        let at = listen::read(body.listen.as_deref().unwrap_or_default());
        let at = at.map_err(|why| told.push(format!("listen: {why}, write `HOST:PORT`"))).ok();
        if let Some(at) = at.filter(|_| told.is_empty()) {
            match proxy(body, &at, registry) {
                Ok(config) => proxies.push(config),
                Err(mistakes) => told.extend(mistakes.iter().map(|one| one.what().to_owned())),
            }
        } else if !body.name.is_empty() {
            told.extend(check_any_name(&body.name).err().map(|wrong| wrong.what().to_owned()));
        }
        if !body.name.is_empty() && !names.insert(&body.name) {
            told.push("another proxy has this name".to_owned());
        }
        diagnostics.extend(told.into_iter().map(|what| Diagnostic::new(&place, what)).collect());
    }
    let listening: Vec<_> = proxies.iter().filter(|proxy| proxy.enabled).collect();
    let conflicts = address_conflicts(&listening);
    diagnostics.extend(conflicts.iter().map(|one| Diagnostic::new(&file, one.what())).collect());
    diagnostics.none_or(List { proxies, warnings })
}

/// The proxy that `body` asks for, which is to listen `at` an address.
pub(crate) fn proxy(body: &Body, at: &HostPort, registry: &Registry) -> Result<ProxyConfig, Diagnostics> {
    let text = body.upstream.as_deref().unwrap_or_default();
    let backend = upstream(text);
    if backend == *at {
        let what = format!("`{at}` is both `upstream` and `listen`, listen somewhere else");
        return Err(Diagnostic::new("", what).into());
    }
    let mut keys = Map::from_iter([("proxy".to_owned(), Value::from(at.to_string()))]);
    // Checked with another backend where this one is no address.
    let known = if backend.port == 0 { HostPort::new("localhost", 1) } else { backend.clone() };
    keys.insert("backend".to_owned(), known.to_string().into());
    if body.enabled == Some(false) {
        keys.insert("enabled".to_owned(), false.into());
    }
    let mut config = spec::check(&body.name, &keys, registry, &Folder::default())?;
    config.is_toxiproxys = true;
    set_backend(&mut config, backend, text);
    if let Some(toxics) = body.toxics.as_ref().filter(|toxics| !toxics.is_empty()) {
        config.set_toxics(toxics.iter().map(|(toxic, _)| toxic.clone()).collect());
    }
    Ok(config)
}

/// Gives the proxy another backend, which was written as `text`. What is no address is shown, and can only be replaced.
pub(crate) fn set_backend(config: &mut ProxyConfig, backend: HostPort, text: &str) {
    config.keys.set("backend", if backend.port == 0 { text.to_owned() } else { backend.to_string() });
    config.backend = backend.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ProxyConfig>, Vec<String>> {
        let read = super::read(Path::new("t.json"), text, &Registry::default());
        read.map(|list| list.proxies).map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn proxies_are_read_with_their_toxics() {
        let text = r#"[{"name":"redis:6379","listen":":0","upstream":"db:1","toxics":[{"type":"latency","attributes":{"latency":5}}]},
                       {"name":"b","upstream":":2","enabled":false}] "#;
        let proxies = read(text).unwrap();
        let shown = |config: &ProxyConfig| (config.listen.to_string(), config.keys.given["backend"].to_string());
        assert_eq!(shown(&proxies[0]), ("[::]:0".to_owned(), "\"db:1\"".to_owned()));
        assert_eq!(shown(&proxies[1]), ("[::]:0".to_owned(), "\"localhost:2\"".to_owned()));
        assert_eq!(proxies[0].toxics[0].to_string(), "latency(latency=5ms)");
        assert!(proxies[0].enabled && !proxies[1].enabled);
        assert!(read("[]").unwrap().is_empty());
    }

    #[test]
    fn all_mistakes_are_told() {
        let text = r#"[{"name":"a","listen":"x","upstream":"b:1"},{"name":"c\n","upstream":"b:1"}]"#;
        assert_eq!(
            read(text).unwrap_err(),
            [
                "t.json: proxy `a`: listen: address x: missing port in address, write `HOST:PORT`",
                "t.json: proxy `c\\n`: invalid proxy name `c\\n`: use 1 to 255 bytes without control characters",
            ]
        );
        assert_eq!(read("[{").unwrap_err(), ["t.json: this is no JSON: unexpected EOF"]);
        let none = ["`name` is missing", "`upstream` is missing, write `\"upstream\": \"HOST:PORT\"`"];
        assert_eq!(read("[{}]").unwrap_err(), none.map(|what| format!("t.json: proxy 1: {what}")));
        let twice = r#"[{"name":"a","listen":"localhost:1","upstream":"b:1"},{"name":"a","listen":"localhost:1","upstream":"b:1"}]"#;
        assert_eq!(read(twice).unwrap_err().len(), 2);
    }

    #[test]
    fn each_mistake_names_its_place_and_what_is_right() {
        let text = r#"[
            {"name": "a", "upstream": "localhost", "enabled": "yes", "toxics": [
                {"type": "latncy", "stream": "up"},
                {"name": "slow", "type": "latency", "attributes": {"latency": 1.5, "jitter": -1}},
                7
            ]},
            "redis",
            {"name": 5, "upstream": "b:1"},
            {"name": "b", "listen": "localhost:1", "upstream": "localhost:1"},
            {"name": "c", "listen": "localhost:2", "upstream": "b:1"},
            {"name": "d", "listen": "localhost:2", "upstream": "b:1"}
        ]"#;
        assert_eq!(
            read(text).unwrap_err(),
            [
                "t.json: proxy `a`: `enabled` is a string, write true or false",
                "t.json: proxy `a`: toxic 1: `up` is neither `upstream` nor `downstream`",
                "t.json: proxy `a`: toxic 1: unknown type `latncy` (known: latency, bandwidth, slow_close, timeout, reset_peer, \
                 slicer, limit_data, loss, corrupt, noop), did you mean `latency`?",
                "t.json: proxy `a`: toxic `slow`: `attributes.latency` is a number 1.5, write a whole number",
                "t.json: proxy `a`: toxic `slow`: jitter: -1 is negative, write 0 or more",
                "t.json: proxy `a`: toxic 3: it is a number, write an object",
                "t.json: proxy `a`: upstream: `localhost` is no address, write `HOST:PORT`",
                "t.json: proxy 2: it is a string, write an object",
                "t.json: proxy 3: `name` is a number, write text in quotes",
                "t.json: proxy `b`: `localhost:1` is both `upstream` and `listen`, listen somewhere else",
                "t.json: `c` and `d` both listen on `localhost:2`, give one another `listen`",
            ]
        );
        assert_eq!(read(r#"{"name":"a"}"#).unwrap_err(), ["t.json: it is an object, write a list"]);
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let text =
            r#"[{"name":"a","listne":":1","upstream":"b:1","toxics":[{"type":"latency","attributes":{"latnecy":5}}]}]"#;
        let list = super::read(Path::new("t.json"), text, &Registry::default()).unwrap();
        assert_eq!(
            list.warnings,
            [
                "t.json: proxy `a`: the key `listne` is unknown and has no effect, did you mean `listen`?",
                "t.json: proxy `a`: toxic `latency_downstream`: the attribute `latnecy` is unknown and has no effect, \
                 did you mean `latency`?",
            ]
        );
    }

    #[test]
    fn a_list_is_told_from_toml() {
        for text in ["[]", " [\n {", "[{\"name\""] {
            assert!(is_list(text), "{text}");
        }
        for text in ["", "[http]", "{", "[\"a\"]", "a = [{}]"] {
            assert!(!is_list(text), "{text}");
        }
    }
}
