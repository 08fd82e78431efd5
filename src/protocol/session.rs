//! What calls leave behind on the connection to the backend: a login, a transaction, a subscription. The next client of the
//! connection would inherit it.

use super::{Protocol, http, memcache, redis};

/// What the calls of a connection have left behind on it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// There was no call.
    #[default]
    Unused,
    /// Nothing.
    Clean,
    /// Keys that a transaction depends on (WATCH).
    Watching,
    /// A transaction that has not ended (MULTI).
    Transaction,
    /// Something that lasts as long as the connection, or a call that may have left such a thing.
    Kept,
}

impl Session {
    /// Whether another client may use the connection.
    pub(crate) fn is_clean(self) -> bool {
        matches!(self, Self::Unused | Self::Clean)
    }

    /// After the request with this head. Only what is known to leave nothing behind does.
    pub(crate) fn after_request(self, protocol: Protocol, head: &[u8]) -> Self {
        match protocol {
            _ if self == Self::Kept => self,
            Protocol::Tcp => Self::Clean,
            Protocol::Redis => redis::session(self, head),
            Protocol::Memcache => memcache::session(self, head),
            Protocol::Http | Protocol::Grpc => http::session_after_request(head),
        }
    }

    /// After bytes of the client that belong to no call. A PROXY header names a client to the backend.
    pub(crate) fn after_other(self, bytes: &[u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) { self } else { Self::Kept }
    }

    /// After a reply that begins with these bytes, its head among them.
    pub(crate) fn after_reply(self, protocol: Protocol, bytes: &[u8]) -> Self {
        if protocol.is_http() && !http::reply_persists(bytes) { Self::Kept } else { self }
    }
}
