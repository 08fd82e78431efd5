//! What can end a connection.

use std::io;

/// Why a handler's work on a connection ended before it was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client reset its connection, or closed both its directions.
    #[error("the client left")]
    ClientLeft,
    /// The daemon stops, or the handler was replaced, and what was held back cannot be taken up again.
    #[error("the call was let go")]
    Released,
    /// Reading from or writing to the client failed.
    #[error("client: {0}")]
    Client(#[source] io::Error),
    /// Reading from or writing to the backend failed.
    #[error("backend: {0}")]
    Backend(#[source] io::Error),
    /// A handler wanted to put bytes into a reply before there was one. Its connection is reset.
    #[error("handler: only `after` has a reply to inject into")]
    NoReplyYet,
    /// A handler failed by itself. Its connection is reset.
    #[error("handler: {0}")]
    Handler(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the system says, as one says it within a line: without its number, and no sentence.
pub(crate) fn plain(error: &io::Error) -> String {
    let why = error.to_string();
    let why = why.split(" (os error").next().unwrap_or_default();
    let (first, rest) = why.split_at(why.chars().next().map_or(0, char::len_utf8));
    first.to_lowercase() + rest
}

/// The result of a handler's work.
pub type Result<T, E = Error> = std::result::Result<T, E>;
