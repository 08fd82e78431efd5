//! HTTP/2 (RFC 9113).

mod code;

pub use code::{ErrorCode, UnknownErrorCode};
