//! HTTP/2 (RFC 9113), as far as it is not the library's: how a connection begins, and heads in the form of HTTP/1.1.

pub(crate) mod answer; // responses of our own
mod code; // why a stream or a connection ends
pub(crate) mod head; // what rules and handlers read
pub(crate) mod host; // another host
pub(crate) mod preface; // how a client begins

pub use code::{ErrorCode, UnknownErrorCode};

/// HTTP/2 within TLS, as ALPN calls it (RFC 9113, section 3.2).
pub(crate) const ALPN: &[u8] = b"h2";
