//! The full API: every proxy, with every key of the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{Failure, Location};
use super::read::{Named, Object, Parameters};
use crate::connection::table::{ConnectionHandle, State};
use crate::duration::Seconds;
use crate::program::config::spec;
use crate::program::export::openmetrics::{self, Format};
use crate::proxy::Proxy;
use crate::proxy::config::check_name;
use crate::proxy::set::{Change, Refusal};

/// What a proxy does at the moment, and has done.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Status {
    /// Where it listens; nowhere when it is disabled.
    #[schemars(with = "Vec<String>")]
    addresses: Vec<SocketAddr>,
    connections: Connections,
    /// Calls by handler.
    calls: BTreeMap<String, u64>,
    /// Calls that a handler did something to, by handler.
    faults: BTreeMap<String, u64>,
    bytes: Bytes,
    /// Connections for which the backend could not be reached.
    backend_failures: u64,
    /// Seconds until a change that was made for a time is taken back; null where there is none.
    #[schemars(with = "Option<f64>")]
    reverts_in: Option<Seconds>,
}

/// How many connections.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Connections {
    /// Accepted so far.
    total: u64,
    /// Open now.
    open: u64,
    /// Whose messages could not be told apart to their end.
    opaque: u64,
}

/// Bytes by direction.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bytes {
    /// Those that clients sent.
    to_backend: u64,
    /// Those that the backend sent; what the proxy itself answered is not among them.
    to_client: u64,
}

/// When the keys of a change apply.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Applied {
    /// To every connection from its next call on.
    now: Vec<&'static str>,
    /// To connections that are accepted from now on.
    new_connections: Vec<&'static str>,
}

/// A client's connection.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Connection {
    /// Its number: clients are counted from 1 as they are accepted.
    id: u64,
    /// The client's address.
    #[schemars(with = "String")]
    peer: SocketAddr,
    /// Seconds since it was accepted.
    #[schemars(with = "f64")]
    age: Seconds,
    bytes: Bytes,
    /// Calls so far.
    calls: u64,
    /// The handler at work; null between two calls.
    handler: Option<String>,
    /// How far it has come.
    state: State,
}

impl From<&ConnectionHandle> for Connection {
    fn from(live: &ConnectionHandle) -> Self {
        let bytes = Bytes { to_backend: live.to_backend.bytes.get(), to_client: live.to_client.bytes.get() };
        Self {
            id: live.number,
            peer: live.peer,
            age: live.age().into(),
            bytes,
            calls: live.calls.get(),
            handler: live.handler().map(|drawn| drawn.name.to_string()),
            state: live.state(),
        }
    }
}

/// `GET /v1/proxies`.
pub(super) async fn list(extract::State(api): extract::State<Arc<Api>>) -> Json<Value> {
    let proxies = api.proxies.all();
    let proxies: Map<String, Value> =
        proxies.iter().map(|proxy| (proxy.name.to_string(), Value::Object(described(&api, proxy)))).collect();
    Json(json!({ "proxies": proxies }))
}

/// `GET /v1/proxies/{name}`.
pub(super) async fn get(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(Value::Object(described(&api, &*proxy(&api, &name)?))))
}

/// `PUT /v1/proxies/{name}`.
pub(super) async fn put(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    check_name(&name).map_err(|wrong| Failure::of(StatusCode::BAD_REQUEST, Location::Path, "name", wrong.what()))?;
    let lasts = besides(&name, &mut keys)?;
    let config = spec::check(&name, &keys, &api.registry).map_err(Refusal::Wrong)?;
    let change = api.proxies.put(config, lasts).await?;
    if !change.created {
        return Ok(changed(&api, change).into_response());
    }
    let mut response = (StatusCode::CREATED, changed(&api, change)).into_response();
    if let Ok(at) = HeaderValue::from_str(&format!("/v1/proxies/{name}")) {
        response.headers_mut().insert(header::LOCATION, at);
    }
    Ok(response)
}

/// `PATCH /v1/proxies/{name}`.
pub(super) async fn patch(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
    Object(mut keys): Object,
) -> Result<Json<Value>, Failure> {
    proxy(&api, &name)?;
    let lasts = besides(&name, &mut keys)?;
    Ok(changed(&api, api.proxies.patch(&name, spec::edit(keys, &api.registry), lasts).await?))
}

