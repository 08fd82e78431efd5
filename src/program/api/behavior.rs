//! vaurien's own contract, which is older than this program: one proxy, by what is done to its calls.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{Failure, Fault, Location};
use super::read::{self, Body};
use super::v1::lasts;
use crate::plan::parse::{MixError, ParsedMix};
use crate::program::config::schema::Schema;
use crate::program::config::spec;
use crate::proxy::Proxy;

/// What handlers are called.
#[derive(Debug, Clone, Copy)]
enum Word {
    /// Later, and in most scripts.
    Behavior,
    /// At first, and in this program.
    Handler,
}

impl Word {
    fn one(self) -> &'static str {
        match self {
            Self::Behavior => "behavior",
            Self::Handler => "handler",
        }
    }
}

/// `GET /behavior`.
pub(super) async fn behavior(State(api): State<Arc<Api>>) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "behavior": the_one(&api)?.config().mix.to_string() })))
}

/// `GET /handler`.
pub(super) async fn handler(State(api): State<Arc<Api>>) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "handler": the_one(&api)?.config().mix.to_string() })))
}

/// `GET /behaviors`.
pub(super) async fn behaviors(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({ "behaviors": names(&api) }))
}

/// `GET /handlers`.
pub(super) async fn handlers(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!({ "handlers": names(&api) }))
}

/// `GET /backend`.
pub(super) async fn backend(State(api): State<Arc<Api>>) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "backend": the_one(&api)?.config().backend })))
}

/// `PUT /behavior`.
pub(super) async fn put_behavior(State(api): State<Arc<Api>>, Body(body): Body) -> Result<Json<Value>, Failure> {
    put(&api, Word::Behavior, &body).await
}

/// `PUT /handler`.
pub(super) async fn put_handler(State(api): State<Arc<Api>>, Body(body): Body) -> Result<Json<Value>, Failure> {
    put(&api, Word::Handler, &body).await
}

/// `PUT /backend`.
pub(super) async fn put_backend(State(api): State<Arc<Api>>, Body(body): Body) -> Result<Json<Value>, Failure> {
    let proxy = the_one(&api)?;
    let mut keys = object(&body)?;
    let backend = keys.remove("backend").ok_or_else(|| missing("backend"))?;
    if let Some(other) = keys.keys().next() {
        return Err(Failure::body(other, format!("unknown key `{other}` (known: backend)")));
    }
    let keys = Map::from_iter([("backend".to_owned(), backend)]);
    api.proxies.patch(&proxy.name, spec::edit(keys, &api.registry), None).await?;
    Ok(done())
}

async fn put(api: &Api, word: Word, body: &[u8]) -> Result<Json<Value>, Failure> {
    let proxy = the_one(api)?;
    let mut keys = object(body)?;
    let name = match keys.remove("name") {
        Some(Value::String(name)) => name,
        Some(other) => {
            let what = format!("`{other}` is no {}, write `\"delay\"` or `\"20:delay,5:error\"`", word.one());
            return Err(Failure::body("name", what));
        }
        None => return Err(missing("name")),
    };
    let lasts = lasts(&mut keys)?;
    let drawn = drawn(api, word, &name)?;
    let settings = settings(keys, &drawn)?;
    let schema = Schema::new(&api.registry);
    let handlers = settings.into_iter().map(|(handler, given)| {
        // A merge leaves what it does not name, so all settings are named, to have their defaults again.
        let all = schema.of_handler(&handler).into_iter();
        let mut table: Map<_, _> = all.map(|setting| (setting.field.name.clone(), Value::Null)).collect();
        table.extend(given);
        (handler, Value::Object(table))
    });
    let handlers = Value::Object(handlers.collect());
    let patch = Map::from_iter([("handler".to_owned(), Value::String(name)), ("handlers".to_owned(), handlers)]);
    match api.proxies.patch(&proxy.name, spec::edit(patch, &api.registry), lasts).await {
        Ok(_) => Ok(done()),
        Err(refusal) => Err(Failure::from(refusal).rename(|place| as_asked(place, &drawn))),
    }
}

