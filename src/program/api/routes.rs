//! The table of routes, from which the router and its description are made.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::answer::{Failure, Location};
use super::openapi::{EVENTS, Operation};
use super::{Api, behavior, events, guard, v1};
use crate::program::export::openmetrics::Format;

/// One method of one path.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: Method,
    to: MethodRouter<Arc<Api>>,
    pub(super) operation: Operation,
}

/// The types that `GET /metrics` answers.
const METRICS: &[&str] = &[Format::OpenMetrics.content_type(), Format::Text.content_type()];

const PROXY: &str = "/v1/proxies/{name}";

/// The table.
pub(super) fn all() -> Vec<Route> {
    vec![
        on_get("/behavior", get(behavior::behavior), of("The mix, as a behavior").gives(200, "Behavior").fails(&[404])),
        on_put("/behavior", put(behavior::put_behavior), change("Change the mix", "BehaviorChange")),
        on_get("/behaviors", get(behavior::behaviors), of("The names of all behaviors").gives(200, "Behaviors")),
        on_get("/handler", get(behavior::handler), of("The mix").gives(200, "Handler").fails(&[404])),
        on_put("/handler", put(behavior::put_handler), change("Change the mix", "BehaviorChange")),
        on_get("/handlers", get(behavior::handlers), of("The names of all handlers").gives(200, "Handlers")),
        on_get("/backend", get(behavior::backend), of("The backend").gives(200, "Backend").fails(&[404])),
        on_put("/backend", put(behavior::put_backend), change("Change the backend", "Backend")),
        on_get("/v1/proxies", get(v1::list), of("All proxies, by name").gives(200, "Proxies")),
        on_get(PROXY, get(v1::get), of("A proxy").gives(200, "Proxy").fails(&[404])),
        on_put(
            PROXY,
            put(v1::put),
            of("Create a proxy, or replace all its settings")
                .takes("ProxySettings")
                .gives(200, "ChangedProxy")
                .gives(201, "ChangedProxy")
                .fails(&[400, 408, 409, 413]),
        ),
        Route {
            path: PROXY,
            method: Method::PATCH,
            to: patch(v1::patch),
            operation: of("Change some settings of a proxy; null resets one to its default")
                .takes("ProxyPatch")
                .gives(200, "ChangedProxy")
                .fails(&[400, 404, 408, 409, 413]),
        },
        on_delete(PROXY, delete(v1::delete), of("Stop and remove a proxy").gives(204, "").fails(&[404])),
        Route {
            path: "/v1/proxies/{name}/reset",
            method: Method::POST,
            to: post(v1::reset),
            operation: of("Restore the settings of the file; counters are kept").gives(200, "ChangedProxy").fails(&[404, 409]),
        },
        on_get(
            "/v1/proxies/{name}/connections",
            get(v1::connections),
            of("A proxy's open connections").gives(200, "Connections").fails(&[404]),
        ),
        on_delete(
            "/v1/proxies/{name}/connections/{id}",
            delete(v1::end),
            of("End a connection").parameter("reset", "True: reset it instead of closing it").gives(204, "").fails(&[404]),
        ),
        on_get(
            "/v1/events",
            get(events::stream),
            of("Events: those after `since`, if it is given, then new ones")
                .parameter("since", "The number of the last event that was read, or 0; a number that does not exist yet counts as 0. The header Last-Event-ID takes precedence")
                .parameter("follow", "False: send the events that exist, and end")
                .sends(200, &[EVENTS])
                .fails(&[503]),
        ),
        on_get("/v1/version", get(v1::version), of("The version of the program").gives(200, "Version")),
        on_get("/v1/openapi.json", get(document), of("This document").gives(200, "Document")),
        on_get("/metrics", get(v1::metrics), of("Metrics, as OpenMetrics").sends(200, METRICS)),
        on_get(guard::OPEN, get(v1::health), of("Health of the program; needs no token").gives(200, "Health")),
    ]
}

/// The routes behind the guard, and the answers to unknown paths and methods.
pub(super) fn router(api: Arc<Api>) -> Router {
    all()
        .into_iter()
        .fold(Router::new(), |router, Route { path, to, .. }| router.route(path, to))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_there)
        .layer(middleware::from_fn_with_state(api.clone(), guard::check))
        .with_state(api)
}

/// `GET /v1/openapi.json`.
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

fn of(summary: &'static str) -> Operation {
    Operation::new(summary)
}

/// A change by the original contract.
fn change(summary: &'static str, body: &'static str) -> Operation {
    of(summary).takes(body).gives(200, "Done").fails(&[400, 404, 408, 409, 413])
}

fn on_get(path: &'static str, to: MethodRouter<Arc<Api>>, operation: Operation) -> Route {
    Route { path, method: Method::GET, to, operation }
}

fn on_put(path: &'static str, to: MethodRouter<Arc<Api>>, operation: Operation) -> Route {
    Route { path, method: Method::PUT, to, operation }
}

fn on_delete(path: &'static str, to: MethodRouter<Arc<Api>>, operation: Operation) -> Route {
    Route { path, method: Method::DELETE, to, operation }
}