/// `DELETE /v1/proxies/{name}`.
pub(super) async fn delete(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
) -> Result<StatusCode, Failure> {
    api.proxies.remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/proxies/{name}/reset`.
pub(super) async fn reset(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
) -> Result<Json<Value>, Failure> {
    Ok(changed(&api, api.proxies.reset(&name).await?))
}

/// `GET /v1/proxies/{name}/connections`.
pub(super) async fn connections(
    extract::State(api): extract::State<Arc<Api>>,
    Named(name): Named<String>,
) -> Result<Json<Value>, Failure> {
    let connections: Vec<_> =
        proxy(&api, &name)?.connections.all().iter().map(|live| Connection::from(&**live)).collect();
    Ok(Json(json!({ "connections": connections })))
}

/// `DELETE /v1/proxies/{name}/connections/{id}`.
pub(super) async fn end(
    extract::State(api): extract::State<Arc<Api>>,
    Named((name, id)): Named<(String, String)>,
    query: Parameters,
) -> Result<StatusCode, Failure> {
    let reset = query.only(&["reset"])?.get("reset", "true or false")?.unwrap_or(false);
    let proxy = proxy(&api, &name)?;
    let wrong = |status, what| Failure::of(status, Location::Path, "id", what);
    let number = id.parse().map_err(|_| wrong(StatusCode::BAD_REQUEST, format!("`{id}` is no connection's number")))?;
    let live = proxy.connections.get(number).ok_or_else(|| {
        let what = format!("`{name}` has no connection {number}, GET /v1/proxies/{name}/connections lists them");
        wrong(StatusCode::NOT_FOUND, what)
    })?;
    live.cut(reset);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/version`.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /healthz`.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /metrics`.
pub(super) async fn metrics(
    extract::State(api): extract::State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Who knows of the newer format says so; who only knows of text gets the older one.
    let older = accepts.contains("text/plain") && !accepts.contains("openmetrics");
    let format = if older { Format::Text } else { Format::OpenMetrics };
    let metrics = openmetrics::all(&api.proxies, format).map_err(|_| {
        Failure::of(StatusCode::INTERNAL_SERVER_ERROR, Location::Nowhere, "", "the metrics cannot be written")
    })?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], metrics))
}

/// Takes `for` out of a body: how long the change lasts.
pub(super) fn lasts(keys: &mut Map<String, Value>) -> Result<Option<Duration>, Failure> {
    let given = keys.remove("for").unwrap_or_default();
    if given.is_array() || given.is_object() || given.is_boolean() {
        return Err(Failure::body("for", format!("`{given}` is not a number of seconds")));
    }
    match Option::<Seconds>::deserialize(given) {
        Ok(Some(none)) if none == Seconds::default() => {
            Err(Failure::body("for", "`0` is over at once, give more than 0"))
        }
        Ok(time) => Ok(time.map(Seconds::duration)),
        Err(why) => Err(Failure::body("for", why.to_string())),
    }
}

/// Takes out of a body what is no key of the file, so that what GET answers can be PUT.
fn besides(name: &str, keys: &mut Map<String, Value>) -> Result<Option<Duration>, Failure> {
    keys.remove("status");
    match keys.remove("name") {
        Some(other) if other != name => {
            Err(Failure::body("name", format!("the path says `{name}`, and a proxy keeps its name: leave it out")))
        }
        _ => lasts(keys),
    }
}

fn proxy(api: &Api, name: &str) -> Result<Arc<Proxy>, Failure> {
    api.proxies.get(name).ok_or_else(|| Failure::unknown_proxy(name))
}

fn changed(api: &Api, change: Change) -> Json<Value> {
    let Change { proxy, now, new_connections, .. } = change;
    let mut answer = described(api, &proxy);
    answer.insert("applied".to_owned(), json!(Applied { now, new_connections }));
    Json(Value::Object(answer))
}

fn described(api: &Api, proxy: &Proxy) -> Map<String, Value> {
    let summary = proxy.snapshot().summary();
    let status = Status {
        addresses: proxy.addresses(),
        connections: Connections { total: summary.connections, open: summary.open, opaque: summary.opaque },
        calls: summary.calls.into_iter().collect(),
        faults: summary.faults.into_iter().collect(),
        bytes: Bytes { to_backend: summary.to_backend, to_client: summary.to_client },
        backend_failures: summary.backend_failures,
        reverts_in: api.proxies.lasts(&proxy.name).map(Seconds::from),
    };
    let mut described = Map::from_iter([("name".to_owned(), Value::from(&*proxy.name))]);
    described.extend(proxy.config().keys.all);
    described.insert("status".to_owned(), json!(status));
    described
}
