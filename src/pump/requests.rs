//! From the client to the backend: requests.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::call_frames::{CallFrames, CallStop, NewCall};
use super::context::ConnectionContext;
use super::copy::OneWay;
use super::framed::Undelivered;
use super::half_close::HalfCloses;
use super::inbound::Inbound;
use super::open_calls::{HandledCall, OpenCalls, ReplySource, SharedCalls, change, until};
use super::outbound::{Outbound, Stop};
use super::outcome::{Ended, Outcome};
use crate::call::{Answer, Call, CallState, Leaves, Message, Verdict};
use crate::error::{Error, Result};
use crate::net::stream::Peer;
use crate::protocol::{Expect, Protocol, Step, redis};
use crate::recorder::Clock;

/// With `tcp`, a client that has sent its last byte and has not left by then waits for what the backend does about it.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// The request pump: reads, lets handlers decide, and passes on what they let pass.
pub(super) struct RequestPump<'a, 's> {
    context: &'a ConnectionContext<'a>,
    calls: &'a SharedCalls,
    half_closes: &'a HalfCloses,
    incoming: Incoming<'a, 's>,
    outbound: Outbound<'s>,
    /// The client has sent its last byte, and what is held waits for the reply to a request for an upgrade.
    at_end: bool,
}

/// What comes from the client.
struct Incoming<'a, 's> {
    inbound: Inbound<'s>,
    /// Read, but not passed on yet: an incomplete head, or what follows a request that a handler holds.
    held: &'a mut BytesMut,
    frames: CallFrames<'a>,
    /// The rest of the request that a handler held was not the protocol: what follows it cannot be told apart.
    broken: bool,
}

impl<'a, 's> RequestPump<'a, 's> {
    pub(super) fn new(
        frames: CallFrames<'a>,
        held: &'a mut BytesMut,
        half_closes: &'a HalfCloses,
        inbound: Inbound<'s>,
        outbound: Outbound<'s>,
    ) -> Self {
        let CallFrames { context, calls, .. } = frames;
        let incoming = Incoming { inbound, held, frames, broken: false };
        Self { context, calls, half_closes, incoming, outbound, at_end: false }
    }

