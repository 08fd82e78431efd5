//! How messages are found in a stream of bytes.
//!
//! A framer is a pure state machine: it is shown the bytes that have not been passed on yet and answers with the next
//! [`Step`]. It does no I/O, knows no clock, holds no bytes and never allocates in proportion to what a peer sends.
//! [`Requests`] reads what the client sends, [`Replies`] what the backend sends; what a reply looks like often depends on
//! its request, so each call carries an [`Expect`] from one to the other.

pub mod http;
pub mod memcache;
pub mod redis;
pub mod tcp;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How messages are found in a connection's bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// No messages, only turns: any protocol on TCP.
    #[default]
    Tcp,
    /// RESP2 and RESP3.
    Redis,
    /// memcached's text, meta and binary commands. `memache`, a spelling of old, is read as well.
    #[serde(alias = "memache")]
    Memcache,
    /// HTTP/1.0 and 1.1.
    Http,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Redis, Self::Memcache, Self::Http];

    /// The name by which it is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Redis => "redis",
            Self::Memcache => "memcache",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No protocol has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of tcp, redis, memcache, http")]
pub struct UnknownProtocol(String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let spelled = if name == "memache" { "memcache" } else { name };
        Self::ALL.into_iter().find(|known| known.name() == spelled).ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

/// The largest head (command and key, request line and headers) that is waited for, in bytes. Beyond it a connection
/// turns opaque.
pub const MAX_HEAD: usize = 64 * 1024;

/// What the next bytes of a direction are.
///
/// Each `len` counts from the start of the bytes that were shown, is never 0 and never more than were shown; the caller
/// passes on that many and shows the rest again. `left` is how many bytes of the same message are still to come after
/// these: `Some(0)` ends the message, `None` says that the protocol does not tell yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The bytes end inside a head: show these again with more behind them. Nothing was consumed.
    More,
    /// Requests only: what the next bytes mean depends on a reply that is still open. Show them again when it has ended.
    Wait,
    /// The next `len` bytes belong to no call: a blank line between requests, a push, an interim response, a greeting.
    Pass(usize),
    /// Requests only: a call begins. Its head is the first `head` bytes; `len` may take in body as well.
    Call {
        /// Bytes of the request that are here, head included.
        len: usize,
        /// Bytes of its head: what a handler may look at.
        head: usize,
        /// Bytes still to come.
        left: Option<u64>,
        /// What the reply will look like.
        expect: Expect,
    },
    /// More of the message under way; in replies also its beginning.
    Part {
        /// Bytes of the message that are here.
        len: usize,
        /// Bytes still to come.
        left: Option<u64>,
    },
    /// Replies only: the call that was expected gets no reply (a quiet command that had nothing to say). Nothing was
    /// consumed; ask again with the next call.
    Unanswered,
    /// From these bytes on messages cannot be told apart, and why.
    Opaque(&'static str),
}

/// What a call's reply looks like, as far as its request decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)] // A tag of one byte that is read with its neighbours stalls for several nanoseconds a call.
pub enum Expect {
    /// None at all: `noreply`.
    Nothing,
    /// One reply, delimited by itself.
    Reply,
    /// What `redis` needs to know.
    Redis(redis::Expect),
    /// What `memcache` needs to know.
    Memcache(memcache::Expect),
    /// What `http` needs to know.
    Http(http::Expect),
}

/// Finds messages in what a client sends.
#[derive(Debug)]
pub enum Requests {
    /// `tcp`.
    Tcp(tcp::Requests),
    /// `redis`.
    Redis(redis::Requests),
    /// `memcache`.
    Memcache(memcache::Requests),
    /// `http`.
    Http(http::Requests),
}

/// Finds messages in what a backend sends.
#[derive(Debug)]
pub enum Replies {
    /// `tcp`.
    Tcp(tcp::Replies),
    /// `redis`.
    Redis(redis::Replies),
    /// `memcache`.
    Memcache(memcache::Replies),
    /// `http`.
    Http(http::Replies),
}

impl Protocol {
    /// A framer for the requests of a new connection.
    #[must_use]
    pub fn requests(self) -> Requests {
        match self {
            Self::Tcp => Requests::Tcp(tcp::Requests),
            Self::Redis => Requests::Redis(redis::Requests::default()),
            Self::Memcache => Requests::Memcache(memcache::Requests::default()),
            Self::Http => Requests::Http(http::Requests::default()),
        }
    }

    /// A framer for the replies of a new connection to the backend.
    #[must_use]
    pub fn replies(self) -> Replies {
        match self {
            Self::Tcp => Replies::Tcp(tcp::Replies),
            Self::Redis => Replies::Redis(redis::Replies::default()),
            Self::Memcache => Replies::Memcache(memcache::Replies::default()),
            Self::Http => Replies::Http(http::Replies::default()),
        }
    }

    /// The command and the key (method and path) in a request's head; nothing where there is none.
    #[must_use]
    pub fn words(self, head: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Self::Tcp => (&[], &[]),
            Self::Redis => redis::words(head),
            Self::Memcache => memcache::words(head),
            Self::Http => http::words(head),
        }
    }

    /// The interim response that a client awaits before it sends the rest of the request that begins with `bytes`.
    #[must_use]
    pub fn awaited(self, bytes: &[u8]) -> Option<&'static [u8]> {
        (self == Self::Http && http::expects_continue(bytes)).then_some(http::CONTINUE)
    }
}

impl Requests {
    /// What the next bytes are; `bytes` is not empty, and `open` says whether a call still waits for its reply.
    pub fn step(&mut self, bytes: &[u8], open: bool) -> Step {
        match self {
            Self::Tcp(framer) => framer.step(bytes, open),
            Self::Redis(framer) => framer.step(bytes, open),
            Self::Memcache(framer) => framer.step(bytes, open),
            Self::Http(framer) => framer.step(bytes, open),
        }
    }
}

impl Replies {
    /// What the next bytes are; `bytes` is not empty, and `expect` is that of the oldest open call, if any is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<Expect>) -> Step {
        match self {
            Self::Tcp(framer) => framer.step(bytes, expect),
            Self::Redis(framer) => framer.step(bytes, expect),
            Self::Memcache(framer) => framer.step(bytes, expect),
            Self::Http(framer) => framer.step(bytes, expect),
        }
    }

    /// Whether the reply under way has no other end than its connection's.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::Http(framer) if framer.ends_with_connection())
    }

    /// Whether the bytes that were passed on end within a message, be it one that belongs to no call.
    #[must_use]
    pub fn is_within(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Redis(framer) => framer.is_within(),
            Self::Memcache(framer) => framer.is_within(),
            Self::Http(framer) => framer.is_within(),
        }
    }
}

/// Counts the bytes that are here, `here` at most, off what is still to come, and says how many those were.
fn skip(left: &mut u64, here: usize) -> usize {
    let len = usize::try_from(*left).map_or(here, |left| left.min(here));
    *left -= len as u64;
    len
}

/// A number of decimal digits alone.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
