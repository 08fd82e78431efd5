//! The side of a direction that is written to, and what it has not taken yet.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rand::rngs::ChaCha8Rng;
use tokio::io::AsyncWrite;

use super::context::{Blocked, ConnectionContext};
use super::outcome::Ended;
use super::shaped::Shaped;
use crate::fault::{ByteFault, Direction};
use crate::net::buffer::{Outgoing, write};
use crate::net::stream::{Peer, WriteHalf};
use crate::protocol::http;
use crate::toxic::ConnectionToxics;

pub(super) struct Outbound<'s> {
    to: WriteHalf<'s>,
    context: &'s ConnectionContext<'s>,
    direction: Direction,
    stage: Stage,
    /// The latest change of the proxy's toxics that was looked at.
    seen: u32,
    /// While more may not be read. Boxed, so that other connections are smaller.
    blocked: Option<Box<Blocking<'s>>>,
    /// How many of the held bytes have been passed on already, as they are or rewritten.
    ahead: usize,
}

/// A side that may not be read for now.
struct Blocking<'s> {
    _blocked: Blocked<'s>,
    /// Resolves when that side resets.
    reset: Pin<Box<dyn Future<Output = ()> + Send + 's>>,
}

/// What bytes go through before they are written.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing. What the other side does not take at once waits.
    Direct(Outgoing),
    /// Faults.
    Shaped(Box<Shaped>),
}

impl Stage {
    /// Where bytes go through faults; none yet.
    fn shaped(&mut self, context: &ConnectionContext<'_>) -> &mut Shaped {
        if let Self::Direct(waiting) = self {
            // What waits has left already.
            let waiting = waiting.take();
            let mut shaped = Shaped::new(context.settings.shape_buffer, context.proxy.shaped.clone());
            shaped.push_out(context, waiting);
            *self = Self::Shaped(Box::new(shaped));
        }
        match self {
            Self::Shaped(shaped) => shaped,
            Self::Direct(_) => unreachable!("it is shaped now"),
        }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::Direct(Outgoing::default())
    }
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
    pub(super) fn new(
        context: &'s ConnectionContext<'s>,
        direction: Direction,
        to: WriteHalf<'s>,
        stage: Stage,
    ) -> Self {
        Self { to, context, direction, stage, seen: 0, blocked: None, ahead: 0 }
    }

    /// Itself, with all that waits; what is left has nothing.
    pub(super) fn take(&mut self) -> Self {
        Self::new(self.context, self.direction, self.to, self.take_stage())
    }

    pub(super) fn context(&self) -> &'s ConnectionContext<'s> {
        self.context
    }

