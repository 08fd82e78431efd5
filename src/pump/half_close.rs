//! Half-closes: an end of file becomes a shutdown of the other side's write half, a reset becomes a reset.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::half::Half;
use super::outcome::{Ended, Outcome};

/// Which directions have ended. What waits here is boxed by the caller: while bytes flow, no connection needs it.
#[derive(Debug, Default)]
pub(super) struct HalfCloses {
    requests: AtomicBool,
    replies: AtomicBool,
    backend_refuses: AtomicBool,
}

impl HalfCloses {
    pub(super) fn have_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed)
    }

    fn have_replies(&self) -> bool {
        self.replies.load(Ordering::Relaxed)
    }

    /// The requests have ended.
    pub(super) async fn requests(&self, ended: Ended, half: &mut Half<'_>) -> Outcome {
        match ended {
            // Both connections are closed now, which says the same as a shutdown.
            Ended::Eof if self.have_replies() => Outcome::Done,
            Ended::Eof => {
                half.outbound.shutdown().await;
                self.requests.store(true, Ordering::Relaxed);
                half.inbound.from.peer().reset().await;
                Outcome::ClientReset(io::ErrorKind::ConnectionReset.into())
            }
            Ended::Read(error) => Outcome::ClientReset(error),
            Ended::Write(error) if self.have_replies() => Outcome::BackendReset(error),
            Ended::Write(_) => {
                // What the backend said before is still to be passed on; the replies will find the end.
                self.backend_refuses.store(true, Ordering::Relaxed);
                pending().await
            }
            Ended::Connection(outcome) => outcome,
        }
    }

    /// The replies have ended.
    pub(super) async fn replies(&self, ended: Ended, half: &mut Half<'_>) -> Outcome {
        match ended {
            Ended::Eof if self.backend_refuses.load(Ordering::Relaxed) => {
                Outcome::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Ended::Eof if self.have_requests() => Outcome::Done,
            Ended::Eof => {
                half.outbound.shutdown().await;
                self.replies.store(true, Ordering::Relaxed);
                half.inbound.from.peer().reset().await;
                Outcome::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Ended::Read(error) => Outcome::BackendReset(error),
            Ended::Write(error) => Outcome::ClientReset(error),
            Ended::Connection(outcome) => outcome,
        }
    }
}
