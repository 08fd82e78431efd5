//! Requests to a running server.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::Failure;
use crate::error::plain;
use crate::net::address::{Address, BadAddress};
use crate::net::dial::dial;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the server is unless it is named.
const URL: &str = "http://localhost:8474";

/// A running server.
#[derive(Debug)]
pub(super) struct Server(Address);

/// The path of proxies, of one, or of what belongs to it.
pub(super) fn path(names: &[&str]) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':');
    let names = names.iter().map(|name| format!("/{}", utf8_percent_encode(name, ESCAPED)));
    format!("/proxies{}", names.collect::<String>())
}

impl Server {
    pub(super) fn new(url: Option<&str>) -> Result<Self, Failure> {
        let url = url.filter(|url| !url.is_empty()).unwrap_or(URL);
        let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let address = address.parse().map_err(|error: BadAddress| format!("{error}: the host is http://HOST:PORT"))?;
        Ok(Self(address))
    }

    /// The JSON that is answered; null without any.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let run = || -> Result<(u16, Bytes), String> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| plain(&error))?;
            let answered = runtime.block_on(async { timeout(PATIENCE, self.send(method, path, body)).await });
            // Looking up a name cannot be cancelled: do not wait for it.
            runtime.shutdown_background();
            answered.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
        };
        let (status, answer) = run().map_err(|why| Failure::Server(format!("{}: {why}", self.0)))?;
        let json: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(json);
        }
        let why = json["error"].as_str().map(str::to_owned);
        let why = why.unwrap_or_else(|| String::from_utf8_lossy(&answer).trim().to_owned());
        Err(Failure::Server(format!("HTTP {status}: {why}")))
    }

    async fn send(&self, method: &str, path: &str, body: String) -> Result<(u16, Bytes), String> {
        let stream = dial(&self.0, Instant::now() + PATIENCE).await.map_err(|error| plain(&error))?;
        let text = |error: hyper::Error| error.to_string();
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        let request = Request::builder().method(method).uri(path).header("Host", self.0.to_string());
        let request = request.header("User-Agent", concat!("toxiproxy-cli vaurien/", env!("CARGO_PKG_VERSION")));
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = send.send_request(request).await.map_err(text)?;
            let status = answer.status().as_u16();
            Ok((status, answer.into_body().collect().await.map_err(text)?.to_bytes()))
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            // An error of the connection is one of the exchange as well.
            _ = &mut connection => exchange.await,
        }
    }
}