/// The handlers that a name or a mix asks for, or an error for each that does not exist.
fn drawn(api: &Api, word: Word, text: &str) -> Result<Vec<String>, Failure> {
    let (registry, word) = (&api.registry, word.one());
    let fault = |description| Fault { location: Location::Body, name: "name".to_owned(), description };
    let unknown = |name: &str| fault(format!("the '{name}' {word} does not exist"));
    if !text.contains([',', ':']) && registry.get(text).is_none() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, vec![unknown(text)]));
    }
    let mut errors = match ParsedMix::parse(text, registry) {
        Ok(mix) => return Ok(mix.names().map(str::to_owned).collect()),
        Err(errors) => errors,
    };
    errors.sort_by_key(|error| !matches!(error, MixError::UnknownHandler { .. }));
    let faults = errors.iter().map(|error| match error {
        MixError::UnknownHandler { name, .. } => unknown(name),
        MixError::Invalid(what) => fault(what.clone()),
    });
    Err(Failure::new(StatusCode::BAD_REQUEST, faults.collect()))
}

/// A handler and its settings.
type Table = (String, Map<String, Value>);

/// The settings of each handler that is drawn: further keys for one alone, `options` for any of them.
fn settings(mut keys: Map<String, Value>, drawn: &[String]) -> Result<Vec<Table>, Failure> {
    let mut options = match keys.remove("options") {
        None => Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Failure::body("options", OPTIONS)),
    };
    if let Some(first) = keys.keys().next() {
        match drawn {
            [one] if options.is_empty() => {
                options.insert(one.clone(), Value::Object(keys));
            }
            [_] => return Err(Failure::body(first, format!("`{first}` is beside `options`, put it in there"))),
            _ => return Err(Failure::body(first, format!("it is not said whose `{first}` is, {OPTIONS}"))),
        }
    }
    let mut settings = Vec::new();
    for handler in drawn {
        match options.remove(handler) {
            None => settings.push((handler.clone(), Map::new())),
            Some(Value::Object(table)) => settings.push((handler.clone(), table)),
            Some(_) => return Err(Failure::body(&format!("options.{handler}"), OPTIONS)),
        }
    }
    match options.keys().next() {
        Some(other) => {
            let what = format!("`{other}` is not asked for, there is {}", drawn.join(", "));
            Err(Failure::body(&format!("options.{other}"), what))
        }
        None => Ok(settings),
    }
}

/// How options of several handlers are written.
const OPTIONS: &str = "write `\"options\": {\"delay\": {\"sleep\": 2}}`";

/// The key of a request for that of the file: a handler alone has its settings beside its name.
fn as_asked(place: &str, drawn: &[String]) -> String {
    let within = |handler: &String| {
        place.strip_prefix("handlers.")?.strip_prefix(handler.as_str())?.strip_prefix('.').map(str::to_owned)
    };
    match drawn {
        _ if place == "handler" => "name".to_owned(),
        [one] => within(one).unwrap_or_else(|| place.to_owned()),
        _ => place.strip_prefix("handlers.").map_or_else(|| place.to_owned(), |rest| format!("options.{rest}")),
    }
}

fn the_one(api: &Api) -> Result<Arc<Proxy>, Failure> {
    api.proxies.the_one().ok_or_else(|| {
        let what = "there are several proxies or none, and none is `default`: use /v1/proxies/{name}";
        Failure::of(StatusCode::NOT_FOUND, Location::Nowhere, "", what)
    })
}

fn names(api: &Api) -> Vec<&str> {
    let mut names: Vec<&str> = api.registry.names().collect();
    names.sort_unstable();
    names
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match read::json(body) {
        Ok(Value::Object(keys)) => Ok(keys),
        _ => Err(Failure::body("", "the value is not a valid json object")),
    }
}

fn missing(key: &str) -> Failure {
    Failure::body("", format!("the value should contain a \"{key}\" key"))
}

fn done() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
