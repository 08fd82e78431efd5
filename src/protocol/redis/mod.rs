//! `redis`: one command, its one reply, in RESP2 and RESP3.
//!
//! A command is an array of bulk strings or an inline line; its reply is one value, found by its own shape. The
//! specification is <https://redis.io/docs/latest/develop/reference/protocol-spec/>, for streamed values and attributes
//! <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.
//!
//! Three things keep commands and replies paired:
//!
//! - Commands after which replies no longer follow commands one to one (MONITOR, replication, `CLIENT REPLY OFF`,
//!   subscriptions in RESP2) turn the connection opaque at their first byte.
//! - In RESP3 pushes belong to no call, with one exception: a subscription is confirmed by pushes, which are its reply.
//!   The request says how many to [`Expect`]. Confirmations that come as something else, because HELLO was refused or
//!   MULTI queues them, turn the replies opaque, so a guess about the protocol's version is never trusted for long.
//! - A length is believed: bodies are skipped, not read, and the line end behind a body is counted, as Redis does it.

mod command;
mod inline;
mod number;
mod replies;
mod requests;
mod value;

pub use replies::Replies;
pub use requests::{Requests, words};

/// What a subscription's reply looks like in RESP3: the pushes that confirm it, or one error. Every other command expects
/// [`super::Expect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// What the pushes confirm.
    pub subscription: Subscription,
    /// How many there will be; 0 when only the backend knows, since the command named no channel. Then the first ends
    /// the reply and those that follow it belong to no call.
    pub confirmations: u32,
}

/// The commands that are confirmed by pushes, one for each channel or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the commands of these names")]
pub enum Subscription {
    Subscribe,
    Psubscribe,
    Ssubscribe,
    Unsubscribe,
    Punsubscribe,
    Sunsubscribe,
}

impl Subscription {
    /// The command called `name`, in lower case.
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

    /// Whether it may name no channel and then means all of them.
    fn ends(self) -> bool {
        matches!(self, Self::Unsubscribe | Self::Punsubscribe | Self::Sunsubscribe)
    }

    /// The first element of the push that confirms it, as it is sent.
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
