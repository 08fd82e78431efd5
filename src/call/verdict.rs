//! What a handler decides about a call.

use bytes::Bytes;
use rand::Rng;

use super::CallState;
use crate::events::Action;

/// What a handler decides about a call. Where it is an error, the connection is reset.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on unaltered.
    Pass,
    /// The rest of its message is read and dropped, and this reaches the client in the reply's place, after the replies of
    /// earlier calls. A call that has no reply is not answered.
    Answer(Answer),
    /// The reply goes on with these bytes in its middle. (In the middle of its first 64 KiB, where the protocol does not
    /// tell how long it will be.) Only [`after`](crate::handler::Handler::after) has a reply; elsewhere it is an error.
    Inject(Bytes),
    /// The client's connection ends in order, after the replies of earlier calls: the client reads an end of file.
    Close,
    /// The client's connection is reset, after the replies of earlier calls: the client reads `ECONNRESET`.
    Reset,
}

impl Verdict {
    /// What it does to the call, if that does not pass.
    pub(crate) fn action(&self) -> Option<Action> {
        match self {
            Self::Pass => None,
            Self::Answer(_) => Some(Action::Answer),
            Self::Inject(_) => Some(Action::Inject),
            Self::Close => Some(Action::Close),
            Self::Reset => Some(Action::Reset),
        }
    }
}

/// What reaches the client in place of a reply: bytes as they are. Whether the client understands them is the handler's to
/// know.
#[derive(Debug, Clone)]
pub struct Answer {
    content: Content,
    pub(crate) close: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Bytes),
    Random(usize),
}

impl Answer {
    /// These bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Bytes(bytes.into()), close: false }
    }

    /// `len` random bytes from the call's own stream. They are drawn when their turn comes and take no memory until then.
    #[must_use]
    pub fn random(len: usize) -> Self {
        Self { content: Content::Random(len), close: false }
    }

    /// And then the client's connection is closed, in order.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// The bytes, unless they are yet to be drawn.
    #[cfg(feature = "program")]
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::Random(_) => None,
        }
    }

    /// How many bytes the client gets.
    #[cfg(feature = "program")]
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Random(len) => *len,
        }
    }

    /// Bytes of memory that it takes until its turn.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Random(_) => 0,
        }
    }

    pub(crate) fn into_bytes(self, call: &mut CallState) -> Bytes {
        match self.content {
            Content::Bytes(bytes) => bytes,
            Content::Random(len) => random(call.random(), len),
        }
    }
}

/// `len` bytes drawn from `stream`.
pub(crate) fn random(stream: &mut impl Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    stream.fill_bytes(&mut bytes);
    bytes.into()
}
