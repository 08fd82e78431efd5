//! Requests to a running server of Toxiproxy's API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Failure;
use crate::net::address::BadAddress;
use crate::program::http_client::{self, PATIENCE};
use crate::program::report::text::visible_line;

/// Where the server is unless it is named.
const URL: &str = "http://localhost:8474";

const USER_AGENT: &str = concat!("toxiproxy-cli vaurien/", env!("CARGO_PKG_VERSION"));

/// A running server.
#[derive(Debug)]
pub(super) struct Server(http_client::Server);

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
        let wrong = |error: BadAddress| Failure::Use(format!("{error}: the host is http://HOST:PORT"));
        let address = address.parse().map_err(wrong)?;
        Ok(Self(http_client::Server { address, user_agent: USER_AGENT, token: None, hint: "", patience: PATIENCE }))
    }

    /// The JSON that is answered; null without any.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let answer = self.0.ask(method, path, body)?;
        let json = answer.json();
        if answer.is_success() {
            return Ok(json);
        }
        let why = json["error"].as_str().map(str::to_owned);
        let why = why.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).trim().to_owned());
        Err(Failure::Server(format!("HTTP {}: {}", answer.status, visible_line(&why))))
    }
}
