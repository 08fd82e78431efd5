//! A proxy in JSON: what the HTTP API takes and gives.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::entry;
use super::layout::Layout;
use super::proxy;
use super::schema::{HANDLERS, PROXY_TABLES, Schema};
use super::tls::{Files, Source};
use super::values::Values;
use crate::diagnostic::Diagnostics;
use crate::handler::Registry;
use crate::plan::mix::Mix;
use crate::plan::rule::parse::ParsedRule;
use crate::program::tls::Folder;
use crate::proxy::config::{ProxyConfig, check_any_name};
use crate::proxy::set::{Edit, Rebuild};

/// The proxy that `keys` ask for, checked as the file is. Places of diagnostics are paths: `handlers.delay.sleep`. `authority` is
/// where that of `tls.auto` is kept.
pub(crate) fn check(
    name: &str,
    keys: &Map<String, Value>,
    registry: &Registry,
    authority: &Folder,
) -> Result<ProxyConfig, Diagnostics> {
    checked(name, keys, registry, false, Source::Files(&Files::new(authority.clone())))
}

/// `may_hide`: a rule may take all calls of a later one.
fn checked(
    name: &str,
    keys: &Map<String, Value>,
    registry: &Registry,
    may_hide: bool,
    source: Source<'_>,
) -> Result<ProxyConfig, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    if let Err(diagnostic) = check_any_name(name) {
        diagnostics.push(diagnostic);
    }
    let schema = Schema::new(registry);
    let values = Values::check(&schema, &Layout::Json, &entry::of_json(keys, &[]), &mut diagnostics);
    let config = proxy::one(&values, name, "", false, may_hide, source, &mut diagnostics)?;
    diagnostics.none_or(config)
}

/// The change of a proxy that `patch` asks for.
pub(crate) fn edit(patch: Map<String, Value>, registry: &Registry, authority: &Folder) -> Edit {
    let (keys, registry, authority) = (patch.keys().cloned().collect(), registry.clone(), authority.clone());
    let names_certificates = PROXY_TABLES.iter().any(|table| patch.contains_key(*table));
    let apply = move |before: &ProxyConfig| {
        // Rules that the patch leaves alone may be there for a time.
        let keys = patched(&before.keys.given, &patch, &Schema::new(&registry));
        let files = Files::new(authority.clone());
        let source = if names_certificates { Source::Files(&files) } else { Source::Kept(before) };
        let after = checked(&before.name, &keys, &registry, !patch.contains_key("rules"), source)?;
        Ok(ProxyConfig { is_toxiproxys: before.is_toxiproxys, ..after })
    };
    Edit { keys, apply: Box::new(apply) }
}

/// A proxy with other rules, of which one may take all calls of a later one.
pub(crate) fn rebuild(registry: &Registry) -> Rebuild {
    let registry = registry.clone();
    Arc::new(move |before: &ProxyConfig, rules: Vec<String>| {
        let mut keys = before.keys.given.clone();
        if rules.is_empty() {
            keys.remove("rules");
        } else {
            keys.insert("rules".to_owned(), rules.into());
        }
        let after = checked(&before.name, &keys, &registry, true, Source::Kept(before))?;
        Ok(ProxyConfig { is_toxiproxys: before.is_toxiproxys, ..after })
    })
}

/// `keys` with `patch` merged into them as RFC 7396 says: keys of `patch` replace, `null` takes back to the default, tables are
/// merged. A `null` for an unknown key stays, so that it is reported.
fn patched(keys: &Map<String, Value>, patch: &Map<String, Value>, schema: &Schema<'_>) -> Map<String, Value> {
    let is_known = |keys: &[&str]| match keys {
        [HANDLERS] => true,
        [table] if PROXY_TABLES.contains(table) => true,
        [HANDLERS, handler] => schema.registry.get(handler).is_some(),
        key => schema.get(key).is_some_and(|setting| setting.per_proxy),
    };
    let mut keys = keys.clone();
    merge(&mut keys, patch, &[], &is_known);
    keys
}

