//! From the backend to the client: replies, and answers of our own in their places.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use super::context::ConnectionContext;
use super::copy::OneWay;
use super::half_close::HalfCloses;
use super::inbound::Inbound;
use super::open_calls::{OpenCalls, ReplySource, SharedCalls};
use super::outbound::{Outbound, Stage, Stop};
use super::outcome::{Ended, Outcome};
use super::reply_frames::{ReplyFrames, ReplyStop};
use crate::call::{Answer, Call, CallState, Leaves, Message, Verdict, Written};
use crate::call_log::CallEnd;
use crate::error::{Error, Result};
use crate::net::stream::Peer;
use crate::protocol::{Expect, MAX_HEAD, Step};

/// The reply pump: reads, lets handlers decide, and keeps everything in order.
pub(super) struct ReplyPump<'a, 's> {
    pub(super) context: &'a ConnectionContext<'a>,
    pub(super) calls: &'a SharedCalls,
    half_closes: &'a HalfCloses,
    pub(super) incoming: Incoming<'a, 's>,
    pub(super) outbound: Outbound<'s>,
}

/// What comes from the backend.
pub(super) struct Incoming<'a, 's> {
    pub(super) inbound: Inbound<'s>,
    pub(super) client: Peer<'s>,
    /// Read, but not passed on yet.
    pub(super) held: BytesMut,
    pub(super) frames: ReplyFrames<'a>,
    /// How the backend ended; what was queued before may still have to be sent.
    ended: Option<io::Result<()>>,
}

impl<'a, 's> ReplyPump<'a, 's> {
    pub(super) fn new(
        frames: ReplyFrames<'a>,
        half_closes: &'a HalfCloses,
        inbound: Inbound<'s>,
        outbound: Outbound<'s>,
    ) -> Self {
        let ReplyFrames { context, calls, .. } = frames;
        let incoming = Incoming { inbound, client: outbound.peer(), held: BytesMut::new(), frames, ended: None };
        Self { context, calls, half_closes, incoming, outbound }
    }

    /// What bytes to the client go through, and what was read and not passed on.
    pub(super) fn into_parts(mut self) -> (Stage, BytesMut) {
        (self.outbound.take_stage(), self.incoming.held)
    }

