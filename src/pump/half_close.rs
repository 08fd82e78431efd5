//! Half-closes: an end of file becomes a shutdown of the other side's write half, a reset becomes a reset.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use super::context::ConnectionContext;
use super::outbound::Outbound;
use super::outcome::{Ended, Outcome};
use crate::net::stream::Peer;

/// Which directions have ended. What waits here is boxed by the caller: while bytes flow, no connection needs it.
#[derive(Debug, Default)]
pub(super) struct HalfCloses {
    requests: AtomicBool,
    replies: AtomicBool,
    /// Nothing more comes from the backend, though some of it may still be on its way.
    backend_ended: AtomicBool,
    backend_refuses: AtomicBool,
}

impl HalfCloses {
    pub(super) fn have_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether the backend has sent its last byte.
    pub(super) fn have_replies_ended(&self) -> bool {
        self.backend_ended.load(Ordering::Relaxed)
    }

    fn have_replies(&self) -> bool {
        self.replies.load(Ordering::Relaxed)
    }

    /// The requests have ended.
    pub(super) async fn requests<'s>(&self, ended: Ended, from: Peer<'s>, to: &mut Outbound<'s>) -> Outcome {
        match behind_all(ended, from, to).await {
            // Both connections are closed now, which says the same as a shutdown.
            Ended::Eof if self.have_replies() => {
                to.ends_as(from);
                Outcome::Done
            }
            Ended::Eof => {
                let mut gone = pin!(self.client_gone(from, to.context()));
                tokio::select! {
                    biased;
                    () = to.end(from) => {}
                    outcome = &mut gone => return outcome,
                }
                self.requests.store(true, Ordering::Relaxed);
                // The replies may have ended meanwhile.
                if self.have_replies() { Outcome::Done } else { gone.await }
            }
            Ended::Hang => {
                from.left().await;
                Outcome::ClientLeft
            }
            Ended::Read(error) => Outcome::ClientReset(error),
            Ended::Write(error) if self.have_replies() => Outcome::BackendReset(error),
            Ended::Write(_) => {
                // What the backend said before is still to be passed on; the replies will find the end.
                self.backend_refuses.store(true, Ordering::Relaxed);
                self.client_gone(from, to.context()).await
            }
            Ended::Connection(outcome) => outcome,
        }
    }

    /// No request is read any more: waits until the client resets. One that has left will not take what waits for it.
    pub(super) async fn client_gone(&self, client: Peer<'_>, context: &ConnectionContext<'_>) -> Outcome {
        let (mut reset, mut left) = (pin!(client.reset()), None);
        poll_fn(|cx| {
            if reset.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Outcome::ClientReset(io::ErrorKind::ConnectionReset.into()));
            }
            if !context.is_blocked() && !self.have_replies_ended() {
                left = None;
                return Poll::Pending;
            }
            let left = left.get_or_insert_with(|| Box::pin(client.left()));
            left.as_mut().poll(cx).map(|()| Outcome::ClientLeft)
        })
        .await
    }

    /// The replies have ended.
    pub(super) async fn replies<'s>(&self, ended: Ended, from: Peer<'s>, to: &mut Outbound<'s>) -> Outcome {
        self.backend_ended.store(true, Ordering::Relaxed);
        let ended = match ended {
            // The client gets what came before the reset, however late that is.
            Ended::Read(error) => to.let_out().await.err().unwrap_or(Ended::Read(error)),
            ended => ended,
        };
        match behind_all(ended, from, to).await {
            Ended::Eof if self.backend_refuses.load(Ordering::Relaxed) => {
                Outcome::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Ended::Eof if self.have_requests() => {
                to.ends_as(from);
                Outcome::Done
            }
            Ended::Eof => {
                tokio::select! {
                    biased;
                    () = to.end(from) => {}
                    () = from.reset() => return Outcome::BackendReset(io::ErrorKind::ConnectionReset.into()),
                }
                self.replies.store(true, Ordering::Relaxed);
                if self.have_requests() {
                    return Outcome::Done;
                }
                from.reset().await;
                Outcome::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Ended::Hang => {
                // Nothing more reaches the client, so only its end is of interest.
                to.peer().left().await;
                Outcome::ClientLeft
            }
            Ended::Read(error) => Outcome::BackendReset(error),
            Ended::Write(error) => Outcome::ClientReset(error),
            Ended::Connection(outcome) => outcome,
        }
    }
}

/// An end of file comes behind all that was read before.
async fn behind_all<'s>(ended: Ended, from: Peer<'s>, to: &mut Outbound<'s>) -> Ended {
    match ended {
        Ended::Eof => to.finish(from).await.err().unwrap_or(Ended::Eof),
        ended => ended,
    }
}
