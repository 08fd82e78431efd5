//! `redis`: a call is one command and its reply, in RESP2 or RESP3.
//!
//! A command is an array of bulk strings or an inline line; a reply is one value. The specification is
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>, for streamed values and attributes
//! <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.
//!
//! Four rules keep commands and replies paired:
//!
//! - Commands after which replies no longer follow commands one to one (MONITOR, replication, `CLIENT REPLY OFF`,
//!   subscriptions in RESP2) turn the connection opaque at their first byte.
//! - In RESP3 pushes belong to no call, with one exception: the pushes that confirm a subscription are its reply. The
//!   request determines how many to [`Expect`]. If anything else comes, because HELLO was refused or MULTI queued the
//!   command, the replies turn opaque. So a wrong assumption about the protocol version does not last.
//! - A cluster that moves a slot ends the subscriptions to its channels by the push that confirms SUNSUBSCRIBE. An error
//!   behind such a confirmation turns the replies opaque: it may be the command's own.
//! - Lengths are trusted: as in Redis, a body and its line end are skipped, not inspected.

mod command;
mod detour;
mod failure;
mod inline;
mod keys;
mod number;
mod payload;
mod replies;
mod requests;
mod session;
mod value;

pub(super) use detour::detour;
pub(crate) use failure::{DISCARD, EXECABORT};
pub(super) use failure::{KINDS, failure, miss};
pub(super) use payload::payload;
pub use replies::Replies;
pub(super) use requests::key;
pub use requests::{Requests, words};
pub(super) use session::session;

/// The reply to a subscription in RESP3: the pushes that confirm it, or one error. Every other command expects
/// [`super::Expect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The command that the pushes confirm.
    pub subscription: Subscription,
    /// The number of pushes. 0 if the command named no channel: then only the backend knows the number, the first push
    /// ends the reply, and later ones belong to no call.
    pub confirmations: u32,
}

/// The commands that are confirmed by pushes, one for each channel or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named after the commands")]
pub enum Subscription {
    Subscribe,
    Psubscribe,
    Ssubscribe,
    Unsubscribe,
    Punsubscribe,
    Sunsubscribe,
}

impl Subscription {
    /// The command with this name, in lower case.
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"subscribe" => Self::Subscribe,
            b"psubscribe" => Self::Psubscribe,
            b"ssubscribe" => Self::Ssubscribe,
            b"unsubscribe" => Self::Unsubscribe,
            b"punsubscribe" => Self::Punsubscribe,
            b"sunsubscribe" => Self::Sunsubscribe,
            _ => return None,
        })
    }

    /// Whether it ends subscriptions: such a command may name no channel and then means all of them.
    fn ends(self) -> bool {
        matches!(self, Self::Unsubscribe | Self::Punsubscribe | Self::Sunsubscribe)
    }

    /// The first element of the push that confirms it, as encoded by the backend.
    fn confirmation(self) -> &'static [u8] {
        match self {
            Self::Subscribe => b"$9\r\nsubscribe\r\n",
            Self::Psubscribe => b"$10\r\npsubscribe\r\n",
            Self::Ssubscribe => b"$10\r\nssubscribe\r\n",
            Self::Unsubscribe => b"$11\r\nunsubscribe\r\n",
            Self::Punsubscribe => b"$12\r\npunsubscribe\r\n",
            Self::Sunsubscribe => b"$12\r\nsunsubscribe\r\n",
        }
    }
}