    /// Runs until the replies, or the connection, end.
    pub(super) async fn run(&mut self) -> Outcome {
        let ended = loop {
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Ok(Stop::Blocked) => self.incoming.inbound.size.refused(),
                Ok(Stop::At(ReplyStop::Opaque)) => break Box::pin(self.opaque()).await,
                // Boxed, as it would make connections larger that only pass bytes on.
                Ok(stop) => match Box::pin(self.act(stop)).await {
                    Ok(()) => {}
                    Err(ended) => break ended,
                },
                Err(ended) => break ended,
            }
        };
        let from = self.incoming.inbound.peer();
        Box::pin(self.half_closes.replies(ended, from, &mut self.outbound)).await
    }

    /// Does what has to be done before more can pass.
    async fn act(&mut self, stop: Stop<ReplyStop>) -> Result<(), Ended> {
        match stop {
            // The last one ends the replies: see `run`.
            Stop::Blocked | Stop::At(ReplyStop::Opaque) => {}
            Stop::At(ReplyStop::Answer) => self.answer().await?,
            Stop::At(ReplyStop::Handler { len, left }) => {
                // The replies before this one do not wait for its handler.
                self.flush().await?;
                self.handle(len, left).await?;
            }
            Stop::At(ReplyStop::NoOp { len, left }) => self.drop_no_op(len, left).await,
            Stop::At(ReplyStop::Hold) => {
                let calls = self.calls;
                self.outbound.beside(hold(calls)).await?;
            }
            Stop::At(ReplyStop::End(outcome)) => {
                // The replies before it come first.
                self.drain().await?;
                return Err(outcome.into());
            }
            Stop::Eof => return Err(self.end().await),
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> impl Future<Output = Result<(), Ended>> {
        self.outbound.flush(self.incoming.inbound.peer())
    }

    fn drain(&mut self) -> impl Future<Output = Result<(), Ended>> {
        self.outbound.drain(self.incoming.inbound.peer())
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stop<ReplyStop>, Ended>> {
        let Self { context, incoming, outbound, .. } = self;
        ready!(outbound.poll_flush(cx, incoming.inbound.peer()))?;
        outbound.write_due(cx)?;
        let Incoming { inbound, held, frames, ended, .. } = incoming;
        if frames.look
            && let Some(stop) = outbound.pass_held(cx, held, |cx, bytes, ahead| frames.find(cx, bytes, ahead))?
        {
            return Poll::Ready(Ok(stop));
        }
        loop {
            if !outbound.is_ahead()
                && let Some(stop) = frames.turn()
            {
                return Poll::Ready(Ok(Stop::At(stop)));
            }
            if let Some(how) = ended {
                if how.is_ok() && held.is_empty() && frames.find_missing(cx) {
                    continue;
                }
                return self.poll_end();
            }
            let read = inbound.poll_read(cx, |cx, bytes| {
                if bytes.is_empty() {
                    return Ok(Some(Stop::Eof));
                }
                let _measured = context.measure();
                context.replies_read(bytes.len());
                outbound.pass(cx, held, bytes, |cx, bytes, ahead| frames.find(cx, bytes, ahead))
            });
            let Poll::Ready(read) = read else {
                return frames.timer.poll(cx).map(|()| Ok(Stop::At(frames.give_up())));
            };
            match read {
                Err(error) => *ended = Some(Err(error)),
                Ok(Ok(Some(Stop::Eof))) => *ended = Some(Ok(())),
                Ok(Ok(Some(stop))) => return Poll::Ready(Ok(stop)),
                Ok(Ok(None)) => {}
                Ok(Err(ended)) => return Poll::Ready(Err(ended)),
            }
        }
    }

    /// The backend's end has to wait while a handler holds a request: it may hold the client, or answer by itself.
    fn poll_end(&self) -> Poll<Result<Stop<ReplyStop>, Ended>> {
        let mut calls = self.calls.borrow_mut();
        if !calls.holds() {
            return Poll::Ready(Ok(Stop::Eof));
        }
        if self.client_stays(&calls) {
            calls.backend_left();
        }
        Poll::Pending
    }

    /// Whether the client's connection outlives the backend's, which has ended.
    fn client_stays(&self, calls: &OpenCalls) -> bool {
        let settings = self.context.settings;
        let in_order = !matches!(self.incoming.ended, Some(Err(_))) && !calls.is_opaque() && calls.owes_nothing();
        settings.keep_alive && !settings.protocol.is_http() && in_order && !self.half_closes.have_requests()
    }

    /// An answer of our own has its turn.
    async fn answer(&mut self) -> Result<(), Ended> {
        self.incoming.frames.look = true;
        let expect = self.calls.borrow_mut().front().map_or(Expect::Reply, |(expect, _)| expect);
        let Some(ReplySource::Answer(answer)) = self.pop().await else { return Ok(()) };
        if self.say(expect, *answer) {
            self.drain().await?;
            return Err(Outcome::Close.into());
        }
        Ok(())
    }

    /// Puts an answer of our own in its place; whether it closes.
    fn say(&mut self, expect: Expect, (answer, mut state): (Answer, CallState)) -> bool {
        state.mode = self.incoming.frames.framer.mode(state.mode);
        let Written { bytes, close } = answer.write(&mut state);
        self.incoming.frames.framer.answered(expect, &bytes);
        self.outbound.push(&bytes);
        if state.is_of_call() {
            self.context.call_ended(CallEnd::Answered);
        }
        close
    }

    /// Waits for more of the reply that a handler holds; whether there is more.
    pub(super) async fn part(&mut self) -> Result<bool, Ended> {
        Ok(self.outbound.beside(self.incoming.part()).await??)
    }

    /// The oldest call leaves the queue.
    pub(super) async fn pop(&mut self) -> Option<ReplySource> {
        poll_fn(|cx| Poll::Ready(self.calls.borrow_mut().pop(cx))).await
    }

    /// Drops what is here of the reply to a no-op of our own.
    async fn drop_no_op(&mut self, len: usize, left: Option<u64>) {
        self.incoming.frames.look = true;
        self.incoming.held.advance(len);
        if self.incoming.held.is_empty() {
            self.incoming.held = BytesMut::new();
        }
        if left == Some(0) {
            self.pop().await;
        }
        self.settle();
    }

    /// A handler's turn: its reply has begun, and nothing of it has been passed on.
    async fn handle(&mut self, len: usize, left: Option<u64>) -> Result<(), Ended> {
        let Some(mut call) = self.calls.borrow_mut().take_handled() else { return Ok(()) };
        let context = self.context;
        self.incoming.frames.look = true;
        (self.incoming.frames.due, self.incoming.frames.left) = (len, left);
        let (handler, state) = (&call.handler, &mut call.state);
        let mut verdicts = {
            let _at_work = context.activity.works(&handler.counters);
            let mut call = Call::new(state, &mut self.incoming, context.call(handler));
            self.outbound.beside(handler.handler.after(&mut call)).await??
        };
        for (step, verdict) in &verdicts {
            if let Some(action) = verdict.action() {
                state.enter(*step);
                context.call(handler).fault(state, action);
            }
        }
        match verdicts.pop_if(|(_, verdict)| !verdict.shapes()).map(|(_, verdict)| verdict) {
            None
            | Some(
                Verdict::Pass
                | Verdict::GoAway(_)
                | Verdict::Cut { .. }
                | Verdict::Slow { .. }
                | Verdict::Corrupt { .. },
            ) => {
                if !verdicts.is_empty() {
                    self.pass_through(&mut call, &verdicts).await?;
                }
            }
            Some(Verdict::Inject(bytes)) => self.inject(&bytes).await?,
            Some(Verdict::Answer(answer)) => return self.replace(answer, call.state).await,
            Some(Verdict::Handshake(_)) => return Err(Outcome::Failed(Error::NoReplyYet).into()),
            Some(verdict @ (Verdict::Close | Verdict::Reset | Verdict::ResetStream(_) | Verdict::ResetConnection)) => {
                // The replies before it come first.
                self.drain().await?;
                return Err(if matches!(verdict, Verdict::Close) { Outcome::Close } else { Outcome::Reset }.into());
            }
        }
        self.pass_due();
        self.settle();
        if self.incoming.frames.left == Some(0) {
            self.pop().await;
            context.call_ended(CallEnd::Replied);
        }
        Ok(())
    }

    /// Passes on what is here of the reply that a handler held.
    pub(super) fn pass_due(&mut self) {
        let due = std::mem::take(&mut self.incoming.frames.due);
        self.outbound.push(&self.incoming.held[..due]);
        self.incoming.held.advance(due);
    }

    /// Notes whether what was passed on ends within a message.
    pub(super) fn settle(&self) {
        let within = !self.incoming.held.is_empty() || self.incoming.frames.framer.is_within();
        let mut calls = self.calls.borrow_mut();
        calls.set_within_reply(within);
        if self.incoming.frames.framer.ends_with_connection() {
            calls.set_final();
        }
    }

    /// Drops the reply, and answers in its place.
    async fn replace(&mut self, answer: Answer, state: CallState) -> Result<(), Ended> {
        self.outbound.beside(self.incoming.drain_reply()).await??;
        self.settle();
        self.calls.borrow_mut().answer(answer, state);
        Ok(())
    }

    /// Passes on the first half of the reply, and `bytes`.
    async fn inject(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        while self.incoming.frames.left.is_none() && self.incoming.frames.due < MAX_HEAD && self.part().await? {}
        let mut half = u64::midpoint(self.incoming.frames.due as u64, self.incoming.frames.left.unwrap_or(0));
        while half > self.incoming.frames.due as u64 {
            half -= self.incoming.frames.due as u64;
            self.pass_due();
            self.flush().await?;
            if !self.part().await? {
                return Ok(());
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than what is held")]
        let first = self.incoming.held.split_to(half as usize);
        self.incoming.frames.due -= first.len();
        self.outbound.push(&first);
        self.outbound.push(bytes);
        Ok(())
    }

    /// From here on bytes pass as they come.
    async fn opaque(&mut self) -> Ended {
        if let Err(ended) = self.flush().await {
            return ended;
        }
        if !self.calls.borrow_mut().has_no_answers() {
            // Nobody knows where an answer of our own belongs, or which reply is that to our no-op.
            return self.drain().await.err().unwrap_or(Outcome::Close.into());
        }
        self.turn_opaque().await;
        if self.incoming.ended.is_some() {
            return self.end().await;
        }
        self.outbound.push_all(&mut self.incoming.held);
        let Self { context, incoming: Incoming { inbound, .. }, outbound, .. } = self;
        let seen = |bytes: &[u8]| context.activity.to_client.add(bytes.len());
        OneWay { inbound, outbound, seen }.run().await
    }

    /// Tells the request pump, wherever it waits.
    async fn turn_opaque(&mut self) {
        poll_fn(|cx| {
            let mut calls = self.calls.borrow_mut();
            calls.turn_opaque();
            calls.changed(cx);
            self.context.replies_end(calls.holds());
            Poll::Ready(())
        })
        .await;
    }

    /// The backend has sent its last byte, and everything before it is on its way.
    async fn end(&mut self) -> Ended {
        if let Some(Err(error)) = self.incoming.ended.take() {
            return Ended::Read(error);
        }
        self.outbound.push_all(&mut self.incoming.held);
        let stays = {
            let mut calls = self.calls.borrow_mut();
            let stays = calls.is_idle() && self.client_stays(&calls);
            if stays {
                calls.backend_left();
            }
            stays
        };
        if let Err(ended) = self.drain().await {
            return ended;
        }
        if stays {
            return Outcome::BackendLeft.into();
        }
        if self.incoming.frames.framer.ends_with_connection() {
            self.context.call_ended(CallEnd::Replied);
        }
        self.turn_opaque().await;
        Ended::Eof
    }
}

/// Waits until a handler has decided about the request that it holds, a reply about what follows its request, or the client's first
/// bytes about its protocol.
async fn hold(calls: &SharedCalls) {
    let is_settled = || {
        let calls = calls.borrow_mut();
        !calls.holds() && !calls.is_undecided() && !calls.may_be_http2()
    };
    poll_fn(|_| if is_settled() { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Incoming<'_, '_> {
    /// Waits for more of the reply that a handler holds; whether there is more.
    async fn part(&mut self) -> Result<bool> {
        loop {
            let Self { held, frames, .. } = self;
            let ReplyFrames { context, calls, .. } = *frames;
            if frames.left == Some(0) {
                return Ok(false);
            }
            if held.len() > frames.due {
                let expect = calls.borrow_mut().front().map(|(expect, _)| expect);
                match frames.framer.step(&held[frames.due..], expect) {
                    Step::Part { len, left } => {
                        frames.due += len;
                        frames.left = left;
                        return Ok(true);
                    }
                    Step::Opaque(why) => {
                        context.turns_opaque(why);
                        calls.borrow_mut().turn_opaque();
                        return Ok(false);
                    }
                    // Of a message under way, the rest is more of it or nothing.
                    _ => {}
                }
            }
            if !self.fill().await? {
                return Ok(false);
            }
        }
    }

    /// Reads more behind what is held; whether there is more.
    pub(super) async fn fill(&mut self) -> Result<bool> {
        match self.inbound.fill(&mut self.held).await {
            Ok(0) => {
                self.ended = Some(Ok(()));
                Ok(false)
            }
            Ok(len) => {
                self.frames.context.replies_read(len);
                Ok(true)
            }
            Err(error) => Err(Error::Backend(error)),
        }
    }

    async fn drain_reply(&mut self) -> Result<()> {
        loop {
            let due = std::mem::take(&mut self.frames.due);
            self.held.advance(due);
            if !self.part().await? {
                return Ok(());
            }
        }
    }
}

impl Message for Incoming<'_, '_> {
    fn address(&self) -> Option<SocketAddr> {
        self.client.address()
    }

    fn leaves(&self) -> Leaves<'_> {
        Leaves::Connection(self.client)
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_reply())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // What the client sends is the request pump's to read.
        Box::pin(std::future::ready(()))
    }
}
