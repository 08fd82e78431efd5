//! Finds messages in a stream of bytes.
//!
//! A framer is a pure state machine: it is shown the bytes that have not been passed on yet and returns the next
//! [`Step`]. It does no I/O, reads no clock, keeps no bytes and never allocates in proportion to what a peer sends.
//! [`Requests`] frames what the client sends, [`Replies`] what the backend sends. The shape of a reply often depends on
//! its request, so each call carries an [`Expect`] from one to the other.

pub(crate) mod detour;
mod failure;
pub(crate) mod foreign;
pub mod grpc;
pub mod http;
pub mod http2;
pub mod memcache;
mod payload;
pub(crate) mod proxy_header;
pub mod redis;
mod session;
pub mod tcp;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use failure::Mode;
pub use failure::{Failure, FailureKind};
pub(crate) use payload::Payload;
pub(crate) use session::Session;

/// How messages are found in a connection's bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Any protocol on TCP. There are no messages, only turns.
    #[default]
    Tcp,
    /// RESP2 and RESP3.
    Redis,
    /// memcached's text, meta and binary commands. The original vaurien's spelling `memache` is accepted.
    #[serde(alias = "memache")]
    Memcache,
    /// HTTP/1.0 and 1.1.
    Http,
    /// [`Http`](Self::Http) whose calls are those of gRPC: errors of vaurien's own are statuses of gRPC.
    Grpc,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Redis, Self::Memcache, Self::Http, Self::Grpc];

    /// The name in options and files: `tcp`, `redis`, `memcache`, `http` or `grpc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Redis => "redis",
            Self::Memcache => "memcache",
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }

    /// Whether its messages are those of HTTP: `http` and `grpc`.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Grpc)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No protocol has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of tcp, redis, memcache, http, grpc")]
pub struct UnknownProtocol(String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        let spelled = if name == "memache" { "memcache" } else { name };
        Self::ALL.into_iter().find(|known| known.name() == spelled).ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

/// The longest head (command and key, request line and headers), in bytes; of HTTP unless it is set. A longer one turns
/// the connection opaque.
pub const MAX_HEAD: usize = 64 * 1024;

/// What the next bytes of a direction are.
///
/// Each `len` counts from the start of the bytes shown, and is at least 1 and at most their number. The caller passes
/// on that many and shows the rest again. `left` is how many bytes of the same message follow these: `Some(0)` ends the
/// message, `None` means that the number is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The bytes end inside a head. Nothing was consumed: show them again together with more.
    More,
    /// Requests only: the meaning of the next bytes depends on an open reply. Show them again when it has ended.
    Wait,
    /// The next `len` bytes belong to no call: a blank line between requests, a push, an interim response, a greeting.
    Pass(usize),
    /// Requests only: a call begins. Its head is the first `head` bytes; `len` may include a part of the body.
    Call {
        /// Bytes of the request received so far, head included.
        len: usize,
        /// Bytes of the head, which a handler sees.
        head: usize,
        /// Bytes still to come.
        left: Option<u64>,
        /// The shape of the reply.
        expect: Expect,
    },
    /// The next part of the current message. Replies begin with a part as well.
    Part {
        /// Bytes of this part.
        len: usize,
        /// Bytes still to come.
        left: Option<u64>,
    },
    /// Replies only: the expected call gets no reply (a quiet command with nothing to report). Nothing was consumed:
    /// ask again with the next call.
    Unanswered,
    /// From these bytes on, messages cannot be told apart, for this reason.
    Opaque(&'static str),
}

/// The shape of a call's reply, as far as its request decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)] // Reading a one-byte tag together with its neighbours stalls for several nanoseconds a call.
pub enum Expect {
    /// No reply: `noreply`.
    Nothing,
    /// One reply, which shows where it ends.
    Reply,
    /// What `redis` needs to know.
    Redis(redis::Expect),
    /// With `redis`, one reply: unless it refuses HELLO or RESET, replies behind it are in this version of RESP.
    Resp {
        /// RESP3, otherwise RESP2.
        is_3: bool,
    },
    /// What `memcache` needs to know.
    Memcache(memcache::Expect),
    /// What HTTP needs to know.
    Http(http::Expect),
}

impl Expect {
    /// Whether the next reply is certainly this call's: a call of another kind may be left unanswered.
    pub(crate) fn is_certain(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Memcache(expect) => expect.is_certain(),
            Self::Reply | Self::Redis(_) | Self::Resp { .. } | Self::Http(_) => true,
        }
    }

    /// For a call whose reply may be missing: a request that certainly gets a reply, and what it expects. Sent behind the
    /// call, it shows that the call stays without one.
    pub(crate) fn no_op(self) -> Option<(&'static [u8], Self)> {
        match self {
            Self::Memcache(expect) => expect.no_op(),
            _ => None,
        }
    }
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
    /// `http` and `grpc`.
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
    /// `http` and `grpc`.
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
            Self::Http | Self::Grpc => Requests::Http(http::Requests::default()),
        }
    }

    /// The same, where heads of HTTP have at most `max_head` bytes.
    pub(crate) fn requests_with(self, max_head: usize) -> Requests {
        match self {
            Self::Http | Self::Grpc => Requests::Http(http::Requests::with_max_head(max_head)),
            other => other.requests(),
        }
    }

    /// A framer for the replies of a new connection to the backend.
    #[must_use]
    pub fn replies(self) -> Replies {
        match self {
            Self::Tcp => Replies::Tcp(tcp::Replies),
            Self::Redis => Replies::Redis(redis::Replies::default()),
            Self::Memcache => Replies::Memcache(memcache::Replies::default()),
            Self::Http | Self::Grpc => Replies::Http(http::Replies::default()),
        }
    }

    /// The same, where heads of HTTP have at most `max_head` bytes.
    pub(crate) fn replies_with(self, max_head: usize) -> Replies {
        match self {
            Self::Http | Self::Grpc => Replies::Http(http::Replies::with_max_head(max_head)),
            other => other.replies(),
        }
    }

    /// The command and the key (method and path) in a request's head. A missing one is empty.
    #[must_use]
    pub fn words(self, head: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Self::Tcp => (&[], &[]),
            Self::Redis => redis::words(head),
            Self::Memcache => memcache::words(head),
            Self::Http | Self::Grpc => http::words(head),
        }
    }

    /// Whether the request with this head has a key by which a node of a cluster is chosen.
    pub(crate) fn has_key(self, head: &[u8]) -> bool {
        self == Self::Redis && redis::key(head).is_some()
    }

    /// The values of a header field. Only HTTP has any.
    pub(crate) fn header<'h>(self, head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
        http::header(if self.is_http() { head } else { &[] }, name)
    }

    /// The values of a parameter of the query. Only HTTP has any.
    pub(crate) fn query<'h>(self, head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
        http::query(if self.is_http() { head } else { &[] }, name)
    }

    /// The interim response for which the client waits before it sends the rest of the request that begins with
    /// `bytes`.
    #[must_use]
    pub fn awaited(self, bytes: &[u8]) -> Option<&'static [u8]> {
        (self.is_http() && http::expects_continue(bytes)).then_some(http::CONTINUE)
    }
}

