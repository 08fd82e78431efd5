//! The table of routes, from which the router and its description are made.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{self, MethodRouter};

use super::answer::{Failure, Location};
use super::openapi::{Content, EVENTS};
use super::{Api, behavior, events, guard, label, page, rules, toxics, v1};
use crate::program::export::openmetrics::Format;

/// One method of one path, and its description.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: Method,
    to: MethodRouter<Arc<Api>>,
    pub(super) summary: &'static str,
    /// The parameters of the query, each with its meaning.
    pub(super) query: Vec<(&'static str, &'static str)>,
    /// The schema of the body.
    pub(super) body: Option<&'static str>,
    pub(super) answers: Vec<(u16, Content)>,
}

/// The types that `GET /metrics` answers.
const METRICS: &[&str] = &[Format::OpenMetrics.content_type(), Format::Text.content_type()];

pub(super) const PROXY: &str = "/v1/proxies/{name}";
const RULES: &str = "/v1/proxies/{name}/rules";
pub(super) const TOXICS: &str = "/v1/proxies/{name}/toxics";
pub(super) const TOXIC: &str = "/v1/proxies/{name}/toxics/{toxic}";
const RULE: &str = "/v1/proxies/{name}/rules/{rule}";
const CONNECTION: &str = "/v1/proxies/{name}/connections/{id}";

/// Why a change fails, by status.
const CHANGE: &[u16] = &[400, 404, 408, 409, 413];

const SINCE: &str = "The number of the last event that was read, or 0; a number that does not exist yet counts as 0. \
                     The header Last-Event-ID takes precedence";

pub(super) fn all() -> Vec<Route> {
    vec![
        get(guard::PAGE, page::page, "The live page, for a browser; needs no token").sends(200, &[page::HTML]),
        get("/behavior", behavior::mix, "The mix, as a behavior").gives(200, "Behavior").fails(&[404]),
        put("/behavior", behavior::put_mix, "Change the mix").takes("BehaviorChange").gives(200, "Done").fails(CHANGE),
        get("/behaviors", behavior::names, "The names of all behaviors").gives(200, "Behaviors"),
        get("/handler", behavior::mix, "The mix").gives(200, "Handler").fails(&[404]),
        put("/handler", behavior::put_mix, "Change the mix").takes("BehaviorChange").gives(200, "Done").fails(CHANGE),
        get("/handlers", behavior::names, "The names of all handlers").gives(200, "Handlers"),
        get("/backend", behavior::backend, "The backend").gives(200, "Backend").fails(&[404]),
        put("/backend", behavior::put_backend, "Change the backend").takes("Backend").gives(200, "Done").fails(CHANGE),
        get("/v1/proxies", v1::list, "All proxies, by name").gives(200, "Proxies"),
        get(PROXY, v1::get, "A proxy").gives(200, "Proxy").fails(&[404]),
        put(PROXY, v1::put, "Create a proxy, or replace all its settings")
            .takes("ProxySettings")
            .gives(200, "ChangedProxy")
            .gives(201, "ChangedProxy")
            .fails(&[400, 408, 409, 413]),
        patch(PROXY, v1::patch, "Change some settings of a proxy; null resets one to its default")
            .takes("ProxyPatch")
            .gives(200, "ChangedProxy")
            .fails(CHANGE),
        delete(PROXY, v1::delete, "Stop and remove a proxy").gives(204, "").fails(&[400, 404, 408, 413]),
        post("/v1/proxies/{name}/reset", v1::reset, "Restore the settings of the file; counters are kept")
            .gives(200, "ChangedProxy")
            .fails(&[404, 409]),
        get(RULES, rules::list, "A proxy's rules, in their order").gives(200, "Rules").fails(&[404]),
        post(RULES, rules::post, "Add a rule, as the last one or `before` another; the other rules go on")
            .takes("NewRule")
            .gives(201, "ChangedRule")
            .fails(CHANGE),
        get(RULE, rules::get, "A rule").gives(200, "Rule").fails(&[404]),
        put(RULE, rules::put, "Replace a rule, or add it; the other rules go on")
            .takes("NewRule")
            .gives(200, "ChangedRule")
            .gives(201, "ChangedRule")
            .fails(CHANGE),
        patch(RULE, rules::patch, "Change some keys of a rule; null removes one")
            .takes("RulePatch")
            .gives(200, "ChangedRule")
            .fails(CHANGE),
        delete(RULE, rules::delete, "Remove a rule; the other rules go on").gives(204, "").fails(CHANGE),
        get(TOXICS, toxics::list, "A proxy's toxics, in their order").gives(200, "Toxics").fails(&[404]),
        post(TOXICS, toxics::post, "Add a toxic, as the last one, to open connections as well")
            .takes("NewToxic")
            .gives(201, "ChangedToxic")
            .fails(CHANGE),
        delete(TOXICS, toxics::clear, "Remove all toxics; what they hold goes on").gives(204, "").fails(CHANGE),
        get(TOXIC, toxics::get, "A toxic").gives(200, "Toxic").fails(&[404]),
        put(TOXIC, toxics::put, "Replace a toxic in its place, or add it")
            .takes("NewToxic")
            .gives(200, "ChangedToxic")
            .gives(201, "ChangedToxic")
            .fails(CHANGE),
        patch(TOXIC, toxics::patch, "Change some keys of a toxic; null resets an attribute")
            .takes("ToxicPatch")
            .gives(200, "ChangedToxic")
            .fails(CHANGE),
        delete(TOXIC, toxics::delete, "Remove a toxic; what it holds goes on").gives(204, "").fails(CHANGE),
        get("/v1/proxies/{name}/connections", v1::connections, "A proxy's open connections")
            .gives(200, "Connections")
            .fails(&[404]),
        get("/v1/proxies/{name}/calls", v1::calls, "What clients have called, by shape")
            .gives(200, "Calls")
            .fails(&[404]),
        delete(CONNECTION, v1::end, "End a connection")
            .parameter("reset", "True: reset it instead of closing it")
            .gives(204, "")
            .fails(&[404]),
        get("/v1/label", label::get, "The label of the calls that begin now").gives(200, "Label"),
        put("/v1/label", label::put, "Give this label to all calls that begin from now on; null for none")
            .takes("Label")
            .gives(200, "Label")
            .fails(&[400, 408, 413]),
        delete("/v1/label", label::delete, "Calls that begin from now on have no label").gives(204, ""),
        get("/v1/events", events::stream, "Events: those after `since`, if it is given, then new ones")
            .parameter("since", SINCE)
            .parameter("follow", "False: send the events that exist, and end")
            .sends(200, &[EVENTS])
            .fails(&[503]),
        get("/v1/version", v1::version, "The version of the program").gives(200, "Version"),
        get("/v1/openapi.json", document, "This document").gives(200, "Document"),
        get("/metrics", v1::metrics, "Metrics, as OpenMetrics").sends(200, METRICS),
        get(guard::HEALTH, v1::health, "Health of the program; needs no token").gives(200, "Health"),
    ]
}

