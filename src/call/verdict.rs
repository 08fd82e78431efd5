//! What a handler decides about a call.

use bytes::Bytes;
use rand::Rng;

use super::CallState;
use crate::events::Action;
use crate::fault::End;
use crate::size::{Amount, Rate, Size};

/// What a handler decides about a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The call goes on unaltered.
    Pass,
    /// The rest of the message is read and dropped, and the client gets this answer in place of the reply, after the replies
    /// of earlier calls. A call without a reply gets no answer.
    Answer(Answer),
    /// The reply goes on with these bytes in its middle, or in the middle of its first 64 KiB if its length is unknown. Only
    /// [`after`](crate::handler::Handler::after) has a reply; elsewhere the connection is reset.
    Inject(Bytes),
    /// The beginning of the reply goes on, then the connection ends in the middle of it. Only
    /// [`after`](crate::handler::Handler::after) has a reply; elsewhere the connection is reset.
    Cut {
        /// How much goes on: bytes of the reply, with `http` of its body; or a part of its data. Data is the body, the value
        /// or the line, as far as its length is announced, else what is here of it. A reply that is no longer passes.
        after: Amount,
        /// How the connection ends.
        end: End,
    },
    /// The reply goes on at a limited rate. With `tcp`, all that comes until the next call. Only
    /// [`after`](crate::handler::Handler::after) has a reply; elsewhere the connection is reset.
    Slow {
        /// How fast.
        rate: Rate,
        /// How much goes on at once.
        first: Size,
    },
    /// The reply goes on with one bit flipped in this many bytes of its data, drawn from the stream of the call. What delimits
    /// messages stays as it is; a reply without data passes. Only [`after`](crate::handler::Handler::after) has a reply;
    /// elsewhere the connection is reset.
    Corrupt {
        /// In how many bytes; in all of them if there are fewer.
        bytes: u64,
    },
    /// The client's connection is closed after the replies of earlier calls: the client reads an end of file.
    Close,
    /// The client's connection is reset, after the replies of earlier calls: the client reads `ECONNRESET`.
    Reset,
}

impl Verdict {
    /// What it does to the call, unless the call passes.
    pub(crate) fn action(&self) -> Option<Action> {
        match self {
            // Whether these do anything shows as the reply passes.
            Self::Pass | Self::Cut { .. } | Self::Slow { .. } | Self::Corrupt { .. } => None,
            Self::Answer(_) => Some(Action::Answer),
            Self::Inject(_) => Some(Action::Inject),
            Self::Close => Some(Action::Close),
            Self::Reset => Some(Action::Reset),
        }
    }
}

/// What the client gets in place of a reply: bytes as they are, well formed or not.
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

    /// `len` random bytes from the stream of the call, of which a client notices at once that they are no reply: the first is
    /// 0xC0 to 0xFE, and they are one line, which ends with them. They are drawn when they are sent, and take no memory until
    /// then.
    #[must_use]
    pub fn random(len: usize) -> Self {
        Self { content: Content::Random(len), close: false }
    }

    /// Closes the client's connection after the answer.
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

    /// How much memory it takes until it is sent, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Random(_) => 0,
        }
    }

    pub(crate) fn into_bytes(self, call: &mut CallState) -> Bytes {
        match self.content {
            Content::Bytes(bytes) => bytes,
            Content::Random(len) => junk(call.random(), len),
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
