//! The side of a direction that is written to, and what it has not taken yet.

use std::future::poll_fn;
use std::io;
use std::task::Context;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;

use super::context::ConnectionContext;
use super::outcome::Ended;
use crate::net::buffer::{Outgoing, write};
use crate::net::stream::{Peer, WriteHalf};

#[derive(Debug)]
pub(super) struct Outbound<'s> {
    to: WriteHalf<'s>,
    waiting: Outgoing,
}

/// Why passing on came to a stop.
#[derive(Debug)]
pub(super) enum Stop<S> {
    /// The other side takes no more for now.
    Blocked,
    /// The side that is read has sent its last byte.
    Eof,
    /// The messages themselves ask for something.
    At(S),
}

impl<'s> Outbound<'s> {
    pub(super) fn new(to: WriteHalf<'s>) -> Self {
        Self { to, waiting: Outgoing::default() }
    }

    pub(super) fn peer(&self) -> Peer<'_> {
        self.to.peer()
    }

    /// What the other side has not taken.
    pub(super) fn take_waiting(&mut self) -> Outgoing {
        std::mem::take(&mut self.waiting)
    }

    /// Lets `waiting` go first.
    pub(super) fn resume(&mut self, waiting: Outgoing) {
        self.waiting = waiting;
    }

    /// Adds to what waits.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.push(bytes);
    }

    /// Adds all that is held to what waits.
    pub(super) fn push_all(&mut self, held: &mut BytesMut) {
        self.push(held);
        *held = BytesMut::new();
    }

    /// Writes `bytes` behind what waits; what the other side does not take now waits as well. Whether it took everything.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<bool, Ended> {
        self.waiting.send(cx, &mut self.to, bytes).map_err(Ended::Write)?;
        Ok(self.waiting.is_empty())
    }

    /// Writes what the other side takes of `bytes` at once: how much that was.
    pub(super) fn offer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<usize, Ended> {
        write(cx, &mut self.to, bytes).map_err(Ended::Write)
    }

    /// Passes on as much of `bytes`, which were just read, as `frame` says, and holds the rest.
    pub(super) fn pass<S>(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut BytesMut,
        bytes: &[u8],
        frame: impl FnOnce(&Context<'_>, &[u8]) -> (usize, Option<S>),
    ) -> Result<Option<Stop<S>>, Ended> {
        if !held.is_empty() {
            held.extend_from_slice(bytes);
            return self.pass_held(cx, held, frame);
        }
        let (passed, stop) = frame(cx, bytes);
        held.extend_from_slice(&bytes[passed..]);
        self.pass_on(cx, &bytes[..passed], stop)
    }

    /// Passes on as much of what is held as `frame` says.
    pub(super) fn pass_held<S>(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut BytesMut,
        frame: impl FnOnce(&Context<'_>, &[u8]) -> (usize, Option<S>),
    ) -> Result<Option<Stop<S>>, Ended> {
        if held.is_empty() {
            return Ok(None);
        }
        let (passed, stop) = frame(cx, held);
        let stop = self.pass_on(cx, &held[..passed], stop);
        held.advance(passed);
        if held.is_empty() {
            *held = BytesMut::new();
        }
        stop
    }

    fn pass_on<S>(&mut self, cx: &mut Context<'_>, bytes: &[u8], stop: Option<S>) -> Result<Option<Stop<S>>, Ended> {
        let took_all = self.send(cx, bytes)?;
        Ok(stop.map(Stop::At).or((!took_all).then_some(Stop::Blocked)))
    }

    /// Waits until the other side has taken what it would not take at once. `from`, which is not read meanwhile, may reset.
    pub(super) fn flush<'o>(
        &'o mut self,
        from: Peer<'o>,
        context: &'o ConnectionContext<'_>,
    ) -> impl Future<Output = Result<(), Ended>> + use<'o, 's> {
        let Self { to, waiting } = self;
        // Boxed, as it is rare and would make every connection larger.
        let blocked = (!waiting.is_empty()).then(|| {
            Box::pin(async move {
                let _blocked = context.block();
                tokio::select! {
                    flushed = poll_fn(|cx| waiting.poll_flush(cx, to)) => flushed.map_err(Ended::Write),
                    () = from.reset() => Err(Ended::Read(io::ErrorKind::ConnectionReset.into())),
                }
            })
        });
        async move {
            match blocked {
                Some(flushed) => flushed.await,
                None => Ok(()),
            }
        }
    }

    /// Ends the stream in order. A peer that is gone already is noticed where it is read.
    pub(super) async fn shutdown(&mut self) {
        let _ = self.to.shutdown().await;
    }
}
