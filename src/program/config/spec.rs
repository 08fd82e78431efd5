//! A proxy as it was asked for, in JSON: what the HTTP API takes and gives.

use serde_json::{Map, Value};

use super::options::{Options, Scope, Setting};
use super::proxy::{self, Origin};
use super::tree::Key;
use super::values::All;
use super::walk::{HANDLERS, Walk};
use crate::diagnostic::Diagnostics;
use crate::handler::Registry;
use crate::plan::mix::Mix;
use crate::proxy::config::{ProxyConfig, check_name};
use crate::proxy::set::Edit;

/// A proxy as it was asked for: the file's keys, and only those that were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spec(Map<String, Value>);

impl Spec {
    pub(crate) fn new(keys: Map<String, Value>) -> Self {
        Self(keys)
    }

    pub(crate) fn into_keys(self) -> Map<String, Value> {
        self.0
    }

    /// The change of a proxy that `patch` asks for.
    pub(crate) fn edit(patch: Map<String, Value>, registry: &Registry) -> Edit {
        let (keys, registry) = (patch.keys().cloned().collect(), registry.clone());
        let apply = move |before: &ProxyConfig| {
            Self(before.keys.given.clone()).patched(&patch, &registry).check(&before.name, &registry)
        };
        Edit { keys, apply: Box::new(apply) }
    }

    /// RFC 7396: keys of `patch` replace, `null` takes back to the default, `handlers` is merged handler by handler and
    /// setting by setting. A `null` for what is no key stays, to be told.
    pub(crate) fn patched(&self, patch: &Map<String, Value>, registry: &Registry) -> Self {
        let options = Options::new(registry);
        let is_key = |path: &[&str]| match path {
            [HANDLERS] => true,
            [key] => options.find(&[Scope::Proxy], key).is_ok(),
            [HANDLERS, handler] => registry.get(handler).is_some(),
            [HANDLERS, handler, key] => options.find(&[Scope::Handler((*handler).to_owned())], key).is_ok(),
            _ => false,
        };
        let mut keys = self.0.clone();
        merge(&mut keys, patch, &[], &is_key);
        Self(keys)
    }

    /// Checks all of it, as the file is checked. The mistakes' places are key paths: `handlers.delay.sleep`.
    pub(crate) fn check(&self, name: &str, registry: &Registry) -> Result<ProxyConfig, Diagnostics> {
        let mut mistakes = Diagnostics::default();
        if let Err(mistake) = check_name(name) {
            mistakes.push(mistake);
        }
        let options = Options::new(registry);
        let walk = Walk::proxy(&options, name, "", &Key::of_json(&self.0));
        let mut all = All::check(&options, walk.keys, &mut mistakes);
        let config = proxy::config(name, &mut all.of(name), &Origin::Api, &mut mistakes)?;
        mistakes.none_or(config)
    }

    /// Every key with its value or default: of `handlers`, all settings of those in the mix, and what was given for others.
    pub(crate) fn complete(&self, registry: &Registry) -> Map<String, Value> {
        let options = Options::new(registry);
        let value = |given: Option<&Map<String, Value>>, setting: &Setting<'_>| {
            let given = given.and_then(|given| given.get(&setting.field.name));
            given.map(|value| setting.field.canonical(value))
        };
        let mut all: Map<String, Value> = Map::new();
        for setting in options.of(&Scope::Proxy) {
            let value = value(Some(&self.0), &setting).unwrap_or_else(|| setting.field.default.clone());
            all.insert(setting.field.name.clone(), value);
        }
        let mix = all.get("handler").and_then(Value::as_str).and_then(|text| Mix::parse(text, registry).ok());
        if let Some(mix) = &mix {
            all.insert("handler".to_owned(), mix.to_string().into());
        }
        let given = self.0.get(HANDLERS).and_then(Value::as_object);
        let mut handlers = Map::new();
        for name in registry.names() {
            let given = given.and_then(|handlers| handlers.get(name)).and_then(Value::as_object);
            let in_mix = mix.iter().flat_map(Mix::shares).any(|share| share.name() == name);
            let settings = options.of(&Scope::Handler(name.to_owned()));
            // An option of the connection that nobody gave is the proxy's.
            let default = |setting: &Setting<'_>| (in_mix && !setting.inherited).then(|| setting.field.default.clone());
            let settings = settings.iter().filter_map(|setting| {
                let value = value(given, setting).or_else(|| default(setting))?;
                Some((setting.field.name.clone(), value))
            });
            let settings: Map<_, _> = settings.collect();
            if !settings.is_empty() {
                handlers.insert(name.to_owned(), Value::Object(settings));
            }
        }
        all.insert(HANDLERS.to_owned(), Value::Object(handlers));
        all
    }
}

