//! The errors with which a handler's work on a connection ends.

use std::io;

/// Why a handler's work on a connection ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client reset its connection, or closed both its directions.
    #[error("the client left")]
    ClientLeft,
    /// The handler was replaced or the daemon stops, and the call cannot continue.
    #[error("the call was released: its handler was replaced or the daemon is stopping")]
    Released,
    /// Reading from or writing to the client failed.
    #[error("client: {0}")]
    Client(#[source] io::Error),
    /// Reading from or writing to the backend failed.
    #[error("backend: {0}")]
    Backend(#[source] io::Error),
    /// A handler returned a verdict about the reply, such as [`Verdict::Inject`](crate::Verdict::Inject), before there was one, or
    /// one about the TLS handshake when that was over. Its connection is reset.
    #[error("handler: verdicts about the reply are only allowed in `after`, those about the handshake in `accept`")]
    NoReplyYet,
    /// A handler failed for a reason of its own. Its connection is reset.
    #[error("handler: {0}")]
    Handler(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The text of a system error for use inside a line: without its number, first letter in lower case.
pub(crate) fn plain(error: &io::Error) -> String {
    let why = error.to_string();
    let why = why.split(" (os error").next().unwrap_or_default();
    let (first, rest) = why.split_at(why.chars().next().map_or(0, char::len_utf8));
    first.to_lowercase() + rest
}

/// The result of a handler's work.
pub type Result<T, E = Error> = std::result::Result<T, E>;
