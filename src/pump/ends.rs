//! How each direction ends: an end of file becomes a shutdown of the other side's write half, a reset becomes a reset.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::End;
use crate::net::disconnect::reset;

/// Which side of a direction failed.
#[derive(Debug)]
pub(super) enum Broken {
    /// The one that is read.
    From(io::Error),
    /// The one that is written to.
    To(io::Error),
}

/// Which directions have ended. What waits here is boxed by those who await it: while bytes flow, no connection needs it.
#[derive(Debug, Default)]
pub(super) struct Ends {
    requests: AtomicBool,
    replies: AtomicBool,
    backend_refuses: AtomicBool,
}

impl Ends {
    pub(super) fn have_requests(&self) -> bool {
        self.requests.load(Ordering::Relaxed)
    }

    /// The requests came to their end, or broke.
    pub(super) async fn requests(
        &self,
        how: Result<(), Broken>,
        client: &mut ReadHalf<'_>,
        backend: &mut WriteHalf<'_>,
    ) -> End {
        match how {
            Ok(()) => {
                if self.replies.load(Ordering::Relaxed) {
                    // Both connections are closed now, which says the same as a shutdown.
                    return End::Done;
                }
                // A backend that is gone already is noticed where it is read.
                let _ = backend.shutdown().await;
                self.requests.store(true, Ordering::Relaxed);
                reset(client.as_ref()).await;
                End::ClientReset(io::ErrorKind::ConnectionReset.into())
            }
            Err(Broken::From(error)) => End::ClientReset(error),
            Err(Broken::To(error)) if self.replies.load(Ordering::Relaxed) => End::BackendReset(error),
            Err(Broken::To(_)) => {
                // What the backend said before it broke is still to be passed on; the replies will find the end.
                self.backend_refuses.store(true, Ordering::Relaxed);
                pending().await
            }
        }
    }

    /// The replies came to their end, or broke.
    pub(super) async fn replies(
        &self,
        how: Result<(), Broken>,
        backend: &mut ReadHalf<'_>,
        client: &mut WriteHalf<'_>,
    ) -> End {
        match how {
            Ok(()) if self.backend_refuses.load(Ordering::Relaxed) => {
                End::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Ok(()) => {
                if self.have_requests() {
                    return End::Done;
                }
                // A client that is gone already is noticed where it is read.
                let _ = client.shutdown().await;
                self.replies.store(true, Ordering::Relaxed);
                reset(backend.as_ref()).await;
                End::BackendReset(io::ErrorKind::ConnectionReset.into())
            }
            Err(Broken::From(error)) => End::BackendReset(error),
            Err(Broken::To(error)) => End::ClientReset(error),
        }
    }
}