/// Merges `patch`, which is found under `within`.
fn merge(
    keys: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    within: &[&str],
    is_key: &impl Fn(&[&str]) -> bool,
) {
    for (name, value) in patch {
        let there = [within, &[name.as_str()]].concat();
        match value {
            Value::Null if is_key(&there) => {
                keys.remove(name);
            }
            Value::Object(patch) => {
                let into = keys.entry(name).or_insert(Value::Null);
                if !into.is_object() {
                    *into = Value::Object(Map::new());
                }
                if let Value::Object(into) = into {
                    merge(into, patch, &there, is_key);
                }
            }
            value => {
                keys.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::proxy::config::{Keys, address_conflicts};

    fn spec(keys: &Value) -> Spec {
        Spec::new(keys.as_object().unwrap().clone())
    }

    fn check(spec: &Spec) -> Result<ProxyConfig, Vec<String>> {
        let checked = spec.check("cache", &Registry::default());
        checked.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn patched(spec: &Spec, patch: &Value) -> Spec {
        spec.patched(patch.as_object().unwrap(), &Registry::default())
    }

    fn complete(spec: &Spec) -> Value {
        Value::Object(spec.complete(&Registry::default()))
    }

    #[test]
    fn a_proxy_is_what_its_keys_say() {
        let keys = json!({
            "backend": "localhost:6379", "handler": "20:delay", "pool_timeout": "500ms", "enabled": false,
            "handlers": { "delay": { "sleep": 0.25, "protocol": "redis" } },
        });
        let config = check(&spec(&keys)).unwrap();
        assert_eq!((config.name.as_str(), config.enabled), ("cache", false));
        assert_eq!((config.backend.to_string(), config.mix.to_string()), ("localhost:6379".into(), "20:delay".into()));
        assert_eq!(config.pool_timeout, Duration::from_millis(500));
        assert_eq!(config.protocol.name(), "redis", "the handler's option is the proxy's");
        assert_eq!(Spec(config.keys.given), spec(&keys), "but it was not given for the proxy");
    }

    #[test]
    fn all_mistakes_are_told_with_their_paths() {
        let keys = json!({
            "proxy": "localhost", "bakend": "a:1", "handler": "20:delya", "buffer": 0, "seed": 1, "pool_size": null,
            "handlers": { "delay": { "sleep": -1, "slep": 1 }, "delya": {}, "error": 5 },
        });
        let mut lines = check(&spec(&keys)).unwrap_err();
        lines.sort();
        let known = "(known: blackout, delay, dummy, error, hang), did you mean `delay`?";
        assert_eq!(
            lines,
            [
                "backend: the backend is missing, give `HOST:PORT`",
                "bakend: unknown key `bakend`, did you mean `backend`?",
                "buffer: `0` is too small, a read takes 1 to 262144 bytes",
                &format!("handler: unknown handler `delya` {known}"),
                "handlers.delay.sleep: `-1` is negative, a time is 0 or more",
                "handlers.delay.slep: unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?",
                &format!("handlers.delya: unknown handler `delya` {known}"),
                "handlers.error: `handlers.error` is `5`, write a table, `[handlers.error]`",
                "pool_size: `null` is not a whole number of connections, 0 or more",
                "proxy: `localhost` has no port, write `localhost:PORT`",
                "seed: unknown key `seed` (known: proxy, backend, handler, protocol, buffer, keep_alive, reuse_socket, \
                 pool_size, pool_timeout, connect_timeout, enabled, handlers)",
            ]
        );
        assert_eq!(
            check(&spec(&json!({ "backend": "localhost:8000" }))).unwrap_err(),
            ["proxy: `localhost:8000` is both `backend` and `proxy`, listen somewhere else"]
        );
        assert_eq!(check(&spec(&json!({ "backend": null }))).unwrap_err().len(), 1);
        let nameless = spec(&json!({ "backend": "a:1" })).check("a b", &Registry::default()).unwrap_err();
        assert!(nameless.to_string().starts_with("`a b` cannot be a proxy's name"), "{nameless}");
    }

    #[test]
    fn a_patch_replaces_what_it_names() {
        let before = spec(&json!({
            "backend": "a:1", "buffer": 5, "handler": "delay",
            "handlers": { "delay": { "sleep": 2, "before": false }, "error": { "warmup": 3 } },
        }));
        let patch = json!({
            "backend": "b:1", "buffer": null, "keep_alive": true, "pool_size": null,
            "handlers": { "delay": { "before": null, "protocol": "http" }, "error": null, "hang": {} },
        });
        let after = patched(&before, &patch);
        let keys = json!({
            "backend": "b:1", "handler": "delay", "keep_alive": true,
            "handlers": { "delay": { "sleep": 2, "protocol": "http" }, "hang": {} },
        });
        assert_eq!(after, spec(&keys));
        assert_eq!(patched(&before, &json!({})), before);
        let plain = patched(&after, &json!({ "handlers": null }));
        assert_eq!(plain, spec(&json!({ "backend": "b:1", "handler": "delay", "keep_alive": true })));
        // What belongs nowhere is there to be told.
        let wrong = patched(&before, &json!({ "handlers": 5 }));
        assert_eq!(check(&wrong).unwrap_err().len(), 1);
        let unknown = json!({ "bufer": null, "handlers": { "delay": { "slep": null }, "x": null } });
        assert_eq!(check(&patched(&before, &unknown)).unwrap_err().len(), 3);
    }

    #[test]
    fn complete_has_every_key_and_is_the_same_proxy() {
        let given = spec(&json!({
            "backend": "a:1", "handler": "20:delay, 5:error", "connect_timeout": "1500ms", "protocol": "memache",
            "handlers": { "delay": { "sleep": "250ms", "protocol": "http" }, "dummy": { "buffer": 9 }, "hang": {} },
        }));
        let all = complete(&given);
        assert_eq!(
            all,
            json!({
                "proxy": "localhost:8000", "backend": "a:1", "handler": "20:delay,5:error", "protocol": "memcache",
                "buffer": null, "keep_alive": false, "reuse_socket": false, "pool_size": 100, "pool_timeout": 30,
                "connect_timeout": 1.5, "enabled": true,
                "handlers": {
                    "delay": { "sleep": 0.25, "before": true, "protocol": "http" },
                    "dummy": { "buffer": 9 },
                    "error": { "inject": false, "warmup": 0 },
                },
            })
        );
        let again = spec(&all);
        assert_eq!(complete(&again), all);
        let [before, after] = [&given, &again].map(|spec| {
            let config = check(spec).unwrap();
            format!("{:?}", ProxyConfig { keys: Keys::default(), ..config })
        });
        assert_eq!(before, after);
        assert_eq!(complete(&spec(&json!({ "backend": "a:1" })))["handlers"], json!({}));
    }

    #[test]
    fn what_a_program_configures_itself_can_be_read_again() {
        let config = ProxyConfig::new("127.0.0.1:0", "[::1]:6379").unwrap();
        assert_eq!(Spec(config.keys.given.clone()), spec(&json!({ "proxy": "127.0.0.1:0", "backend": "[::1]:6379" })));
        assert_eq!(check(&Spec(config.keys.given)).unwrap().listen, config.listen);
    }

    #[test]
    fn proxies_that_listen_on_one_address_are_told() {
        let proxy = |listen: &str, name| {
            let keys = json!({ "backend": "a:1", "proxy": listen });
            spec(&keys).check(name, &Registry::default()).unwrap()
        };
        let [one, other, free] = [proxy("db:1", "one"), proxy("DB:1", "other"), proxy("db:0", "free")];
        assert_eq!(
            address_conflicts(&[&one, &free, &other, &free]).to_string(),
            "proxy: `one` and `other` both listen on `DB:1`, give one another `proxy`"
        );
        assert_eq!(address_conflicts(&[&one, &free]), Diagnostics::default());
    }
}
