//! How a connection, and each of its directions, ends.

use std::io;

use crate::error::Error;

/// How a connection ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both sides have sent their last byte, and it was passed on.
    Done,
    /// A handler closes the client's connection in order.
    Close,
    /// A handler resets the client's connection.
    Reset,
    /// The client left while a handler had one of its calls in hand.
    ClientLeft,
    /// The client reset its connection, or writing to it failed.
    ClientReset(io::Error),
    /// The backend reset its connection, or writing to it failed.
    BackendReset(io::Error),
    /// The backend cannot be reached.
    Unreachable(io::Error),
    /// The backend closed between two calls, and the client stays.
    BackendLeft,
    /// The client begins HTTP/2, in what was read of it.
    Http2,
    /// The client left between two calls, and the backend can serve another client.
    Spare,
    /// The daemon stops, and nothing was under way.
    Stopped,
    /// The daemon stops, and the request that a handler had read is lost.
    Released,
    /// The daemon stops, and what was under way did not finish in time: no orderly end for either side.
    CutOff,
    /// A handler failed.
    Failed(Error),
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        match error {
            Error::ClientLeft => Self::ClientLeft,
            Error::Released => Self::Released,
            Error::Client(error) => Self::ClientReset(error),
            Error::Backend(error) => Self::BackendReset(error),
            Error::Handler(_) | Error::NoReplyYet => Self::Failed(error),
        }
    }
}

/// How one direction ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// The side that is read has sent its last byte, and everything was passed on.
    Eof,
    /// Reading failed.
    Read(io::Error),
    /// Writing failed.
    Write(io::Error),
    /// A fault has cut off what is written: nothing more follows, and the connection stays open.
    Hang,
    /// The whole connection ends.
    Connection(Outcome),
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        Self::Connection(outcome)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::Backend(error) => Self::Read(error),
            error => Self::Connection(error.into()),
        }
    }
}
