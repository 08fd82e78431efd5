//! Requests to a running server.

use std::io::ErrorKind;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use crate::error::plain;
use crate::net::dial::dial;
use crate::net::host_port::HostPort;
use crate::program::exit_code;

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The largest body that is read, in bytes.
const BODY: usize = 16 * 1024 * 1024;

/// The type of a stream of events.
const EVENTS: &str = "text/event-stream";

/// A running server, and who asks it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: HostPort,
    pub(crate) user_agent: &'static str,
    pub(crate) token: Option<String>,
    /// What to check if nothing listens there.
    pub(crate) hint: &'static str,
    /// How long an answer may take, and a piece of a stream.
    pub(crate) patience: Duration,
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

    /// The JSON in it; null if there is none.
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
            timeout(self.patience, async { whole(self.send(method, path, body).await?).await })
                .await
                .map_err(|_| self.late())?
        });
        answered.map_err(|why| self.unreachable(&why))
    }

    /// Asks for a stream of events, and hands each piece to `take` until that answers false. One that `follows` may be silent for
    /// any time. Another answer is handed back.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`], or the stream breaks off, or `take` fails.
    pub(crate) fn stream(
        &self,
        path: &str,
        follows: bool,
        mut take: impl FnMut(&[u8]) -> Result<bool, String>,
    ) -> Result<Option<Answer>, Failure> {
        let answered = run(async {
            let mut response =
                timeout(self.patience, self.send("GET", path, None)).await.map_err(|_| self.late())??;
            let is_of_events =
                response.headers().get(CONTENT_TYPE).is_some_and(|of| of.as_bytes().starts_with(EVENTS.as_bytes()));
            if !response.status().is_success() || !is_of_events {
                return timeout(self.patience, whole(response)).await.map_err(|_| self.late())?.map(Some);
            }
            loop {
                let next = response.frame();
                let frame =
                    if follows { next.await } else { timeout(self.patience, next).await.map_err(|_| self.late())? };
                let Some(frame) = frame else { return Ok(None) };
                if let Some(piece) = frame.map_err(|error| error.to_string())?.data_ref()
                    && !take(piece)?
                {
                    return Ok(None);
                }
            }
        });
        answered.map_err(|why| self.unreachable(&why))
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, String> {
        let stream = dial(&self.address, Instant::now() + self.patience).await.map_err(|error| {
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

    fn late(&self) -> String {
        format!("no answer within {} s", self.patience.as_secs())
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::Server(format!("{}: {why}", self.address))
    }
}

async fn whole(response: Response<Incoming>) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY).collect().await.map_err(|error| {
        let is_long = error.is::<LengthLimitError>();
        if is_long { format!("the answer is longer than {} MiB", BODY / 1024 / 1024) } else { error.to_string() }
    })?;
    Ok(Answer { status, body: body.to_bytes() })
}

fn run<T>(exchange: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().map_err(|error| plain(&error))?;
    let answered = runtime.block_on(exchange);
    // Looking up a name cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    answered
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_stream_that_nobody_follows_may_not_be_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let silent = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            assert!(client.read(&mut [0; 4096]).unwrap() > 0);
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").unwrap();
            // Until the client has given up.
            let _ = client.read(&mut [0]);
        });
        let server =
            Server { address, user_agent: "test", token: None, hint: "", patience: Duration::from_millis(1500) };
        let mut taken = Vec::new();
        let ended = server.stream("/", false, |piece| {
            taken.extend_from_slice(piece);
            Ok(true)
        });
        let why = ended.unwrap_err().to_string();
        assert!(why.ends_with("no answer within 1 s"), "{why}");
        assert_eq!(taken, b"data: 1\n\n");
        silent.join().unwrap();
    }
}
