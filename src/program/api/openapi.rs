//! The `OpenAPI` 3.1 document: operations from the table of routes, schemas from the types that are written and from the
//! settings that are read.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::guard;
use super::label;
use super::routes::Route;
use super::schemas;
use crate::handler::Registry;

/// A proxy's name, as a regular expression.
const NAME: &str = "^[A-Za-z0-9_-]{1,64}$";

/// The type of `GET /v1/events`.
pub(super) const EVENTS: &str = "text/event-stream";

/// What a response holds.
pub(super) enum Content {
    /// The name of a schema; empty if there is no body.
    Json(&'static str),
    /// Text of one of these types.
    Text(&'static [&'static str]),
}

pub(super) fn document(routes: &[Route], registry: &Registry, needs_token: bool) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, needs_token);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vaurien",
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(registry),
            "parameters": { "Label": label_header() },
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "Required with `--http-token`" },
            },
        },
    })
}

fn operation(route: &Route, needs_token: bool) -> Value {
    let Route { path, summary, query, body, answers, .. } = route;
    let open = guard::is_open(path);
    // The guard can answer every route.
    let guards = [400, 403].into_iter().chain((needs_token && !open).then_some(401));
    let guards: Vec<_> = guards.map(|status| (status, Content::Json("Errors"))).collect();
    let mut responses: Map<String, Value> = guards
        .iter()
        .chain(answers)
        .map(|(status, content)| (status.to_string(), response(*status, content)))
        .collect();
    responses
        .insert("default".to_owned(), json!({ "description": "The request failed", "content": content("Errors") }));
    let label = json!({ "$ref": "#/components/parameters/Label" });
    let in_query = query.iter().map(|(name, what)| in_query(name, what));
    let parameters: Vec<Value> = in_path(path).chain(in_query).chain([label]).collect();
    let mut operation = json!({
        "summary": summary,
        "operationId": id(route),
        "parameters": parameters,
        "responses": responses,
        "security": if needs_token && !open { json!([{ "bearer": [] }]) } else { json!([]) },
    });
    if let Some(schema) = body {
        operation["requestBody"] = json!({ "required": true, "content": content(schema) });
    }
    operation
}

/// `put_v1_proxies_name`.
fn id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    let method = route.method.as_str().to_ascii_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn response(status: u16, what: &Content) -> Value {
    let description =
        StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    match what {
        Content::Json("") => json!({ "description": description }),
        Content::Json(schema) => {
            let mut response = json!({ "description": description, "content": content(schema) });
            if status == 201 {
                response["headers"] = json!({ "Location": { "schema": { "type": "string" } } });
            }
            response
        }
        Content::Text(kinds) => {
            let schema = |kind| if kind == EVENTS { schemas::event() } else { json!({ "type": "string" }) };
            let content = kinds.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": schema(*kind) })));
            let content: Map<_, _> = content.collect();
            json!({ "description": description, "content": content })
        }
    }
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn in_path(path: &str) -> impl Iterator<Item = Value> {
    path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}')).map(|name| {
        let schema = match name {
            "id" => json!({ "type": "integer", "minimum": 0 }),
            _ => json!({ "type": "string", "pattern": NAME }),
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    })
}

fn label_header() -> Value {
    let what = "As `PUT /v1/label`, before the request is carried out";
    json!({ "name": label::HEADER, "in": "header", "description": what, "schema": schemas::label() })
}

fn in_query(name: &str, what: &str) -> Value {
    let schema = match name {
        "since" => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        _ => json!({ "type": "boolean" }),
    };
    json!({ "name": name, "in": "query", "description": what, "schema": schema })
}
