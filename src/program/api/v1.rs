//! The full API: every proxy, with every key that the file has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{self, Answer, Failure, Location};
use super::read::{NoBody, Object, PathParams, QueryParams};
use crate::connection::table::ConnectionHandle;
use crate::duration::Seconds;
use crate::metrics::counters::{Counters, Waited};
use crate::metrics::reasons::Reason;
use crate::metrics::snapshot::RuleSnapshot;
use crate::net::bound::BoundAddress;
use crate::program::config::spec;
use crate::program::export::openmetrics::{self, Format};
use crate::protocol::Protocol;
use crate::proxy::Proxy;
use crate::proxy::config::{check_any_name, check_name};
use crate::proxy::set::{Change, ChangeError};
use crate::pump::State as Activity;
use crate::recorder::{BackendTime, CallShape, Recorded};

/// The state and counters of a proxy.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Status {
    /// The addresses it listens on; none while it is disabled.
    #[schemars(with = "Vec<String>")]
    addresses: Vec<BoundAddress>,
    connections: Connections,
    /// Calls by handler; those of rules as `pay.error`.
    calls: BTreeMap<String, u64>,
    /// Faults by handler.
    faults: BTreeMap<String, u64>,
    /// The rules, in their order.
    rules: Vec<RuleSnapshot>,
    bytes: Bytes,
    /// How long handlers made calls wait, without the calls that did not wait; null if none did.
    waited: Option<Waited>,
    /// How long the backend took, over all calls that were timed; null if none was.
    backend_time: Option<BackendTime>,
    /// Connections for which the backend could not be reached.
    backend_failures: u64,
    /// Connections of clients with which there is no TLS, although no fault prevented it.
    handshake_failures: u64,
    /// Why there is none, the most frequent reason first.
    handshake_reasons: Vec<Reason>,
    /// Seconds until a temporary change is reverted; null without one.
    #[schemars(with = "Option<f64>")]
    reverts_in: Option<Seconds>,
}

/// Numbers of connections.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Connections {
    /// Accepted since the start.
    total: u64,
    /// Open now.
    open: u64,
    /// Turned opaque.
    opaque: u64,
}

/// Bytes in each direction.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bytes {
    /// Sent by clients.
    to_backend: u64,
    /// Sent by the backend, without the proxy's own answers.
    to_client: u64,
}

/// Which keys a change affects, and when.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Applied {
    /// Every connection, from its next call on.
    pub(super) now: Vec<&'static str>,
    /// Connections that are accepted from now on.
    pub(super) new_connections: Vec<&'static str>,
}

/// A client's connection.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Connection {
    /// Its number, from 1, in the order in which connections were accepted.
    id: u64,
    /// The client's address; `unix` on a Unix socket.
    peer: String,
    /// Seconds since it was accepted.
    #[schemars(with = "f64")]
    age: Seconds,
    /// The worker thread that serves it, from 0.
    worker: usize,
    bytes: Bytes,
    /// Calls since it was accepted.
    calls: u64,
    /// The handler of the current call; null between calls.
    handler: Option<String>,
    /// What it is doing.
    state: Activity,
}

/// What a proxy's clients have called since it was created.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CallList {
    /// The calls by shape, the most frequent first: identifiers in a command and a key are written as `*`.
    calls: Vec<CallShape>,
    /// Calls of shapes that are not in the list. While it is 0, the numbers of all calls are exact.
    other: u64,
    /// Why there are none; null if there can be some.
    note: Option<&'static str>,
}

impl CallList {
    fn of(protocol: Protocol, Recorded { shapes: calls, other }: Recorded) -> Self {
        let note = "with protocol tcp, calls have no command and no key to tell them apart";
        Self { calls, other, note: (protocol == Protocol::Tcp).then_some(note) }
    }
}

impl Connection {
    fn of(handle: &ConnectionHandle, counters: &Counters) -> Self {
        let activity = &handle.activity;
        Self {
            id: activity.number,
            peer: handle.client.map_or_else(|| "unix".to_owned(), |client| client.to_string()),
            age: handle.age().into(),
            worker: handle.worker,
            bytes: Bytes { to_backend: activity.to_backend.bytes.get(), to_client: activity.to_client.bytes.get() },
            calls: activity.calls.get(),
            handler: activity.handler().and_then(|number| counters.name_of(number)),
            state: activity.state(),
        }
    }
}

/// For a PUT that leaves out what a proxy needs.
const PATCH_HINT: &str = "PUT replaces all settings, PATCH changes some of them";

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let proxies = api.proxies.all();
    let proxies: Map<String, Value> =
        proxies.iter().map(|proxy| (proxy.name().to_owned(), Value::Object(described(&api, proxy)))).collect();
    Json(json!({ "proxies": proxies }))
}

pub(super) async fn get(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    Ok(Json(Value::Object(described(&api, &*proxy(&api, &name)?))))
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    Object(mut keys): Object,
) -> Result<Response, Failure> {
    // One that Toxiproxy's API has made may have another name.
    let check = if api.proxies.get(&name).is_some() { check_any_name } else { check_name };
    check(&name).map_err(|wrong| Failure::of(StatusCode::BAD_REQUEST, Location::Path, "name", wrong.what()))?;
    let duration = take_extra_keys(&name, &mut keys)?;
    let is_incomplete = keys.get("backend").is_none_or(Value::is_null);
    let config = spec::check(&name, &keys, &api.registry, &api.authority).map_err(|wrong| {
        let failure = Failure::from(ChangeError::Wrong(wrong));
        if is_incomplete { failure.with_hint("backend", PATCH_HINT) } else { failure }
    })?;
    let change = api.proxies.put(config, duration).await?;
    let is_new = change.created;
    let Json(answer) = changed(&api, change);
    Ok(answer::changed(answer, is_new, &format!("/v1/proxies/{name}")))
}

pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    Object(mut keys): Object,
) -> Answer {
    proxy(&api, &name)?;
    let duration = take_extra_keys(&name, &mut keys)?;
    Ok(changed(&api, api.proxies.patch(&name, api.edit(keys), duration).await?))
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    PathParams(name): PathParams<String>,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    api.proxies.remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reset(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    Ok(changed(&api, api.proxies.reset(&name).await?))
}

pub(super) async fn connections(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    let proxy = proxy(&api, &name)?;
    let counters = &proxy.context.counters;
    let connections: Vec<_> = proxy.connections.all().iter().map(|handle| Connection::of(handle, counters)).collect();
    Ok(Json(json!({ "connections": connections })))
}

pub(super) async fn calls(State(api): State<Arc<Api>>, PathParams(name): PathParams<String>) -> Answer {
    let proxy = proxy(&api, &name)?;
    let protocol = proxy.settings().protocol;
    Ok(Json(json!(CallList::of(protocol, proxy.context.recorder.recorded(protocol)))))
}

pub(super) async fn end(
    State(api): State<Arc<Api>>,
    PathParams((name, id)): PathParams<(String, String)>,
    query: QueryParams,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    let reset = query.only(&["reset"])?.get("reset", "true or false")?.unwrap_or(false);
    let proxy = proxy(&api, &name)?;
    let wrong = |status, what| Failure::of(status, Location::Path, "id", what);
    let number = id.parse().map_err(|_| wrong(StatusCode::BAD_REQUEST, format!("`{id}` is not a number")))?;
    let handle = proxy.connections.get(number).ok_or_else(|| {
        let what = format!("`{name}` has no connection {number}, GET /v1/proxies/{name}/connections lists them");
        wrong(StatusCode::NOT_FOUND, what)
    })?;
    handle.cut(reset);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(super) async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A client that knows OpenMetrics accepts it; one that accepts only text gets the older format.
    let older = accepts.contains("text/plain") && !accepts.contains("openmetrics");
    let format = if older { Format::Text } else { Format::OpenMetrics };
    let metrics = openmetrics::all(&api.proxies, format).map_err(|_| {
        Failure::of(StatusCode::INTERNAL_SERVER_ERROR, Location::Nowhere, "", "cannot write the metrics")
    })?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], metrics))
}

/// Takes `for` out of a body: how long the change is to last.
pub(super) fn take_duration(keys: &mut Map<String, Value>) -> Result<Option<Duration>, Failure> {
    let given = keys.remove("for").unwrap_or_default();
    if given.is_array() || given.is_object() || given.is_boolean() {
        return Err(Failure::body("for", format!("`{given}` is not a number of seconds")));
    }
    match Option::<Seconds>::deserialize(given) {
        Ok(Some(none)) if none == Seconds::default() => {
            Err(Failure::body("for", "`0` would end at once, give more than 0"))
        }
        Ok(time) => Ok(time.map(Seconds::duration)),
        Err(why) => Err(Failure::body("for", why.to_string())),
    }
}

/// Takes `name`, `status` and `for`, which are no keys of the file, out of a body: what GET answers can be PUT. Answers how
/// long the change is to last.
fn take_extra_keys(name: &str, keys: &mut Map<String, Value>) -> Result<Option<Duration>, Failure> {
    keys.remove("status");
    match keys.remove("name") {
        Some(other) if other != name => Err(Failure::body(
            "name",
            format!("the path says `{name}`, and a proxy cannot be renamed: leave `name` out"),
        )),
        _ => take_duration(keys),
    }
}

/// The name of a proxy as a path has it.
pub(super) fn in_path(name: &str) -> PercentEncode<'_> {
    /// Names in the file have no other characters.
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    utf8_percent_encode(name, ESCAPED)
}

pub(super) fn proxy(api: &Api, name: &str) -> Result<Arc<Proxy>, Failure> {
    api.proxies.get(name).ok_or_else(|| Failure::unknown_proxy(name))
}

fn changed(api: &Api, change: Change) -> Json<Value> {
    let Change { proxy, now, new_connections, .. } = change;
    let mut answer = described(api, &proxy);
    answer.insert("applied".to_owned(), json!(Applied { now, new_connections }));
    Json(Value::Object(answer))
}

fn described(api: &Api, proxy: &Proxy) -> Map<String, Value> {
    let times = api.proxies.times(proxy.name());
    let (config, snapshot) = (proxy.config(), proxy.snapshot());
    let summary = snapshot.summary();
    let status = Status {
        addresses: proxy.addresses(),
        connections: Connections { total: summary.connections, open: summary.open, opaque: summary.opaque },
        calls: summary.calls.into_iter().collect(),
        faults: summary.faults.into_iter().collect(),
        rules: snapshot.rules,
        bytes: Bytes { to_backend: summary.to_backend, to_client: summary.to_client },
        waited: proxy.context.counters.waited(),
        backend_time: proxy.context.recorder.backend_time(),
        backend_failures: summary.backend_failures,
        handshake_failures: summary.handshake_failures,
        handshake_reasons: summary.handshake_reasons.into_iter().map(Reason::from).collect(),
        reverts_in: times.proxy(&config).map(Seconds::from),
    };
    let mut described = Map::from_iter([("name".to_owned(), Value::from(proxy.name()))]);
    described.extend(config.keys.all);
    described.insert("status".to_owned(), json!(status));
    described
}
