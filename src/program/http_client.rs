//! Requests to a running server.

use std::io::ErrorKind;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use crate::error::plain;
use crate::net::address::Address;
use crate::net::dial::dial;
use crate::program::exit_code;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, and who asks it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) user_agent: &'static str,
    pub(crate) token: Option<String>,
    /// What to check if nothing listens there.
    pub(crate) hint: &'static str,
}

/// Why a command that asks a server is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It is wrong.
    #[error("{0}")]
    Use(String),
    /// The server refuses it, or cannot be reached.
    #[error("{0}")]
    Server(String),
}

/// A command line that cannot be read.
impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Use(what)
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Use(_) => exit_code::WRONG_USE,
            Self::Server(_) => exit_code::FAILED,
        }
    }
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The JSON in it; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Server {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let answered = run(async {
            timeout(PATIENCE, async { whole(self.send(method, path, body).await?).await }).await.map_err(|_| late())?
        });
        answered.map_err(|why| self.unreachable(&why))
    }

    /// Asks for a stream, and hands each piece to `take` until that answers false. The answer has no body, unless it is a
    /// failure.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`], or the stream breaks off.
    pub(crate) fn stream(&self, path: &str, mut take: impl FnMut(&[u8]) -> bool) -> Result<Answer, Failure> {
        let answered = run(async {
            let mut response = timeout(PATIENCE, self.send("GET", path, None)).await.map_err(|_| late())??;
            if !response.status().is_success() {
                return whole(response).await;
            }
            while let Some(frame) = response.frame().await {
                if frame.map_err(|error| error.to_string())?.data_ref().is_some_and(|piece| !take(piece)) {
                    break;
                }
            }
            Ok(Answer { status: response.status().as_u16(), body: Bytes::new() })
        });
        answered.map_err(|why| self.unreachable(&why))
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, String> {
        let stream = dial(&self.address, Instant::now() + PATIENCE).await.map_err(|error| {
            let hint = if error.kind() == ErrorKind::ConnectionRefused { self.hint } else { "" };
            format!("{}{hint}", plain(&error))
        })?;
        let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // An error of the connection is one of the exchange as well.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("Host", self.address.to_string());
        let request = request.header("User-Agent", self.user_agent);
        let request = match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
        send.send_request(request).await.map_err(|error| error.to_string())
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::Server(format!("{}: {why}", self.address))
    }
}

fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

async fn whole(response: Response<Incoming>) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status, body })
}

fn run<T>(exchange: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().map_err(|error| plain(&error))?;
    let answered = runtime.block_on(exchange);
    // Looking up a name cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    answered
}
