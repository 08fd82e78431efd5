//! What the client gets in place of a reply.

use std::time::SystemTime;

use bytes::Bytes;
use rand::Rng;

use super::CallState;
use crate::error::Error;
use crate::protocol::grpc;
use crate::protocol::http::{self, BadField, Response};
use crate::protocol::{Failure, FailureKind, Mode, Protocol};

/// What the client gets in place of a reply. The protocol writes it when its turn has come, so that it is well formed
/// wherever it stands: in a pipeline, after HEAD, in memcached's binary protocol, in RESP2 and RESP3.
#[derive(Debug, Clone)]
pub struct Answer {
    content: Content,
    close: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Bytes),
    Random(usize),
    Failure(Box<Failure>),
    Response(Box<Response>),
    Miss,
}

/// An answer as the protocol writes it.
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    /// Whether the client's connection closes after it.
    pub(crate) close: bool,
}

impl Answer {
    /// These bytes as they are, well formed or not.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Content::Bytes(bytes.into()).into()
    }

    /// `len` random bytes from the stream of the call, of which a client notices at once that they are no reply: the first is
    /// 0xC0 to 0xFE, and they are one line, which ends with them. They are drawn when they are sent, and take no memory until
    /// then.
    #[must_use]
    pub fn random(len: usize) -> Self {
        Content::Random(len).into()
    }

    /// The protocol's own error. A protocol that lacks the kind tells its most general one: `-ERR`, `SERVER_ERROR`, 500. `grpc`
    /// tells the status that is most like it. With `tcp`, which has no errors, the connection closes.
    #[must_use]
    pub fn failure(failure: Failure) -> Self {
        Content::Failure(failure.into()).into()
    }

    /// A response of `http`, with `grpc` such as [`grpc::trailers_only`] makes. Other protocols answer as to a
    /// [`failure`](Self::failure) that they lack.
    #[must_use]
    pub fn response(response: Response) -> Self {
        Content::Response(response.into()).into()
    }

    /// That there is nothing: nil or an empty array, a miss, a 404, `NOT_FOUND`. A call that has no such reply is answered as with a
    /// [`failure`](Self::failure): ask [`Call::can_miss`](super::Call::can_miss).
    #[must_use]
    pub fn miss() -> Self {
        Content::Miss.into()
    }

    /// Closes the client's connection after the answer.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// How much memory it takes until it is sent, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Failure(failure) => failure.weight(),
            Content::Response(response) => response.weight(),
            Content::Random(_) | Content::Miss => 0,
        }
    }

    /// Whether it depends on the request's head how it is written.
    pub(crate) fn needs_head(&self) -> bool {
        !matches!(self.content, Content::Bytes(_) | Content::Random(_))
    }

    /// Writes it in reply to `call`.
    pub(crate) fn write(self, call: &mut CallState) -> Written {
        let mut written = match self.content {
            Content::Bytes(bytes) => bytes.into(),
            Content::Random(len) => junk(call.random(), len).into(),
            Content::Failure(failure) => Written::failure(&failure, call.protocol, &call.head),
            Content::Response(response) => Written::response(&response, call.protocol, &call.head),
            Content::Miss => Written::miss(call.protocol, &call.head, call.mode),
        };
        written.close |= self.close;
        written
    }

    /// The response to the request with this head, if it is one.
    #[cfg(feature = "program")]
    pub(crate) fn to_http(&self, head: &[u8]) -> Option<Bytes> {
        let written = match &self.content {
            Content::Bytes(bytes) => return Some(bytes.clone()),
            Content::Random(_) => return None,
            Content::Failure(failure) => Written::failure(failure, Protocol::Http, head),
            Content::Response(response) => Written::response(response, Protocol::Http, head),
            Content::Miss => Written::miss(Protocol::Http, head, Mode::default()),
        };
        Some(written.bytes)
    }
}

/// So that a handler may write `Response::new(429).header("Retry-After", "2")?`.
impl From<BadField> for Error {
    fn from(bad: BadField) -> Self {
        Self::Handler(bad.into())
    }
}

impl From<Content> for Answer {
    fn from(content: Content) -> Self {
        Self { content, close: false }
    }
}

impl From<Bytes> for Written {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, close: false }
    }
}

impl Written {
    fn response(response: &Response, protocol: Protocol, head: &[u8]) -> Self {
        if !protocol.is_http() {
            return Self::failure(&Failure::new(FailureKind::Err), protocol, head);
        }
        let http::Answer { bytes, close } = http::respond(head, response, SystemTime::now());
        Self { bytes: bytes.into(), close }
    }

    fn failure(failure: &Failure, protocol: Protocol, head: &[u8]) -> Self {
        match protocol.failure(failure, head) {
            Some(bytes) => Bytes::from(bytes).into(),
            None if protocol == Protocol::Grpc => Self::response(&grpc::failed(failure), protocol, head),
            None if protocol.is_http() => Self::response(&Response::new(500), protocol, head),
            None => Self { bytes: Bytes::new(), close: true },
        }
    }

    fn miss(protocol: Protocol, head: &[u8], mode: Mode) -> Self {
        match protocol.miss(head, mode) {
            Some(bytes) => Bytes::from(bytes).into(),
            None if protocol == Protocol::Grpc => Self::response(&grpc::missed(), protocol, head),
            None if protocol.is_http() => Self::response(&Response::new(404), protocol, head),
            None => Self::failure(&Failure::new(FailureKind::Err), protocol, head),
        }
    }
}

/// `len` bytes drawn from `stream`, as [`Answer::random`] has them. A parser that reads lines would wait after any others.
fn junk(stream: &mut impl Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    stream.fill_bytes(&mut bytes);
    for byte in &mut bytes {
        if matches!(byte, b'\r' | b'\n') {
            *byte |= 0x80;
        }
    }
    if let [first, .., before_last, last] = bytes.as_mut_slice() {
        *first = 0xC0 + *first % 63;
        (*before_last, *last) = (b'\r', b'\n');
    }
    bytes.into()
}

/// `len` bytes drawn from `stream`.
pub(crate) fn random(stream: &mut impl Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    stream.fill_bytes(&mut bytes);
    bytes.into()
}
