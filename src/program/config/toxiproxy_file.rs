//! Toxiproxy's proxies as ours: those of its configuration file, a list in JSON, and those that its clients make.

use std::path::Path;

use serde_json::{Map, Value};

use super::spec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::Registry;
use crate::net::address::Address;
use crate::program::toxiproxy_json::json::first;
use crate::program::toxiproxy_json::proxy::{Body, upstream};
use crate::program::toxiproxy_json::{Wrong, listen};
use crate::proxy::config::{ProxyConfig, address_conflicts};

/// Whether a file that begins so is Toxiproxy's. In TOML no value may follow on a bracket at the begin of a line.
pub(super) fn is_list(text: &str) -> bool {
    text.trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['{', ']']))
}

/// The proxies of the file at `path`, which holds `text`.
pub(super) fn read(path: &Path, text: &str, registry: &Registry) -> Result<Vec<ProxyConfig>, Diagnostics> {
    let file = path.display().to_string();
    let wrong = |what: String| Diagnostic::new(&file, what);
    let told = |mistake: Wrong| match mistake {
        Wrong::Body(why) => wrong(why),
        other => wrong(other.to_string()),
    };
    let body = first(text.as_bytes()).map_err(|why| wrong(format!("this is no JSON: {why}")))?;
    let bodies = Body::read_all(&body).map_err(told)?;
    let (mut proxies, mut diagnostics) = (Vec::<ProxyConfig>::new(), Diagnostics::default());
    for body in &bodies {
        let place = format!("{file}: proxy `{}`", body.name.escape_debug());
        if proxies.iter().any(|known| known.name == body.name) {
            diagnostics.push(Diagnostic::new(&place, "another proxy has this name"));
        }
        match listen::read(body.listen.as_deref().unwrap_or_default()) {
            Ok(at) => match proxy(body, &at, registry) {
                Ok(config) => proxies.push(config),
                Err(mistakes) => {
                    diagnostics.extend(mistakes.iter().map(|one| Diagnostic::new(&place, one.what())).collect());
                }
            },
            Err(why) => diagnostics.push(Diagnostic::new(&place, format_args!("listen: {why}"))),
        }
    }
    let listening: Vec<_> = proxies.iter().filter(|proxy| proxy.enabled).collect();
    let conflicts = address_conflicts(&listening);
    diagnostics.extend(conflicts.iter().map(|one| Diagnostic::new(&file, one.what())).collect());
    diagnostics.none_or(proxies)
}

/// The proxy that `body` asks for, which is to listen `at` an address.
pub(crate) fn proxy(body: &Body, at: &Address, registry: &Registry) -> Result<ProxyConfig, Diagnostics> {
    let text = body.upstream.as_deref().unwrap_or_default();
    let backend = upstream(text);
    let mut keys = Map::from_iter([("proxy".to_owned(), Value::from(at.to_string()))]);
    // Checked with another backend where this one is no address.
    let known = if backend.port == 0 { Address::new("localhost", 1) } else { backend.clone() };
    keys.insert("backend".to_owned(), known.to_string().into());
    if body.enabled == Some(false) {
        keys.insert("enabled".to_owned(), false.into());
    }
    let mut config = spec::check(&body.name, &keys, registry)?;
    set_backend(&mut config, backend, text);
    if let Some(toxics) = body.toxics.as_ref().filter(|toxics| !toxics.is_empty()) {
        config.set_toxics(toxics.iter().map(|(toxic, _)| toxic.clone()).collect());
    }
    Ok(config)
}

/// Gives the proxy another backend, which was written as `text`. What is no address is shown, and can only be replaced.
pub(crate) fn set_backend(config: &mut ProxyConfig, backend: Address, text: &str) {
    config.keys.set("backend", if backend.port == 0 { text.to_owned() } else { backend.to_string() });
    config.backend = backend;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ProxyConfig>, Vec<String>> {
        let read = super::read(Path::new("t.json"), text, &Registry::default());
        read.map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn proxies_are_read_with_their_toxics() {
        let text = r#"[{"name":"redis:6379","listen":":0","upstream":"db:1","toxics":[{"type":"latency","attributes":{"latency":5}}]},
                       {"name":"b","upstream":"nowhere","enabled":false}] "#;
        let proxies = read(text).unwrap();
        let shown = |config: &ProxyConfig| (config.listen.to_string(), config.keys.given["backend"].to_string());
        assert_eq!(shown(&proxies[0]), ("[::]:0".to_owned(), "\"db:1\"".to_owned()));
        assert_eq!(shown(&proxies[1]), ("[::]:0".to_owned(), "\"nowhere\"".to_owned()));
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
                "t.json: proxy `a`: listen: address x: missing port in address",
                "t.json: proxy `c\\n`: invalid proxy name `c\\n`: use 1 to 255 bytes without control characters",
            ]
        );
        assert_eq!(read("[{").unwrap_err(), ["t.json: this is no JSON: unexpected EOF"]);
        assert_eq!(read("[{}]").unwrap_err(), ["t.json: missing required field: name at proxy 1"]);
        let twice = r#"[{"name":"a","listen":"localhost:1","upstream":"b:1"},{"name":"a","listen":"localhost:1","upstream":"b:1"}]"#;
        assert_eq!(read(twice).unwrap_err().len(), 2);
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
