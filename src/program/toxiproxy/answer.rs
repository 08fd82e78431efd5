//! Answers, and errors in the shape and the words that clients match on.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::net::address::Address;
use crate::net::host_port::HostPort;
use crate::program::toxiproxy_json::{Wrong, listen};
use crate::proxy::listeners::CannotListen;
use crate::proxy::set::ChangeError;

/// Why a request fails: `{"error":"proxy not found","status":404}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    error: String,
    status: u16,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), status: status.as_u16() }
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn body(why: impl Into<String>) -> Self {
        Wrong::Body(why.into()).into()
    }

    pub(super) fn no_proxy() -> Self {
        Self::new(StatusCode::NOT_FOUND, "proxy not found")
    }

    pub(super) fn no_toxic() -> Self {
        Self::new(StatusCode::NOT_FOUND, "toxic not found")
    }

    pub(super) fn proxy_exists() -> Self {
        Self::new(StatusCode::CONFLICT, "proxy already exists")
    }

    pub(super) fn toxic_exists() -> Self {
        Self::new(StatusCode::CONFLICT, "toxic already exists")
    }

    /// An address that cannot be read. An update names it without saying what for.
    pub(super) fn bad_listen(why: &str, is_update: bool) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            if is_update { why.to_owned() } else { format!("listen tcp: {why}") },
        )
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::new(StatusCode::BAD_REQUEST, wrong.to_string())
    }
}

impl From<Diagnostics> for Failure {
    fn from(wrong: Diagnostics) -> Self {
        Self::body(wrong.iter().map(Diagnostic::what).collect::<Vec<_>>().join("; "))
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(_) | ChangeError::UnknownRule { .. } => Self::no_proxy(),
            ChangeError::UnknownToxic { .. } => Self::no_toxic(),
            ChangeError::Wrong(wrong) => wrong.into(),
            // Proxies may have the same address here, as long as one of them listens.
            ChangeError::Taken(_) => Self::toxic_exists(),
            ChangeError::CannotListen(error) if error.is_of_a_loop() => Self::body(error.to_string()),
            ChangeError::CannotListen(error) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, cannot_listen(&error)),
        }
    }
}

/// What Go says of an address that cannot be listened on.
fn cannot_listen(error: &CannotListen) -> String {
    let Address::Tcp(address) = error.address() else { return error.to_string() };
    let HostPort { host, port } = address;
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => "address already in use",
        std::io::ErrorKind::PermissionDenied => "permission denied",
        std::io::ErrorKind::AddrNotAvailable => "cannot assign requested address",
        _ if error.is_of_a_name() => return format!("listen tcp: {}", listen::no_such_host(host)),
        _ => return error.to_string(),
    };
    let ip = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host.as_str() };
    let at =
        if *address == listen::everywhere(*port) { format!(":{port}") } else { HostPort::new(ip, *port).to_string() };
    format!("listen tcp {at}: bind: {why}")
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut text = serde_json::to_string(&self).unwrap_or_default();
        text.push('\n');
        with_type(self.status(), "application/json", text)
    }
}

/// What a request is answered.
pub(super) type Answer = Result<Response, Failure>;

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    with_type(status, "application/json", serde_json::to_string(value).unwrap_or_default())
}

/// Text for people.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = with_type(status, "text/plain; charset=utf-8", text.to_owned());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) fn nothing(status: StatusCode) -> Response {
    (status, Body::empty()).into_response()
}

pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}
