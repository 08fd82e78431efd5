//! Failures that a protocol has errors of its own for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Protocol, memcache, redis};

/// A kind of failure. `redis` and `memcache` have an error for some of them each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FailureKind {
    /// `redis`: any error, `-ERR`.
    Err,
    /// `redis`: the server loads its data.
    Loading,
    /// `redis`: a script runs; `memcache`: the server is busy.
    Busy,
    /// `redis`: a write to a replica.
    Readonly,
    /// `redis` and `memcache`: no memory for a write.
    Oom,
    /// `redis`: another node has the slot of the key.
    Moved,
    /// `redis`: another node has the key for now.
    Ask,
    /// `redis`: a slot moves, and its keys are on two nodes.
    Tryagain,
    /// `redis`: the cluster is down.
    Clusterdown,
    /// `redis`: a replica without its master.
    Masterdown,
    /// `redis`: the client has not logged in.
    Noauth,
    /// `redis`: a login with a wrong password.
    Wrongpass,
    /// `redis`: EVALSHA of an unknown script.
    Noscript,
    /// `redis`: no writes, because snapshots fail.
    Misconf,
    /// `memcache`: the server failed.
    #[serde(rename = "server_error")]
    ServerError,
    /// `memcache`: the request is invalid.
    #[serde(rename = "client_error")]
    ClientError,
    /// `memcache`: the command is unknown.
    Error,
}

impl FailureKind {
    /// Those that `protocol` has an error for; empty for `tcp`, and for `http` and `grpc`, which have statuses.
    #[must_use]
    pub fn of(protocol: Protocol) -> &'static [Self] {
        match protocol {
            Protocol::Redis => &redis::KINDS,
            Protocol::Memcache => &memcache::KINDS,
            Protocol::Tcp | Protocol::Http | Protocol::Grpc => &[],
        }
    }

    /// All kinds, in the order of the options.
    #[cfg(feature = "program")]
    pub(crate) const ALL: [Self; 17] = [
        Self::Err,
        Self::Loading,
        Self::Busy,
        Self::Readonly,
        Self::Oom,
        Self::Moved,
        Self::Ask,
        Self::Tryagain,
        Self::Clusterdown,
        Self::Masterdown,
        Self::Noauth,
        Self::Wrongpass,
        Self::Noscript,
        Self::Misconf,
        Self::ServerError,
        Self::ClientError,
        Self::Error,
    ];

    /// The names of `kinds`, as a message lists them.
    #[cfg(feature = "program")]
    pub(crate) fn names(kinds: &[Self]) -> String {
        kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }

    /// The name in options: `readonly`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Err => "err",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::Readonly => "readonly",
            Self::Oom => "oom",
            Self::Moved => "moved",
            Self::Ask => "ask",
            Self::Tryagain => "tryagain",
            Self::Clusterdown => "clusterdown",
            Self::Masterdown => "masterdown",
            Self::Noauth => "noauth",
            Self::Wrongpass => "wrongpass",
            Self::Noscript => "noscript",
            Self::Misconf => "misconf",
            Self::ServerError => "server_error",
            Self::ClientError => "client_error",
            Self::Error => "error",
        }
    }

    /// Whether it sends the client to another node.
    #[must_use]
    pub const fn redirects(self) -> bool {
        matches!(self, Self::Moved | Self::Ask)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure, told as the server of the protocol tells it.
///
/// ```
/// use vaurien::{Answer, Failure, FailureKind};
///
/// let readonly = Answer::failure(Failure::new(FailureKind::Readonly));
/// let elsewhere = Answer::failure(Failure::new(FailureKind::Moved).to("10.0.0.7:6379"));
/// # drop((readonly, elsewhere));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) kind: FailureKind,
    pub(super) message: Option<String>,
    pub(super) to: Option<String>,
}

impl Failure {
    /// With the text that the server has for it.
    #[must_use]
    pub fn new(kind: FailureKind) -> Self {
        Self { kind, message: None, to: None }
    }

    /// With another text. Control characters become blanks.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.message = Some(message.replace(char::is_control, " "));
        self
    }

    /// The `host:port` that [`FailureKind::Moved`] and [`FailureKind::Ask`] send the client to. The slot is that of the first key,
    /// or 0 for a command without one.
    #[must_use]
    pub fn to(mut self, address: impl fmt::Display) -> Self {
        self.to = Some(address.to_string());
        self
    }

    /// The text in place of the server's own, or for a protocol that lacks the kind.
    pub(super) fn text(&self) -> &str {
        self.message.as_deref().unwrap_or(INJECTED)
    }

    /// What it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.message.as_ref().map_or(0, String::len) + self.to.as_ref().map_or(0, String::len)
    }
}

/// What an error says that has no better text.
pub(crate) const INJECTED: &str = "injected by vaurien";

impl Protocol {
    /// The reply to the request with this head that tells the failure. A protocol that lacks the kind tells its most general
    /// error; `None` if it has no errors.
    pub(crate) fn failure(self, failure: &Failure, head: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Redis => Some(redis::failure(failure, head)),
            Self::Memcache => Some(memcache::failure(failure, head)),
            Self::Tcp | Self::Http | Self::Grpc => None,
        }
    }

    /// The reply to the request with this head that says that there is nothing; `None` if the request has no such reply.
    pub(crate) fn miss(self, head: &[u8], mode: Mode) -> Option<Vec<u8>> {
        match self {
            Self::Redis => redis::miss(head, mode),
            Self::Memcache => memcache::miss(head),
            Self::Tcp | Self::Http | Self::Grpc => None,
        }
    }
}

/// What earlier requests of a connection have decided about the replies to later ones.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(crate) struct Mode {
    /// `redis`: replies are in RESP3. The replies before its own decide.
    pub(crate) resp3: bool,
    /// `redis`: the request stands in a transaction, and is queued.
    pub(crate) queued: bool,
    /// `redis`: the request ends a transaction.
    pub(crate) ends_transaction: bool,
    /// `redis`: the request would execute a transaction in which one was refused.
    pub(crate) aborts: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_options() {
        for kind in [redis::KINDS.as_slice(), &memcache::KINDS].concat() {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
