//! What a client asks for in its first message (RFC 8446, section 4.1.2), before it is answered.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::ReadBuf;

use super::super::socket::Socket;
use super::stream::{Session, State, TlsStream};
use super::{Alpn, failure};

/// How much is read at once, in bytes: most messages are shorter.
const READ: usize = 4096;

/// The answer to a request without TLS.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 57\r\nConnection: close\r\n\r\n\
    vaurien: this port speaks TLS, write https:// in the URL\n";

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The name of the server that it wants (SNI, RFC 6066, section 3).
    pub(crate) server_name: Option<String>,
    /// The protocols that it speaks, the one to prefer first.
    pub(crate) alpn: Vec<Alpn>,
}

impl TlsStream {
    /// A client that will ask for TLS.
    pub(crate) fn of_client(socket: Socket) -> Self {
        Self::new(socket, State::Silent)
    }

    /// Reads what the client asks for.
    ///
    /// # Errors
    ///
    /// The client has left, or does not speak TLS.
    pub(crate) async fn hello(&self) -> io::Result<Hello> {
        let mut acceptor = Acceptor::default();
        let accepted =
            poll_fn(|cx| poll_accept(cx, self.socket(), &mut acceptor)).await.map_err(|no| self.refuse(no))?;
        let hello = {
            let hello = accepted.client_hello();
            Hello {
                server_name: hello.server_name().map(str::to_owned),
                alpn: hello.alpn().map(|alpn| alpn.map(<[u8]>::to_vec).collect()).unwrap_or_default(),
            }
        };
        self.set_state(State::Asks(Box::new(accepted)));
        Ok(hello)
    }

    /// Answers, and waits until both sides have keys.
    ///
    /// # Errors
    ///
    /// The client has left, or does not accept the answer.
    pub(super) async fn answer(&self, config: Arc<ServerConfig>) -> io::Result<()> {
        let State::Asks(accepted) = self.set_state(State::Silent) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        match accepted.into_connection(config) {
            Ok(tls) => drop(self.set_state(State::Open(Box::new(Session::new(tls))))),
            Err((error, alert)) => return Err(self.refuse(Refusal::new(failure::of_client(error), alert))),
        }
        poll_fn(|cx| self.poll_handshake(cx)).await.map_err(failure::of_client_session)
    }

    /// Why there is no session. The client is told when the stream ends.
    fn refuse(&self, Refusal { error, told }: Refusal) -> io::Error {
        self.set_state(State::Refused(told));
        error
    }

    /// Answers with these bytes, which are no session.
    pub(super) async fn answer_with(&self, bytes: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.socket().poll_write(cx, bytes)).await?;
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Why a client is refused, and what it is told.
struct Refusal {
    error: io::Error,
    told: Vec<u8>,
}

impl Refusal {
    fn new(error: io::Error, mut alert: AcceptedAlert) -> Self {
        let mut told = Vec::new();
        // Memory takes everything.
        let _ = alert.write_all(&mut told);
        Self { error, told }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { error, told: Vec::new() }
    }
}

fn poll_accept(cx: &mut Context<'_>, socket: &Socket, acceptor: &mut Acceptor) -> Poll<Result<Accepted, Refusal>> {
    loop {
        let mut read = [0; READ];
        let mut buffer = ReadBuf::new(&mut read);
        ready!(socket.poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        let mut left = buffer.filled();
        let mut accepted = Ok(None);
        while !left.is_empty() && matches!(accepted, Ok(None)) {
            acceptor.read_tls(&mut left)?;
            accepted = acceptor.accept();
        }
        match accepted {
            Ok(Some(accepted)) => return Poll::Ready(Ok(accepted)),
            Ok(None) => {}
            Err((error, alert)) => {
                let received = buffer.filled();
                let error = failure::of_plain(received).unwrap_or_else(|| failure::of_client(error));
                let mut refusal = Refusal::new(error, alert);
                if failure::is_http(received) {
                    refusal.told = PLAIN_HTTP.to_vec();
                }
                return Poll::Ready(Err(refusal));
            }
        }
    }
}