/// Merges `patch`, which is found under `within`.
fn merge(
    keys: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    within: &[&str],
    is_known: &impl Fn(&[&str]) -> bool,
) {
    for (name, value) in patch {
        let at = [within, &[name.as_str()]].concat();
        match value {
            Value::Null if is_known(&at) => {
                keys.remove(name);
            }
            Value::Object(patch) => {
                let into = keys.entry(name).or_insert(Value::Null);
                if !into.is_object() {
                    *into = Value::Object(Map::new());
                }
                if let Value::Object(into) = into {
                    merge(into, patch, &at, is_known);
                }
            }
            value => {
                keys.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Every key with its value or default: of `handlers`, all settings of those in the mix and in rules, and what was given for others.
pub(super) fn complete(given: &Map<String, Value>, schema: &Schema<'_>) -> Map<String, Value> {
    let text = given.get("handler").and_then(Value::as_str).unwrap_or("dummy");
    let mix = Mix::parse(text, schema.registry).ok();
    let rules = given.get("rules").and_then(|given| Some(schema.get(&["rules"])?.field.canonical(given)));
    let texts = rules.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let rules: Vec<ParsedRule> = texts.filter_map(|text| ParsedRule::parse(text, schema.registry).ok()).collect();
    let in_rules = |name| rules.iter().flat_map(ParsedRule::handlers).any(|handler| handler.name == name);
    let in_mix = |name| {
        mix.iter().flat_map(Mix::shares).any(|share| share.handlers().any(|handler| handler == name)) || in_rules(name)
    };
    let (given, mut all) = (Value::Object(given.clone()), json!({}));
    for setting in schema.all().filter(|setting| setting.per_proxy) {
        // An option of the connection that nobody gave for a handler is the proxy's.
        let has_default = match setting.path.split('.').collect::<Vec<_>>()[..] {
            [HANDLERS, handler, _] => !setting.inherited && in_mix(handler),
            _ => true,
        };
        let value = given.pointer(&format!("/{}", setting.path.replace('.', "/")));
        let value = value.map(|value| setting.field.canonical(value));
        if let Some(value) = value.or_else(|| has_default.then(|| setting.field.default.clone())) {
            setting.put(&mut all, value);
        }
    }
    let mut all = all.as_object().cloned().unwrap_or_default();
    if let Some(mix) = &mix {
        all.insert("handler".to_owned(), mix.to_string().into());
    }
    all.entry(HANDLERS).or_insert_with(|| json!({}));
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proxy::config::{Keys, address_conflicts};

    fn keys(keys: &Value) -> Map<String, Value> {
        keys.as_object().unwrap().clone()
    }

    fn check(keys: &Value) -> Result<ProxyConfig, Vec<String>> {
        let checked = super::check("cache", keys.as_object().unwrap(), &Registry::default(), &Folder::default());
        checked.map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect())
    }

    fn patched(before: &Value, patch: &Value) -> Value {
        super::patched(&keys(before), &keys(patch), &Schema::new(&Registry::default())).into()
    }

    fn complete(given: &Value) -> Value {
        super::complete(&keys(given), &Schema::new(&Registry::default())).into()
    }

    #[test]
    fn a_proxy_is_what_its_keys_say() {
        let asked = json!({
            "backend": "localhost:6379", "handler": "20:delay", "pool_timeout": "500ms", "enabled": false,
            "handlers": { "delay": { "sleep": 0.25, "protocol": "redis" } },
        });
        let config = check(&asked).unwrap();
        assert_eq!((config.name.as_str(), config.enabled), ("cache", false));
        assert_eq!((config.backend.to_string(), config.mix.to_string()), ("localhost:6379".into(), "20:delay".into()));
        assert_eq!(config.pool_timeout, Duration::from_millis(500));
        assert_eq!(config.protocol.name(), "redis", "the handler's option is the proxy's");
        assert_eq!(Value::Object(config.keys.given), asked, "but it was not given for the proxy");
    }

    #[test]
    fn all_mistakes_are_told_with_their_paths() {
        let keys = json!({
            "proxy": "localhost", "bakend": "a:1", "handler": "20:delya", "buffer": 0, "seed": 1, "pool_size": null,
            "handlers": { "delay": { "sleep": -1, "slep": 1 }, "delya": {}, "error": 5 },
        });
        let mut lines = check(&keys).unwrap_err();
        lines.sort();
        let known = "(known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient), did you mean `delay`?";
        assert_eq!(
            lines,
            [
                "backend: the backend is missing, give `HOST:PORT`",
                "bakend: unknown key `bakend`, did you mean `backend`?",
                "buffer: `0` is too small, a read takes 1 to 262144 bytes",
                &format!("handler: unknown handler `delya` {known}"),
                "handlers.delay.sleep: invalid duration `-1`: it is negative, write 0 or more",
                "handlers.delay.slep: unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?",
                &format!("handlers.delya: unknown handler `delya` {known}"),
                "handlers.error: `handlers.error` is `5`, write a table, `[handlers.error]`",
                "pool_size: `null` is not a whole number of connections, 0 or more",
                "proxy: `localhost` has no port, write `localhost:PORT`",
                "seed: unknown key `seed` (known: proxy, backend, handler, rules, toxics, profile, protocol, buffer, keep_alive, reuse_socket, \
                 pool_size, pool_timeout, connect_timeout, head_timeout, max_head, rewrite_host, shape_buffer, enabled, handlers, tls, backend_tls)",
            ]
        );
        assert_eq!(
            check(&json!({ "backend": "localhost:8000" })).unwrap_err(),
            ["proxy: `localhost:8000` is both `backend` and `proxy`, listen somewhere else"]
        );
        assert_eq!(check(&json!({ "backend": null })).unwrap_err().len(), 1);
        let nameless =
            super::check("a\nb", &self::keys(&json!({ "backend": "a:1" })), &Registry::default(), &Folder::default())
                .unwrap_err();
        assert!(nameless.to_string().starts_with("invalid proxy name"), "{nameless}");
    }

    #[test]
    fn a_patch_replaces_what_it_names() {
        let before = json!({
            "backend": "a:1", "buffer": 5, "handler": "delay",
            "handlers": { "delay": { "sleep": 2, "before": false }, "error": { "warmup": 3 } },
        });
        let patch = json!({
            "backend": "b:1", "buffer": null, "keep_alive": true, "pool_size": null,
            "handlers": { "delay": { "before": null, "protocol": "http" }, "error": null, "hang": {} },
        });
        let after = patched(&before, &patch);
        let keys = json!({
            "backend": "b:1", "handler": "delay", "keep_alive": true,
            "handlers": { "delay": { "sleep": 2, "protocol": "http" }, "hang": {} },
        });
        assert_eq!(after, keys);
        assert_eq!(patched(&before, &json!({})), before);
        let plain = patched(&after, &json!({ "handlers": null }));
        assert_eq!(plain, json!({ "backend": "b:1", "handler": "delay", "keep_alive": true }));
        // What belongs nowhere stays, so that it is reported.
        let wrong = patched(&before, &json!({ "handlers": 5 }));
        assert_eq!(check(&wrong).unwrap_err().len(), 1);
        let unknown = json!({ "bufer": null, "handlers": { "delay": { "slep": null }, "x": null } });
        assert_eq!(check(&patched(&before, &unknown)).unwrap_err().len(), 3);
    }

    #[test]
    fn complete_has_every_key_and_is_the_same_proxy() {
        let given = json!({
            "backend": "a:1", "handler": "20:delay, 5:error", "connect_timeout": "1500ms", "protocol": "memache",
            "handlers": { "delay": { "sleep": "250ms", "protocol": "http" }, "dummy": { "buffer": 9 }, "hang": {} },
        });
        let all = complete(&given);
        assert_eq!(
            all,
            json!({
                "proxy": "localhost:8000", "backend": "a:1", "handler": "20:delay,5:error", "protocol": "memcache",
                "rules": [], "toxics": [], "profile": null, "buffer": null, "keep_alive": false, "reuse_socket": false, "pool_size": 100, "pool_timeout": 30,
                "connect_timeout": 1.5, "head_timeout": 5, "max_head": 65536, "rewrite_host": false, "shape_buffer": "64MiB", "enabled": true,
                "tls": { "auto": false, "cert": null, "key": null },
                "backend_tls": { "enabled": false, "ca": null, "name": null, "cert": null, "key": null, "insecure": false },
                "handlers": {
                    "delay": { "sleep": 0.25, "before": true, "protocol": "http" },
                    "dummy": { "buffer": 9 },
                    "error": {
                        "inject": false, "warmup": 0, "kind": null, "message": null, "to": null, "grpc": null, "status": null,
                        "retry_after": null, "headers": null, "body": null,
                    },
                },
            })
        );
        assert_eq!(complete(&all), all);
        let [before, after] = [&given, &all].map(|keys| {
            let config = check(keys).unwrap();
            format!("{:?}", ProxyConfig { keys: Keys::default(), ..config })
        });
        assert_eq!(before, after);
        assert_eq!(complete(&json!({ "backend": "a:1" }))["handlers"], json!({}));
    }

    #[test]
    fn what_a_program_configures_itself_can_be_read_again() {
        let config = ProxyConfig::new("127.0.0.1:0", "[::1]:6379").unwrap();
        let given = Value::Object(config.keys.given);
        assert_eq!(given, json!({ "proxy": "127.0.0.1:0", "backend": "[::1]:6379" }));
        assert_eq!(check(&given).unwrap().listen, config.listen);
    }

    #[test]
    fn proxies_that_listen_on_one_address_are_told() {
        let proxy = |listen: &str, name| {
            let asked = json!({ "backend": "a:1", "proxy": listen });
            super::check(name, &keys(&asked), &Registry::default(), &Folder::default()).unwrap()
        };
        let [one, other, free] = [proxy("db:1", "one"), proxy("DB:1", "other"), proxy("db:0", "free")];
        assert_eq!(
            address_conflicts(&[&one, &free, &other, &free]).to_string(),
            "proxy: `one` and `other` both listen on `DB:1`, give one another `proxy`"
        );
        assert_eq!(address_conflicts(&[&one, &free]), Diagnostics::default());
    }

    #[test]
    fn proxies_whose_backends_lead_back_are_told() {
        let proxy = |name, listen: &str, backend: &str| {
            let asked = json!({ "backend": backend, "proxy": listen });
            super::check(name, &keys(&asked), &Registry::default(), &Folder::default()).unwrap()
        };
        let [one, two] = [proxy("one", "localhost:1", "127.0.0.1:2"), proxy("two", "0.0.0.0:2", "[::1]:3")];
        let [three, out] = [proxy("three", "[::1]:3", "LOCALHOST:1"), proxy("out", "[::1]:3", "db:1")];
        let into = proxy("into", "localhost:4", "localhost:1");
        let why = "backend: the backends of `three`, `one`, `two` lead back to `three`";
        assert_eq!(address_conflicts(&[&into, &one, &two, &three]).to_string(), why);
        assert_eq!(
            address_conflicts(&[&one, &two, &three, &into]).to_string(),
            "backend: the backends of `three`, `one`, `two` lead back to `three`"
        );
        assert_eq!(address_conflicts(&[&into, &one, &two, &out]), Diagnostics::default());
    }
}
