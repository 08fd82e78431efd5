//! The label of the calls that begin now: a resource of its own, and a header of any request.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answer, Failure, Location};
use super::read::{NoBody, Object};

/// Sets the label before its request is carried out.
pub(super) const HEADER: &str = "Vaurien-Label";

const HINT: &str = "write `{\"label\": \"test_pay\"}`, or null for none";

pub(super) async fn get(State(api): State<Arc<Api>>) -> Json<Value> {
    shown(&api)
}

pub(super) async fn put(State(api): State<Arc<Api>>, Object(mut keys): Object) -> Answer {
    let label = match keys.remove("label") {
        Some(Value::String(label)) => Some(label),
        Some(Value::Null) => None,
        Some(other) => return Err(Failure::body("label", format!("`{other}` is not a label: {HINT}"))),
        None => return Err(Failure::body("label", format!("the key `label` is missing: {HINT}"))),
    };
    if let Some(other) = keys.keys().next() {
        return Err(Failure::body(other, format!("unknown key `{other}` (known: label)")));
    }
    api.proxies.labels().set(label.as_deref()).map_err(|why| Failure::body("label", why))?;
    Ok(shown(&api))
}

pub(super) async fn delete(State(api): State<Arc<Api>>, _: NoBody) -> Result<StatusCode, Failure> {
    api.proxies.labels().set(None).map_err(|why| Failure::body("label", why))?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(api: &Api) -> Json<Value> {
    let label = api.proxies.labels().now();
    Json(json!({ "label": label.map(|label| label.text.clone()) }))
}

/// Sets the label that the header names, if it is there.
pub(super) async fn from_header(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let wrong = |what: String| Failure::of(StatusCode::BAD_REQUEST, Location::Header, HEADER, what);
    let mut all = request.headers().get_all(HEADER).iter();
    if let Some(label) = all.next() {
        if all.next().is_some() {
            return Err(wrong("the header is repeated, send it once".to_owned()));
        }
        let label = str::from_utf8(label.as_bytes()).map_err(|_| wrong("the label is not UTF-8".to_owned()))?;
        api.proxies.labels().set(Some(label)).map_err(wrong)?;
    }
    Ok(next.run(request).await)
}
