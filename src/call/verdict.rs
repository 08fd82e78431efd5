//! What a handler decides about a call.

use bytes::Bytes;

use super::Answer;
use crate::events::Action;
use crate::fault::End;
use crate::net::tls::TlsFault;
use crate::protocol::http2::ErrorCode;
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
    /// The TLS handshake with the client goes wrong. Only [`accept`](crate::handler::Handler::accept) comes before it, of a
    /// handler with [`Scope::Handshake`](crate::handler::Scope::Handshake); elsewhere the connection is reset.
    Handshake(TlsFault),
    /// The client's connection is closed after the replies of earlier calls: the client reads an end of file. With HTTP/2 the stream
    /// of the call alone is reset, with `CANCEL`.
    Close,
    /// The client's connection is reset, after the replies of earlier calls: the client reads `ECONNRESET`. With HTTP/2 the stream
    /// of the call alone is reset, with `INTERNAL_ERROR`.
    Reset,
    /// As [`Reset`](Self::Reset); with HTTP/2 this is the code.
    ResetStream(ErrorCode),
    /// The client's connection is reset, with HTTP/2 as well: all calls that are under way on it fail.
    ResetConnection,
    /// With HTTP/2 the client gets GOAWAY with this code. With `NO_ERROR` this call and those under way pass, and the client
    /// opens another connection for the next one; with another code the connection ends. Elsewhere the call passes.
    GoAway(ErrorCode),
}

impl Verdict {
    /// Whether it shapes the reply, together with others.
    pub(crate) fn shapes(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Slow { .. } | Self::Corrupt { .. })
    }

    /// What it does to the call, unless the call passes.
    pub(crate) fn action(&self) -> Option<Action> {
        match self {
            // Whether these do anything shows as the reply passes, or by what the client speaks.
            Self::Pass | Self::Cut { .. } | Self::Slow { .. } | Self::Corrupt { .. } | Self::GoAway(_) => None,
            Self::Answer(_) => Some(Action::Answer),
            Self::Inject(_) => Some(Action::Inject),
            Self::Handshake(_) => Some(Action::Handshake),
            Self::Close => Some(Action::Close),
            Self::Reset | Self::ResetStream(_) | Self::ResetConnection => Some(Action::Reset),
        }
    }
}