impl Route {
    fn new(method: Method, path: &'static str, to: MethodRouter<Arc<Api>>, summary: &'static str) -> Self {
        Self { path, method, to, summary, query: Vec::new(), body: None, answers: Vec::new() }
    }

    fn parameter(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.query.push((name, meaning));
        self
    }

    fn takes(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    /// Answers with this status and a body of this schema, or without one.
    fn gives(mut self, status: u16, schema: &'static str) -> Self {
        self.answers.push((status, Content::Json(schema)));
        self
    }

    /// Answers with this status and a text of one of these types.
    fn sends(mut self, status: u16, content_types: &'static [&'static str]) -> Self {
        self.answers.push((status, Content::Text(content_types)));
        self
    }

    fn fails(mut self, statuses: &[u16]) -> Self {
        self.answers.extend(statuses.iter().map(|status| (*status, Content::Json("Errors"))));
        self
    }
}

fn get<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Api>>, summary: &'static str) -> Route {
    Route::new(Method::GET, path, routing::get(to), summary)
}

fn put<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Api>>, summary: &'static str) -> Route {
    Route::new(Method::PUT, path, routing::put(to), summary)
}

fn patch<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Api>>, summary: &'static str) -> Route {
    Route::new(Method::PATCH, path, routing::patch(to), summary)
}

fn post<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Api>>, summary: &'static str) -> Route {
    Route::new(Method::POST, path, routing::post(to), summary)
}

fn delete<T: 'static>(path: &'static str, to: impl Handler<T, Arc<Api>>, summary: &'static str) -> Route {
    Route::new(Method::DELETE, path, routing::delete(to), summary)
}

/// The routes behind the guard, and the answers to unknown paths and methods.
pub(super) fn router(api: Arc<Api>) -> Router {
    all()
        .into_iter()
        .fold(Router::new(), |router, Route { path, to, .. }| router.route(path, to))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_there)
        .layer(middleware::from_fn_with_state(api.clone(), label::from_header))
        .layer(middleware::from_fn_with_state(api.clone(), guard::check))
        .with_state(api)
}

async fn document(State(api): State<Arc<Api>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone())
}

/// The header `Allow` is added by the router.
async fn wrong_method(method: Method, matched: MatchedPath, uri: Uri) -> Failure {
    let routes = all().into_iter().filter(|route| route.path == matched.as_str());
    let methods = routes.flat_map(|route| match route.method {
        Method::GET => vec![Method::GET, Method::HEAD],
        method => vec![method],
    });
    let methods: Vec<String> = methods.map(|method| method.to_string()).collect();
    let what = format!("{} has no {method}, use {}", uri.path(), methods.join(", "));
    Failure::of(StatusCode::METHOD_NOT_ALLOWED, Location::Nowhere, "", what)
}

async fn nothing_there(uri: Uri) -> Failure {
    let path = uri.path();
    if !path.starts_with('/') {
        // `CONNECT` names a host alone, `OPTIONS` may name everything.
        let what = format!("`{uri}` is not a path, see /v1/openapi.json");
        return Failure::of(StatusCode::BAD_REQUEST, Location::Path, "", what);
    }
    let what = format!("there is no {path}, see /v1/openapi.json");
    Failure::of(StatusCode::NOT_FOUND, Location::Path, "", what)
}