    pub(super) fn peer(&self) -> Peer<'s> {
        self.to.peer()
    }

    /// Whether bytes that are held have been passed on already.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// Whether bytes go through faults.
    pub(super) fn is_shaped(&self) -> bool {
        matches!(self.stage, Stage::Shaped(_))
    }

    /// What bytes go through, and those within.
    pub(super) fn take_stage(&mut self) -> Stage {
        std::mem::take(&mut self.stage)
    }

    /// Adds to what waits.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Direct(waiting) => waiting.push(bytes),
            Stage::Shaped(shaped) => shaped.push(self.context, bytes),
        }
    }

    /// Adds all that is held, and was not passed on yet, to what waits.
    pub(super) fn push_all(&mut self, held: &mut BytesMut) {
        let ahead = std::mem::take(&mut self.ahead);
        self.push(&held[ahead..]);
        *held = BytesMut::new();
    }

    /// With `rewrite_host`, adds the first `len` of the bytes that are held to what waits, a request with this long a head, with
    /// another host. They are passed on then.
    pub(super) fn rewrite(&mut self, held: &[u8], head_len: usize, len: usize) {
        if let Some(host) = &self.context.settings.host
            // A handler may have dropped some of it.
            && let Some((head, rest)) = held.get(..len).and_then(|request| request.split_at_checked(head_len))
        {
            self.push(&http::with_host(head, host));
            self.push(rest);
            self.ahead = len;
        }
    }

    /// Takes some of `pieces`, if there is room: how many bytes. What the other side does not take at once waits in faults alone.
    pub(super) fn poll_take(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<Result<usize, Ended>> {
        self.write_due(cx)?;
        match &mut self.stage {
            Stage::Direct(waiting) => {
                ready!(waiting.poll_flush(cx, &mut self.to)).map_err(Ended::Write)?;
                Pin::new(&mut self.to).poll_write_vectored(cx, pieces).map_err(Ended::Write)
            }
            Stage::Shaped(shaped) if shaped.is_full() => Poll::Pending,
            Stage::Shaped(shaped) => {
                for piece in pieces {
                    shaped.push(self.context, piece);
                }
                self.write_due(cx)?;
                Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()))
            }
        }
    }

    /// Ready when nothing waits but in faults, which write by themselves when it is due.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        self.write_due(cx)?;
        match &mut self.stage {
            Stage::Direct(waiting) => {
                ready!(waiting.poll_flush(cx, &mut self.to)).map_err(Ended::Write)?;
                Pin::new(&mut self.to).poll_flush(cx).map_err(Ended::Write)
            }
            Stage::Shaped(_) => Poll::Ready(Ok(())),
        }
    }

    /// Writes `bytes` behind what waits; what the other side does not take now waits as well. Whether more may follow.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<bool, Ended> {
        match &mut self.stage {
            Stage::Direct(waiting) => {
                waiting.send(cx, &mut self.to, bytes).map_err(Ended::Write)?;
                Ok(waiting.is_empty() && !self.to.holds())
            }
            Stage::Shaped(shaped) => {
                shaped.push(self.context, bytes);
                self.write_due(cx)?;
                Ok(self.has_room())
            }
        }
    }

    /// Writes what the other side takes of `bytes` at once, past what waits: how much that was.
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

    /// Writes what faults let out by now, and wakes the task when there is more.
    #[inline]
    pub(super) fn write_due(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.take_on_toxics();
        match &mut self.stage {
            Stage::Direct(_) => Ok(()),
            Stage::Shaped(shaped) => {
                shaped.write(cx, self.to, self.context)?;
                if shaped.is_over() {
                    self.stage = Stage::default();
                }
                Ok(())
            }
        }
    }

    /// Has the toxics of the proxy, if those have changed.
    #[inline]
    fn take_on_toxics(&mut self) {
        let version = self.context.proxy.toxics.version();
        if version != self.seen {
            self.seen = version;
            self.change_toxics();
        }
    }

    #[cold]
    fn change_toxics(&mut self) {
        let Self { context, direction, .. } = *self;
        let toxics = context.proxy.toxics.in_force();
        if self.is_shaped() || ConnectionToxics::are_any(&toxics, direction, context.streams()) {
            self.stage.shaped(context).take_on(&toxics, direction, context);
        }
    }

    /// Whether more may be read.
    fn has_room(&self) -> bool {
        match &self.stage {
            Stage::Direct(waiting) => waiting.is_empty() && !self.to.holds(),
            Stage::Shaped(shaped) => !shaped.is_full(),
        }
    }

    fn is_empty(&self) -> bool {
        let is_empty = match &self.stage {
            Stage::Direct(waiting) => waiting.is_empty(),
            Stage::Shaped(shaped) => shaped.is_empty(),
        };
        is_empty && !self.to.holds()
    }

    /// Ready when more may be read: when the other side has taken what it would not take at once, or faults hold less than they
    /// may. `from`, which is not read meanwhile, may reset.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, from: Peer<'s>) -> Poll<Result<(), Ended>> {
        self.poll_until(cx, from, Self::has_room)
    }

    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        from: Peer<'s>,
        is_done: impl Fn(&Self) -> bool,
    ) -> Poll<Result<(), Ended>> {
        if is_done(self) {
            self.blocked = None;
            return Poll::Ready(Ok(()));
        }
        self.take_on_toxics();
        self.poll_blocked(cx, from, is_done)
    }

    #[cold]
    fn poll_blocked(
        &mut self,
        cx: &mut Context<'_>,
        from: Peer<'s>,
        is_done: impl Fn(&Self) -> bool,
    ) -> Poll<Result<(), Ended>> {
        match &mut self.stage {
            Stage::Direct(waiting) => {
                let _ = waiting.poll_flush(cx, &mut self.to).map_err(Ended::Write)?;
            }
            Stage::Shaped(_) => self.write_due(cx)?,
        }
        if is_done(self) {
            self.blocked = None;
            return Poll::Ready(Ok(()));
        }
        let blocking = self.blocked.get_or_insert_with(|| {
            Box::new(Blocking { _blocked: self.context.block(), reset: Box::pin(from.reset()) })
        });
        blocking.reset.as_mut().poll(cx).map(|()| Err(Ended::Read(io::ErrorKind::ConnectionReset.into())))
    }

    /// Waits until more may be read.
    pub(super) async fn flush(&mut self, from: Peer<'s>) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_flush(cx, from)).await
    }

    /// Waits until all is written.
    pub(super) async fn drain(&mut self, from: Peer<'s>) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_until(cx, from, Self::is_empty)).await
    }

    /// Waits until all is written, and the end of the stream may follow.
    pub(super) async fn finish(&mut self, from: Peer<'s>) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_finish(cx, from)).await
    }

    /// The same, as a poll.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>, from: Peer<'s>) -> Poll<Result<(), Ended>> {
        let is_done = |outbound: &Self| match &outbound.stage {
            Stage::Direct(_) => outbound.is_empty(),
            Stage::Shaped(shaped) => shaped.is_at_eof() && !outbound.to.holds(),
        };
        self.take_on_toxics();
        if let Stage::Shaped(shaped) = &mut self.stage {
            shaped.push_eof();
        }
        self.poll_until(cx, from, is_done)
    }

    /// Waits until faults hold nothing, whatever the other side does.
    pub(super) async fn let_out(&mut self) -> Result<(), Ended> {
        poll_fn(|cx| {
            self.write_due(cx)?;
            match &self.stage {
                Stage::Shaped(shaped) if shaped.holds() => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Does `work`, and meanwhile writes what faults let out.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        if !self.is_shaped() {
            return Ok(work.await);
        }
        // Boxed, as few connections come to this.
        let mut work = Box::pin(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            match self.write_due(cx) {
                Ok(()) => Poll::Pending,
                Err(ended) => Poll::Ready(Err(ended)),
            }
        })
        .await
    }

    /// What is sent from now on goes through `fault` before it goes through anything else.
    pub(super) fn put_fault(&mut self, fault: Box<dyn ByteFault>, random: ChaCha8Rng) {
        self.stage.shaped(self.context).put_fault(fault, random);
    }

    /// Takes the first `count` faults away. What waits in them goes on at once.
    pub(super) fn take_faults(&mut self, count: usize) {
        if let Stage::Shaped(shaped) = &mut self.stage {
            (0..count).for_each(|_| shaped.take_fault(self.context));
        }
    }

    /// Whether a fault of a reply cuts the stream off. What comes before that may still have to be written.
    pub(super) fn is_cut(&self) -> bool {
        matches!(&self.stage, Stage::Shaped(shaped) if shaped.is_cut())
    }

    /// Waits until the first `count` faults have let out all that was sent.
    pub(super) async fn faults_done(&mut self, count: usize, from: Peer<'s>) -> Result<(), Ended> {
        let are_done = |outbound: &Self| match &outbound.stage {
            Stage::Direct(_) => true,
            Stage::Shaped(shaped) => shaped.are_done(count),
        };
        poll_fn(|cx| self.poll_until(cx, from, are_done)).await
    }

    /// Without faults, bytes are written directly again, behind what was sent.
    pub(super) async fn unshape(&mut self, from: Peer<'s>) -> Result<(), Ended> {
        if matches!(&self.stage, Stage::Shaped(shaped) if !shaped.has_faults()) {
            self.drain(from).await?;
            self.stage = Stage::default();
        }
        Ok(())
    }

    /// Ends the stream as `from` has ended, behind all that was written. A peer that is gone already is noticed where it is read.
    pub(super) fn end(&self, from: Peer<'s>) -> impl Future<Output = ()> + use<'s> {
        let (to, how) = (self.to, from.how_ended());
        async move { drop(to.end(how).await) }
    }

    /// The stream, which is closed next, ends as `from` has ended.
    pub(super) fn ends_as(&self, from: Peer<'s>) {
        self.to.ends_when_dropped(from.how_ended());
    }
}

impl Drop for Outbound<'_> {
    fn drop(&mut self) {
        if let Stage::Shaped(shaped) = &mut self.stage {
            shaped.wait_no_more(self.context);
        }
    }
}
