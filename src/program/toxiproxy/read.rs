//! The body of a request, with limits of size and time. Its type is ignored: clients send that of a form.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::answer::Failure;
use crate::program::api::Connection;
use crate::program::toxiproxy_json::json::{Json, first};

/// The largest body, in bytes.
const BODY: usize = 16 * 1024 * 1024;

/// How long reading a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The JSON of a request.
pub(super) async fn body(request: Request) -> Result<Json, Failure> {
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let whole = match timeout(BODY_TIMEOUT, Limited::new(request.into_body(), BODY).collect()).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("the body is too large, send at most {} MiB", BODY >> 20);
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, what));
        }
        Ok(Err(_)) => return Err(Failure::body("unexpected EOF")),
        Err(_) => {
            let limit = BODY_TIMEOUT.as_secs();
            let what = format!("the body is too slow, send it within {limit} s");
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, what));
        }
    };
    connection.inspect(|connection| connection.works());
    first(&whole).map_err(Failure::body)
}
