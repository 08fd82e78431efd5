//! The original vaurien's HTTP contract: reads and changes the handler of one proxy.

use std::sync::Arc;

use axum::Json;
use axum::extract::{MatchedPath, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{Answer, Failure, Fault, Location};
use super::read::{self, Body};
use super::v1::take_duration;
use crate::handler::Registry;
use crate::plan::parse::{MixError, ParsedMix};
use crate::program::config::schema::Schema;
use crate::proxy::Proxy;

/// The contract's word for a handler, which is its path: `behavior`, which most scripts use, or `handler`, its first one.
fn word(path: &MatchedPath) -> &str {
    path.as_str().trim_start_matches('/')
}

pub(super) async fn mix(State(api): State<Arc<Api>>, path: MatchedPath) -> Answer {
    Ok(Json(json!({ word(&path): only_proxy(&api)?.config().mix.to_string() })))
}

pub(super) async fn names(State(api): State<Arc<Api>>, path: MatchedPath) -> Json<Value> {
    let mut names: Vec<&str> = api.registry.names().collect();
    names.sort_unstable();
    Json(json!({ word(&path): names }))
}

pub(super) async fn backend(State(api): State<Arc<Api>>) -> Answer {
    Ok(Json(json!({ "backend": only_proxy(&api)?.config().backend })))
}

pub(super) async fn put_backend(State(api): State<Arc<Api>>, Body(body): Body) -> Answer {
    let proxy = only_proxy(&api)?;
    let mut keys = object(&body)?;
    let backend = keys.remove("backend").ok_or_else(|| missing("backend"))?;
    if let Some(other) = keys.keys().next() {
        return Err(Failure::body(other, format!("unknown key `{other}` (known: backend)")));
    }
    let keys = Map::from_iter([("backend".to_owned(), backend)]);
    api.proxies.patch(proxy.name(), api.edit(keys), None).await?;
    Ok(done())
}

pub(super) async fn put_mix(State(api): State<Arc<Api>>, path: MatchedPath, Body(body): Body) -> Answer {
    let proxy = only_proxy(&api)?;
    let mut keys = object(&body)?;
    let name = match keys.remove("name") {
        Some(Value::String(name)) => name,
        Some(other) => {
            let what = format!("`{other}` is no {}, write `\"delay\"` or `\"20:delay,5:error\"`", word(&path));
            return Err(Failure::body("name", what));
        }
        None => return Err(missing("name")),
    };
    let duration = take_duration(&mut keys)?;
    let handlers = handlers_of(&api.registry, word(&path), &name)?;
    let settings = settings(keys, &handlers)?;
    let schema = Schema::new(&api.registry);
    let tables = settings.into_iter().map(|(handler, given)| {
        // A merge keeps what the patch does not name: null resets the other settings to their defaults.
        let all = schema.of_handler(&handler).into_iter();
        let mut table: Map<_, _> = all.map(|setting| (setting.field.name.clone(), Value::Null)).collect();
        table.extend(given);
        (handler, Value::Object(table))
    });
    let tables = Value::Object(tables.collect());
    let keys = Map::from_iter([("handler".to_owned(), Value::String(name)), ("handlers".to_owned(), tables)]);
    match api.proxies.patch(proxy.name(), api.edit(keys), duration).await {
        Ok(_) => Ok(done()),
        Err(error) => Err(Failure::from(error).rename(|place| key_of_request(place, &handlers))),
    }
}

/// The handlers of a name or a mix, or an error for each that does not exist.
fn handlers_of(registry: &Registry, word: &str, text: &str) -> Result<Vec<String>, Failure> {
    let fault = |description| Fault { location: Location::Body, name: "name".to_owned(), description };
    let unknown = |name: &str| fault(format!("the '{name}' {word} does not exist"));
    if !text.contains([',', ':', '=', '(', '+']) && registry.get(text).is_none() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, vec![unknown(text)]));
    }
    let mut errors = match ParsedMix::parse(text, registry) {
        Ok(mix) => return Ok(names_of(&mix)),
        Err(errors) => errors,
    };
    errors.sort_by_key(|error| !matches!(error, MixError::UnknownHandler { .. }));
    let faults = errors.iter().map(|error| match error {
        MixError::UnknownHandler { name, .. } => unknown(name),
        MixError::Invalid(what) => fault(what.clone()),
    });
    Err(Failure::new(StatusCode::BAD_REQUEST, faults.collect()))
}

/// The names of the handlers of a mix, each once.
fn names_of(mix: &ParsedMix) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for handler in mix.handlers() {
        if !names.contains(&handler.name) {
            names.push(handler.name.clone());
        }
    }
    names
}

/// A handler and its settings.
type Table = (String, Map<String, Value>);

/// The settings of each of these handlers: further keys for a single one, `options` for any number.
fn settings(mut keys: Map<String, Value>, handlers: &[String]) -> Result<Vec<Table>, Failure> {
    let mut options = match keys.remove("options") {
        None => Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Failure::body("options", OPTIONS)),
    };
    if let Some(first) = keys.keys().next() {
        match handlers {
            [one] if options.is_empty() => {
                options.insert(one.clone(), Value::Object(keys));
            }
            [_] => return Err(Failure::body(first, format!("`{first}` is not in `options`, move it there"))),
            _ => return Err(Failure::body(first, format!("`{first}` could belong to several handlers, {OPTIONS}"))),
        }
    }
    let mut settings = Vec::new();
    for handler in handlers {
        match options.remove(handler) {
            None => settings.push((handler.clone(), Map::new())),
            Some(Value::Object(table)) => settings.push((handler.clone(), table)),
            Some(_) => return Err(Failure::body(&format!("options.{handler}"), OPTIONS)),
        }
    }
    match options.keys().next() {
        Some(other) => {
            let what = format!("`{other}` is not in the mix (known: {})", handlers.join(", "));
            Err(Failure::body(&format!("options.{other}"), what))
        }
        None => Ok(settings),
    }
}

/// How options of several handlers are written.
const OPTIONS: &str = "write `\"options\": {\"delay\": {\"sleep\": 2}}`";

/// The request's key for that of the file: a single handler has its settings next to its name.
fn key_of_request(place: &str, handlers: &[String]) -> String {
    let within = |handler: &String| {
        place.strip_prefix("handlers.")?.strip_prefix(handler.as_str())?.strip_prefix('.').map(str::to_owned)
    };
    match handlers {
        _ if place == "handler" => "name".to_owned(),
        [one] => within(one).unwrap_or_else(|| place.to_owned()),
        _ => place.strip_prefix("handlers.").map_or_else(|| place.to_owned(), |rest| format!("options.{rest}")),
    }
}

fn only_proxy(api: &Api) -> Result<Arc<Proxy>, Failure> {
    api.proxies.default_proxy().ok_or_else(|| {
        let what = "no proxy is called `default`, and there is not exactly one: use /v1/proxies/{name}";
        Failure::of(StatusCode::NOT_FOUND, Location::Nowhere, "", what)
    })
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match read::json(body) {
        Ok(Value::Object(keys)) => Ok(keys),
        Err(why) if why.is_data() => Err(Failure::body("", why.to_string())),
        _ => Err(Failure::body("", "the value is not a valid json object")),
    }
}

fn missing(key: &str) -> Failure {
    Failure::body("", format!("the value should contain a \"{key}\" key"))
}

fn done() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
