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
    /// How many of the held bytes have been passed on already.
    ahead: usize,
}

/// What was found in bytes that are held or were just read.
pub(super) struct Found<S> {
    /// How many of the bytes need not be shown again.
    pub(super) done: usize,
    /// How many of the bytes may pass: those, or more of them.
    pub(super) passes: usize,
    /// What has to happen before more can pass. Without that, more has to be read.
    pub(super) stop: Option<S>,
}

impl<S> Found<S> {
    /// The first `done` bytes pass, and the others are held.
    pub(super) fn up_to(done: usize, stop: Option<S>) -> Self {
        Self { done, passes: done, stop }
    }
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
        Self { to, waiting: Outgoing::default(), ahead: 0 }
    }

    pub(super) fn peer(&self) -> Peer<'_> {
        self.to.peer()
    }

    /// Whether bytes that are held have been passed on already.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
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

    /// Adds all that is held, and was not passed on yet, to what waits.
    pub(super) fn push_all(&mut self, held: &mut BytesMut) {
        let ahead = std::mem::take(&mut self.ahead);
        self.push(&held[ahead..]);
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

    /// Passes on as much of `bytes`, which were just read, as `frame` says, and holds what it has to see again. `frame` is
    /// shown the bytes, and how many of them have been passed on.
    pub(super) fn pass<S>(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut BytesMut,
        bytes: &[u8],
        frame: impl FnOnce(&Context<'_>, &[u8], usize) -> Found<S>,
    ) -> Result<Option<Stop<S>>, Ended> {
        if !held.is_empty() {
            held.extend_from_slice(bytes);
            return self.pass_held(cx, held, frame);
        }
        let found = frame(cx, bytes, 0);
        held.extend_from_slice(&bytes[found.done..]);
        self.pass_on(cx, bytes, found)
    }

    /// Passes on as much of what is held as `frame` says.
    pub(super) fn pass_held<S>(
        &mut self,
        cx: &mut Context<'_>,
        held: &mut BytesMut,
        frame: impl FnOnce(&Context<'_>, &[u8], usize) -> Found<S>,
    ) -> Result<Option<Stop<S>>, Ended> {
        if held.is_empty() {
            return Ok(None);
        }
        let found = frame(cx, held, self.ahead);
        let done = found.done;
        let stop = self.pass_on(cx, held, found);
        held.advance(done);
        if held.is_empty() {
            *held = BytesMut::new();
        }
        stop
    }

    fn pass_on<S>(&mut self, cx: &mut Context<'_>, bytes: &[u8], found: Found<S>) -> Result<Option<Stop<S>>, Ended> {
        let Found { done, passes, stop } = found;
        let passes = passes.max(self.ahead);
        let took_all = self.send(cx, &bytes[self.ahead..passes])?;
        self.ahead = passes - done;
        Ok(stop.map(Stop::At).or((!took_all).then_some(Stop::Blocked)))
    }

    /// Waits until the other side has taken what it would not take at once. `from`, which is not read meanwhile, may reset.
    pub(super) fn flush<'o>(
        &'o mut self,
        from: Peer<'o>,
        context: &'o ConnectionContext<'_>,
    ) -> impl Future<Output = Result<(), Ended>> + use<'o, 's> {
        let Self { to, waiting, .. } = self;
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