impl Requests {
    /// As [`Protocol::words`], of the latest request, which begins with this head; none if it would have to be read again.
    #[inline]
    pub(crate) fn words<'h>(&self, head: &'h [u8]) -> Option<(&'h [u8], &'h [u8])> {
        match self {
            Self::Redis(framer) => framer.words(head),
            Self::Tcp(_) | Self::Memcache(_) | Self::Http(_) => None,
        }
    }

    /// What earlier requests have decided about the reply to the latest one, which begins with this head.
    pub(crate) fn mode(&self, head: &[u8]) -> Mode {
        match self {
            Self::Redis(framer) => framer.mode(head),
            Self::Tcp(_) | Self::Memcache(_) | Self::Http(_) => Mode::default(),
        }
    }

    /// Which request the client sent whose reply names other nodes; once.
    pub(crate) fn take_detour(&mut self) -> Option<&'static str> {
        match self {
            Self::Redis(framer) => framer.take_detour(),
            Self::Tcp(_) | Self::Memcache(_) | Self::Http(_) => None,
        }
    }

    /// Whether a request at the end of a transaction, the latest one or one to come, cannot be passed on: one in the transaction
    /// was refused.
    pub(crate) fn has_refused(&self) -> bool {
        matches!(self, Self::Redis(framer) if framer.has_refused())
    }

    /// The latest request, which begins with this head, gets an error of our own.
    pub(crate) fn refuse(&mut self, head: &[u8]) {
        if let Self::Redis(framer) = self {
            framer.refuse(head);
        }
    }

    /// The next step. `bytes` is not empty; `open` is true while a call waits for its reply.
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
    /// The next step. `bytes` is not empty; `expect` belongs to the oldest open call, `None` if no call is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<Expect>) -> Step {
        match self {
            Self::Tcp(framer) => framer.step(bytes, expect),
            Self::Redis(framer) => framer.step(bytes, expect),
            Self::Memcache(framer) => framer.step(bytes, expect),
            Self::Http(framer) => framer.step(bytes, expect),
        }
    }

    /// Whether the current reply ends only when its connection ends.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::Http(framer) if framer.ends_with_connection())
    }

    /// An answer of our own to a call that expects this has been sent.
    pub(crate) fn answered(&mut self, expect: Expect, answer: &[u8]) {
        if let Self::Redis(framer) = self {
            framer.answered(expect, answer);
        }
    }

    /// What the replies so far have decided about an answer of our own to a request with this `mode`.
    pub(crate) fn mode(&self, mode: Mode) -> Mode {
        match self {
            Self::Redis(framer) => Mode { resp3: framer.is_resp3(), ..mode },
            Self::Tcp(_) | Self::Memcache(_) | Self::Http(_) => mode,
        }
    }

    /// Whether the bytes passed on end inside a message, including one that belongs to no call.
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

/// Subtracts the smaller of `left` and `available` from `left`, and returns it.
fn skip(left: &mut u64, available: usize) -> usize {
    let len = usize::try_from(*left).map_or(available, |left| left.min(available));
    *left -= len as u64;
    len
}

/// The value of `digits`; `None` unless they are one or more decimal digits and fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
