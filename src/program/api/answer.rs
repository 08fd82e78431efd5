//! Error answers: one shape for all of them, with the place of each error and what would be right.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::Diagnostics;
use crate::proxy::set::ChangeError;

/// What most requests answer.
pub(super) type Answer = Result<Json<Value>, Failure>;

/// Why a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    errors: Vec<Fault>,
}

/// The body of a failure.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Errors {
    status: Status,
    /// Everything that is wrong.
    errors: Vec<Fault>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Fault {
    /// The part of the request that is wrong; empty if it is none of them.
    pub(super) location: Location,
    /// The key, parameter or header; `handlers.delay.sleep` is a key in a table. Empty if it is none of them.
    pub(super) name: String,
    /// What is wrong and what would be right.
    pub(super) description: String,
}

/// Part of a request.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Location {
    Body,
    Path,
    Query,
    Header,
    #[serde(rename = "")]
    Nowhere,
}

impl Failure {
    pub(super) fn new(status: StatusCode, errors: Vec<Fault>) -> Self {
        Self { status, errors }
    }

    /// With one error.
    pub(super) fn of(status: StatusCode, location: Location, name: &str, description: impl Into<String>) -> Self {
        Self::new(status, vec![Fault { location, name: name.to_owned(), description: description.into() }])
    }

    /// 400, for something in the body.
    pub(super) fn body(name: &str, description: impl Into<String>) -> Self {
        Self::of(StatusCode::BAD_REQUEST, Location::Body, name, description)
    }

    /// One error for each diagnostic, in the body.
    fn of_diagnostics(status: StatusCode, diagnostics: &Diagnostics) -> Self {
        let faults = diagnostics.iter().map(|diagnostic| Fault {
            location: Location::Body,
            name: diagnostic.place().to_owned(),
            description: diagnostic.what().to_owned(),
        });
        Self::new(status, faults.collect())
    }

    /// 404, for a proxy that does not exist.
    pub(super) fn unknown_proxy(name: &str) -> Self {
        let what = format!("there is no proxy `{name}`, GET /v1/proxies lists them");
        Self::of(StatusCode::NOT_FOUND, Location::Path, "name", what)
    }

    /// The same, with a `hint` added to the errors of `name`.
    pub(super) fn with_hint(mut self, name: &str, hint: &str) -> Self {
        let faults = self.errors.iter_mut().filter(|fault| fault.name == name);
        faults.for_each(|fault| fault.description = format!("{}; {hint}", fault.description));
        self
    }

    /// The same, with the names replaced.
    pub(super) fn rename(mut self, other: impl Fn(&str) -> String) -> Self {
        self.errors.iter_mut().for_each(|fault| fault.name = other(&fault.name));
        self
    }
}

/// 200; for something that was added 201, with its path.
pub(super) fn changed(answer: Value, is_new: bool, path: &str) -> Response {
    if !is_new {
        return Json(answer).into_response();
    }
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(name) => Self::unknown_proxy(&name),
            error @ ChangeError::UnknownRule { .. } => {
                Self::of(StatusCode::NOT_FOUND, Location::Path, "rule", error.to_string())
            }
            error @ ChangeError::UnknownToxic { .. } => {
                Self::of(StatusCode::NOT_FOUND, Location::Path, "toxic", error.to_string())
            }
            ChangeError::CannotListen(why) => Self::of(StatusCode::CONFLICT, Location::Body, "proxy", why.to_string()),
            ChangeError::Wrong(diagnostics) => Self::of_diagnostics(StatusCode::BAD_REQUEST, &diagnostics),
            ChangeError::Taken(diagnostics) => Self::of_diagnostics(StatusCode::CONFLICT, &diagnostics),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Errors { status: Status::Error, errors: self.errors };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
