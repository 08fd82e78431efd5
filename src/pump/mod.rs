//! How bytes get from one side to the other: as they come, or call by call.

pub(crate) mod context;
mod copy;
mod ends;
mod framed;
mod open_calls;
mod outbound;
mod replies;
mod requests;
pub(crate) mod settings;
mod to_backend;
mod to_client;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use crate::error::Error;
use crate::shutdown::Shutdown;

pub(crate) use copy::{Copied, copy};
pub(crate) use framed::{FirstCall, Framing, framed};

/// Reads of one direction before the other gets its turn.
const READS_A_TURN: usize = 8;

/// How a connection's traffic ends.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides have sent their last byte, and it was passed on.
    Done,
    /// A handler closes the client's connection in order.
    Close,
    /// A handler resets the client's connection.
    Reset,
    /// The client left while a handler had a call of it in hand.
    ClientLeft,
    /// The client reset its connection, or writing to it failed.
    ClientReset(io::Error),
    /// The backend reset its connection, or writing to it failed.
    BackendReset(io::Error),
    /// The backend cannot be reached.
    Unreachable(io::Error),
    /// The backend closed between two calls, and the client stays.
    BackendLeft,
    /// The client left between two calls, and the backend can serve another.
    Spare,
    /// The daemon stops, and nothing was under way.
    Stopped,
    /// The daemon stops, and what a handler had swallowed is lost.
    Released,
    /// The daemon stops, and what was under way did not finish in time. For neither side this is an orderly end.
    CutOff,
    /// A handler failed.
    Failed(Error),
}

impl From<ends::Broken> for End {
    /// Of replies: the backend is read, the client written to.
    fn from(broken: ends::Broken) -> Self {
        match broken {
            ends::Broken::From(error) => Self::BackendReset(error),
            ends::Broken::To(error) => Self::ClientReset(error),
        }
    }
}

impl From<Error> for End {
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

/// Runs both directions of a connection in one task until one of them says how it ends. `again` says whether the requests
/// have queued something that the replies have to look at.
fn drive(
    mut requests: Pin<&mut impl Future<Output = End>>,
    mut replies: Pin<&mut impl Future<Output = End>>,
    mut stopped: Pin<&mut impl Future<Output = End>>,
    stop: &Shutdown,
    again: impl Fn() -> bool,
) -> impl Future<Output = End> {
    let mut listening = false;
    poll_fn(move |cx| {
        loop {
            // Replies first: that the backend has closed is to be known before another call goes to it.
            if let Poll::Ready(end) = replies.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(end) = requests.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if again() {
                continue;
            }
            // Once it has been told whom to wake, it need not be asked again until the word is there.
            if std::mem::replace(&mut listening, true) && !stop.is_given() {
                return Poll::Pending;
            }
            return stopped.as_mut().poll(cx);
        }
    })
}