    /// Runs until the requests, or the connection, end.
    pub(super) async fn run(&mut self) -> Outcome {
        let ended = loop {
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Ok(Stop::Blocked) => self.incoming.inbound.size.refused(),
                Ok(Stop::At(CallStop::Opaque)) => break Box::pin(self.opaque()).await,
                // Boxed, as it would make connections larger that only pass bytes on.
                Ok(stop) => match Box::pin(self.act(stop)).await {
                    Ok(()) => {}
                    Err(ended) => break ended,
                },
                Err(ended) => break ended,
            }
        };
        Box::pin(self.end(ended)).await
    }

    async fn end(&mut self, ended: Ended) -> Outcome {
        // Whatever the reply says about an upgrade, no more requests are found.
        if !matches!(ended, Ended::Connection(Outcome::Http2)) {
            self.calls.borrow_mut().set_may_be_http2(false);
        }
        self.calls.borrow_mut().set_undecided(false);
        if matches!(ended, Ended::Eof | Ended::Read(_)) && self.leaves_spare().await {
            return Outcome::Spare;
        }
        let from = self.incoming.inbound.peer();
        self.half_closes.requests(ended, from, &mut self.outbound).await
    }

    /// Does what has to be done before more can pass.
    async fn act(&mut self, stop: Stop<CallStop>) -> Result<(), Ended> {
        match stop {
            // The last one ends the calls: see `run`.
            Stop::Blocked | Stop::At(CallStop::Look | CallStop::Opaque) => {}
            // All open calls may be quiet: only a no-op is sure to get a reply.
            Stop::At(CallStop::Wait) if self.send_no_op() => {}
            Stop::At(CallStop::Wait) => self.wait().await?,
            Stop::At(CallStop::Call(call)) => {
                // The calls before this one do not wait for its handler.
                self.flush().await?;
                self.call(call).await?;
            }
            Stop::At(CallStop::Rewrite(head)) => {
                let Incoming { held, frames, .. } = &self.incoming;
                self.outbound.rewrite(held, head, frames.due);
            }
            Stop::At(CallStop::Http2) => {
                // What came before, such as the PROXY protocol's header, is not HTTP/2.
                self.outbound.drain(self.incoming.inbound.peer()).await?;
                return Err(Outcome::Http2.into());
            }
            Stop::At(CallStop::NoBackend) => {
                // The replies end the connection to it once all of theirs are written.
                let client = self.incoming.inbound.peer();
                return Err(self.half_closes.client_gone(client, self.context).await.into());
            }
            Stop::Eof if self.calls.borrow_mut().is_undecided() && !self.at_end => {
                let from = self.incoming.inbound.peer();
                self.outbound.finish(from).await?;
                self.outbound.end(from).await;
                self.at_end = true;
            }
            Stop::Eof => {
                if !self.incoming.held.is_empty() {
                    self.calls.borrow_mut().set_within_request(true);
                }
                self.outbound.push_all(self.incoming.held);
                self.flush().await?;
                return Err(Ended::Eof);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), Ended>> {
        self.outbound.flush(self.incoming.inbound.peer())
    }

    /// Sends a no-op of our own if only that can show that the calls before it stay unanswered. Whether it did.
    fn send_no_op(&mut self) -> bool {
        let no_op = self.calls.borrow_mut().no_op();
        if let Some(no_op) = no_op {
            self.outbound.push(no_op);
        }
        no_op.is_some()
    }

    /// Ends the transaction at the backend whose end is answered by ourselves.
    fn discard(&mut self) {
        let mut calls = self.calls.borrow_mut();
        if !calls.is_opaque() && !calls.has_no_backend() {
            calls.sent(self.context.settings, redis::DISCARD, Expect::Reply);
            calls.push(Expect::Reply, ReplySource::NoOp);
            self.outbound.push(redis::DISCARD);
        }
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stop<CallStop>, Ended>> {
        ready!(self.outbound.poll_flush(cx, self.incoming.inbound.peer()))?;
        if self.context.proxy.shutdown.has_begun() && self.send_no_op() {
            // What stays unanswered need not be waited for.
            return Poll::Ready(Ok(Stop::Blocked));
        }
        let is_final = {
            let calls = self.calls.borrow_mut();
            if calls.is_opaque() {
                return Poll::Ready(Ok(Stop::At(CallStop::Opaque)));
            }
            if calls.await_backend() {
                return Poll::Ready(Ok(Stop::At(CallStop::NoBackend)));
            }
            calls.is_final()
        };
        let Self { context, calls, incoming, outbound, at_end, .. } = self;
        let Incoming { inbound, held, frames, .. } = incoming;
        outbound.write_due(cx)?;
        if (frames.look || is_final)
            && let Some(stop) = outbound.pass_held(cx, held, |_, bytes, ahead| frames.find(bytes, ahead))?
        {
            return Poll::Ready(Ok(stop));
        }
        loop {
            if *at_end {
                let stop = if calls.borrow_mut().is_undecided() { Stop::At(CallStop::Wait) } else { Stop::Eof };
                return Poll::Ready(Ok(stop));
            }
            let read = inbound.poll_read(cx, |cx, bytes| {
                if bytes.is_empty() {
                    return Ok(Some(Stop::Eof));
                }
                let _measured = context.measure();
                context.activity.to_backend.add(bytes.len());
                outbound.pass(cx, held, bytes, |_, bytes, ahead| frames.find(bytes, ahead))
            });
            let Poll::Ready(read) = read else {
                return frames.timer.poll(cx).map(|()| Ok(Stop::At(frames.give_up())));
            };
            if let Some(stop) = read.map_err(Ended::Read)?? {
                return Poll::Ready(Ok(stop));
            }
        }
    }

    /// Waits until a reply has changed something.
    async fn wait(&mut self) -> Result<(), Ended> {
        let Self { calls, incoming, outbound, .. } = self;
        let changed = async {
            tokio::select! {
                () = change(calls) => Ok(()),
                () = incoming.client().reset() => Err(Ended::Read(io::ErrorKind::ConnectionReset.into())),
            }
        };
        outbound.beside(changed).await?
    }

    /// A handler's turn: nothing of the request has been passed on.
    async fn call(&mut self, NewCall { handler, head, len, left, expect, label }: NewCall) -> Result<(), Ended> {
        let Self { context, calls, .. } = *self;
        let Self { incoming, outbound, .. } = self;
        let head = Bytes::copy_from_slice(&incoming.held[..head]);
        let number = incoming.frames.requests.number;
        let mut state = CallState::new(context.settings.protocol, context.streams(), number, head, label);
        state.mode = incoming.frames.requests.framer.mode(&state.head);
        (incoming.frames.due, incoming.frames.left) = (len, left);
        calls.borrow_mut().hold();
        let mut decided = {
            let _at_work = context.activity.works(&handler.counters);
            let mut call = Call::new(&mut state, incoming, context.call(&handler));
            outbound.beside(handler.handler.before(&mut call)).await?
        };
        if let Some(action) = decided.as_ref().ok().and_then(Verdict::action) {
            context.call(&handler).fault(&mut state, action);
        }
        if state.mode.aborts && matches!(decided, Ok(Verdict::Pass)) {
            decided = Ok(Verdict::Answer(Answer::new(redis::EXECABORT)));
        }
        let was_opaque = calls.borrow_mut().is_opaque();
        if matches!(decided, Ok(Verdict::Answer(_))) && !was_opaque {
            if let Err(error) = outbound.beside(incoming.drain()).await? {
                decided = Err(error);
            }
            if calls.borrow_mut().is_opaque() {
                // Meanwhile messages cannot be told apart any more, and the bytes of this one are gone.
                return Err(Outcome::Released.into());
            }
        }
        let mut ends_transaction = false;
        let source = match decided {
            // A client that has half-closed in the middle of the request still gets the replies of earlier calls.
            Ok(Verdict::Close) | Err(Error::ClientLeft) => ReplySource::Close,
            Err(error) => return Err(error.into()),
            // There is nobody to tell GOAWAY to: this is no HTTP/2.
            Ok(Verdict::Pass | Verdict::GoAway(_)) if calls.borrow_mut().has_no_backend() => {
                let CallFrames { due, left, .. } = incoming.frames;
                let call = Box::new(HandledCall { handler, state });
                incoming.frames.requests.undelivered = Some(Undelivered { call, expect, due, left });
                return Err(Outcome::BackendLeft.into());
            }
            Ok(Verdict::Pass | Verdict::GoAway(_)) => {
                calls.borrow_mut().sent(context.settings, &state.head, expect);
                outbound.rewrite(incoming.held, state.head.len(), incoming.frames.due);
                ReplySource::Handler(Box::new(HandledCall { handler, state }))
            }
            // Where messages cannot be told apart any more, no answer would find its place.
            Ok(Verdict::Answer(_)) if was_opaque => ReplySource::Backend,
            Ok(Verdict::Answer(answer)) => {
                incoming.frames.requests.framer.refuse(&state.head);
                ends_transaction = state.mode.ends_transaction;
                if !answer.needs_head() {
                    state.head = Bytes::new();
                }
                ReplySource::Answer(Box::new((if incoming.broken { answer.then_close() } else { answer }, state)))
            }
            Ok(Verdict::Reset | Verdict::ResetStream(_) | Verdict::ResetConnection) => ReplySource::Reset,
            Ok(
                Verdict::Handshake(_)
                | Verdict::Inject(_)
                | Verdict::Cut { .. }
                | Verdict::Slow { .. }
                | Verdict::Corrupt { .. },
            ) => {
                return Err(Outcome::Failed(Error::NoReplyYet).into());
            }
        };
        let ends = incoming.broken || matches!(source, ReplySource::Close | ReplySource::Reset);
        let answers = matches!(source, ReplySource::Answer(_));
        if answers && !ends {
            // All that there was of the request has been read.
            context.request_passed(&mut Clock::default());
        }
        // The client would take an answer to a call that has no reply for another call's.
        let takes_turn = expect != Expect::Nothing || ends;
        if takes_turn && (answers || ends) {
            // The reply to a no-op shows when the earlier quiet calls are done.
            self.send_no_op();
        }
        if ends_transaction {
            self.discard();
        }
        {
            let mut calls = calls.borrow_mut();
            calls.decided();
            if calls.is_opaque() {
                // Nothing has a place any more.
                context.replies_end(false);
                match source {
                    ReplySource::Close => return Err(Outcome::Close.into()),
                    ReplySource::Reset => return Err(Outcome::Reset.into()),
                    _ => {}
                }
            } else if takes_turn {
                calls.push(expect, source);
            }
        }
        if ends {
            return self.read_no_more().await;
        }
        self.incoming.frames.look = true;
        if answers && context.settings.protocol == Protocol::Tcp {
            // The next turn begins when the client has been answered. Boxed, as few calls come to this.
            Box::pin(self.wait()).await?;
        }
        Ok(())
    }

    /// Nothing that follows is of any use: the replies of earlier calls are awaited, and that is the end.
    async fn read_no_more(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        let left = Box::pin(self.incoming.inbound.peer().left());
        self.outbound.beside(left).await?;
        Err(Outcome::ClientLeft.into())
    }

    /// From here on bytes pass as they come.
    async fn opaque(&mut self) -> Ended {
        let Self { context, incoming: Incoming { inbound, held, .. }, outbound, .. } = self;
        outbound.push_all(held);
        let seen = |bytes: &[u8]| context.activity.to_backend.add(bytes.len());
        OneWay { inbound, outbound, seen }.run().await
    }

    /// Whether the client has left between two calls, with a backend that another client may use. If it is not, the backend
    /// has to learn that the client has sent its last byte.
    async fn leaves_spare(&mut self) -> bool {
        let Self { context, calls, incoming, .. } = self;
        if !context.settings.reuse_socket || !calls.borrow_mut().is_reusable() {
            return false;
        }
        if context.settings.protocol == Protocol::Tcp {
            // Where a reply has no end, a client that only waits for more must not be mistaken for one that has left.
            tokio::select! {
                () = incoming.client().left() => {}
                () = until(calls, OpenCalls::is_opaque) => return false,
                () = tokio::time::sleep(HALF_CLOSED) => return false,
            }
        }
        tokio::select! {
            biased;
            () = until(calls, |calls| calls.is_opaque() || !context.is_blocked()) => {}
            // Nobody takes the rest of the replies.
            () = incoming.client().left() => return false,
        }
        calls.borrow_mut().is_reusable()
    }
}

impl Incoming<'_, '_> {
    /// Reads more behind what is held. An end of file in the middle of a request is the end of the client.
    async fn fill(&mut self) -> Result<()> {
        match self.inbound.fill(self.held).await {
            Ok(0) => Err(Error::ClientLeft),
            Ok(len) => {
                self.frames.context.activity.to_backend.add(len);
                Ok(())
            }
            Err(error) => Err(Error::Client(error)),
        }
    }

    /// Reads and drops what comes; ready when the client can send no more.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let moved = &self.frames.context.activity.to_backend;
        loop {
            let read = self.inbound.poll_read(cx, |_, bytes| {
                moved.add(bytes.len());
                bytes.len()
            });
            if let Ok(0) | Err(_) = ready!(read) {
                return Poll::Ready(());
            }
        }
    }

    async fn drain_request(&mut self) -> Result<()> {
        let context = self.frames.context;
        let protocol = context.settings.protocol;
        if protocol == Protocol::Tcp {
            // The request has no end that could be waited for: what is there by now is taken for it.
            self.held.clear();
            (self.frames.due, self.frames.left) = (0, Some(0));
            return poll_fn(|cx| {
                let _ = self.poll_drop(cx);
                Poll::Ready(Ok(()))
            })
            .await;
        }
        let due = std::mem::take(&mut self.frames.due);
        if self.frames.left != Some(0)
            && let Some(interim) = protocol.awaited(&self.held[..due])
        {
            let state = CallState::new(protocol, context.streams(), CallState::INTERIM, Bytes::new(), None);
            self.frames
                .calls
                .borrow_mut()
                .push(Expect::Reply, ReplySource::Answer(Box::new((Answer::new(interim), state))));
        }
        self.held.advance(due);
        while self.frames.left != Some(0) {
            if self.held.is_empty() {
                self.fill().await?;
            }
            match self.frames.requests.framer.step(self.held, true) {
                Step::Part { len, left } => {
                    self.held.advance(len);
                    self.frames.left = left;
                }
                Step::More => self.fill().await?,
                Step::Opaque(why) => {
                    context.turns_opaque(why);
                    self.broken = true;
                    self.frames.left = Some(0);
                }
                _ => unreachable!("a message under way is nothing but parts"),
            }
        }
        Ok(())
    }
}

impl<'s> Incoming<'_, 's> {
    fn client(&self) -> Peer<'s> {
        self.inbound.peer()
    }
}

impl Message for Incoming<'_, '_> {
    fn address(&self) -> Option<SocketAddr> {
        self.inbound.peer().address()
    }

    fn leaves(&self) -> Leaves<'_> {
        Leaves::Connection(self.inbound.peer())
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_request())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        *self.held = BytesMut::new();
        Box::pin(poll_fn(|cx| self.poll_drop(cx)))
    }
}
