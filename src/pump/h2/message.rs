//! The request or the reply of a stream while a handler has it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use ::http::{Response, StatusCode};
use atomic_refcell::AtomicRefCell;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;

use super::body::drain;
use crate::call::{Leaves, Message};
use crate::error::{Error, Result};
use crate::net::stream::Peer;

/// A message that a handler has in hand.
pub(super) struct Held<'m> {
    pub(super) peer: Peer<'m>,
    /// The rest of the message.
    pub(super) rest: &'m mut RecvStream,
    /// Where the client may reset the stream.
    pub(super) client: AtomicRefCell<&'m mut SendResponse<Bytes>>,
    pub(super) kind: Kind,
}

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request {
        /// The client sends the rest once it was told to (RFC 9110, section 10.1.1).
        waits: bool,
    },
    Reply,
}

impl Message for Held<'_> {
    fn address(&self) -> Option<SocketAddr> {
        self.peer.address()
    }

    fn leaves(&self) -> Leaves<'_> {
        Leaves::Stream(Box::pin(poll_fn(|cx| self.client.borrow_mut().poll_reset(cx).map(drop))))
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        if self.kind == (Kind::Request { waits: true }) {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            let _ = self.client.borrow_mut().send_informational(go_on);
        }
        Box::pin(async {
            drain(self.rest).await.map_err(|error| match self.kind {
                Kind::Request { .. } => Error::ClientLeft,
                Kind::Reply => Error::Backend(io::Error::other(error)),
            })
        })
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.kind != Kind::Reply {
                let _ = drain(self.rest).await;
            }
        })
    }
}
