//! From the backend to the client: replies, and answers of our own in their places.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::copy::{OneWay, flush};
use super::ends::{Broken, Ends};
use super::exchange::{Exchange, Fate, lock};
use super::{End, Link, READS_A_TURN};
use crate::buffer::{Outgoing, ReadSize, poll_read};
use crate::call::{Call, Message, Verdict};
use crate::error::{Error, Result};
use crate::protocol::{MAX_HEAD, Protocol, Replies, Step};

/// The reply pump: finds replies, hands those of handled calls to their handlers, and keeps everything in order.
pub(super) struct ToClient<'a, 's> {
    ends: &'a Ends,
    from: ReadHalf<'s>,
    size: ReadSize,
    /// How the backend ended; what was queued before may still have to be sent.
    ended: Option<io::Result<()>>,
    replies: InOrder<'a, 's>,
}

/// All of the pump but its source, so that bytes can be looked at where they were read.
struct InOrder<'a, 's> {
    link: &'a Link<'a>,
    exchange: &'a Mutex<Exchange>,
    framer: Replies,
    /// Read, and not passed on yet: an incomplete head, or what stands behind a reply that a handler has in hand.
    held: BytesMut,
    to: WriteHalf<'s>,
    out: Outgoing,
    /// What is held has not been looked at since something changed.
    look: bool,
    /// How much of what is held belongs to the reply that a handler had in hand.
    due: usize,
    /// What is still to come of the reply that a handler had in hand.
    left: Option<u64>,
}

/// Why passing on came to a stop.
enum Next {
    /// The client takes no more for now.
    Blocked,
    /// It is the turn of an answer of our own.
    Answer,
    /// A handler's turn: its reply has begun with this many bytes, and this is still to come.
    Handled(usize, Option<u64>),
    /// Messages can no longer be told apart.
    Opaque,
    /// A handler ends the connection.
    End(End),
    /// The backend has sent its last byte.
    Ended,
}

impl<'a, 's> ToClient<'a, 's> {
    pub(super) fn new(
        link: &'a Link<'a>,
        exchange: &'a Mutex<Exchange>,
        ends: &'a Ends,
        from: ReadHalf<'s>,
        to: WriteHalf<'s>,
    ) -> Self {
        let (framer, held, out) = (link.proxy.protocol.replies(), BytesMut::new(), Outgoing::default());
        let replies = InOrder { link, exchange, framer, held, to, out, look: false, due: 0, left: Some(0) };
        Self { ends, from, size: ReadSize::new(link.proxy.buffer), ended: None, replies }
    }

    /// Runs until the replies, or the connection, end.
    pub(super) async fn run(mut self) -> End {
        match self.pump().await {
            Ok(how) => self.ends.replies(how, &mut self.from, &mut self.replies.to).await,
            Err(end) => end,
        }
    }

    async fn pump(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            if let Err(broken) = self.flush().await {
                return Ok(Err(broken));
            }
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Err(broken) => return Ok(Err(broken)),
                Ok(Next::Blocked) => self.size.refused(),
                Ok(Next::Answer) => self.answer().await?,
                Ok(Next::Handled(len, left)) => {
                    // The replies before this one do not wait for its handler.
                    if let Err(broken) = self.flush().await {
                        return Ok(Err(broken));
                    }
                    self.handled(len, left).await?;
                }
                Ok(Next::Opaque) => return self.opaque().await,
                Ok(Next::End(end)) => return Err(end),
                Ok(Next::Ended) => return self.ended().await,
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        flush(&mut self.replies.out, &mut self.replies.to, self.from.as_ref()).await
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Broken>> {
        if let Some(next) = self.replies.pass_held(cx)? {
            return Poll::Ready(Ok(next));
        }
        for _ in 0..READS_A_TURN {
            if let Some(next) = self.replies.turn() {
                return Poll::Ready(Ok(next));
            }
            if self.ended.is_some() {
                return self.poll_ended();
            }
            let Self { from, size, replies, .. } = self;
            match ready!(poll_read(cx, from, size, |cx, bytes| replies.pass(cx, bytes))) {
                Err(error) => self.ended = Some(Err(error)),
                Ok(Ok(Some(Next::Ended))) => self.ended = Some(Ok(())),
                Ok(Ok(Some(next))) => return Poll::Ready(Ok(next)),
                Ok(Ok(None)) => {}
                Ok(Err(broken)) => return Poll::Ready(Err(broken)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The backend's end has to wait while a handler has a request in hand: it may hold the client, or answer by itself.
    fn poll_ended(&mut self) -> Poll<Result<Next, Broken>> {
        if lock(self.replies.exchange).in_hand { Poll::Pending } else { Poll::Ready(Ok(Next::Ended)) }
    }

    /// An answer of our own has its turn.
    async fn answer(&mut self) -> Result<(), End> {
        self.replies.look = true;
        let Some(Fate::Answer(ours)) = self.pop().await else { return Ok(()) };
        let (answer, mut about) = *ours;
        let close = answer.close;
        self.replies.out.push(&answer.into_bytes(&mut about));
        if close {
            self.flush().await?;
            return Err(End::Close);
        }
        Ok(())
    }

    /// The oldest call is done.
    async fn pop(&mut self) -> Option<Fate> {
        poll_fn(|cx| Poll::Ready(lock(self.replies.exchange).pop(cx))).await
    }

    /// A handler's turn: its reply has begun, and nothing of it has been passed on.
    async fn handled(&mut self, len: usize, left: Option<u64>) -> Result<(), End> {
        let Some(mut handled) = lock(self.replies.exchange).handled() else { return Ok(()) };
        (self.replies.due, self.replies.left) = (len, left);
        let stop = &self.replies.link.proxy.stop;
        let verdict = handled.drawn.handler.after(&mut Call::new(&mut handled.about, self, stop)).await?;
        match verdict {
            Verdict::Pass => {}
            Verdict::Inject(bytes) => self.inject(&bytes).await?,
            Verdict::Answer(answer) => {
                self.drain().await?;
                lock(self.replies.exchange).answer(answer, handled.about);
                self.replies.look = true;
                return Ok(());
            }
            Verdict::Close => return Err(End::Close),
            Verdict::Reset => return Err(End::Reset),
        }
        self.pass_due();
        if self.replies.left == Some(0) {
            self.pop().await;
        }
        self.replies.look = true;
        Ok(())
    }

    /// Passes on what is here of the reply that a handler had in hand.
    fn pass_due(&mut self) {
        let due = self.replies.held.split_to(std::mem::take(&mut self.replies.due));
        self.replies.out.push(&due);
    }

    /// Passes on the first half of the reply, and `bytes`.
    async fn inject(&mut self, bytes: &[u8]) -> Result<(), End> {
        while self.replies.left.is_none() && self.replies.due < MAX_HEAD && self.part().await? {}
        let here = self.replies.due as u64;
        let mut half = (here + self.replies.left.unwrap_or(0)) / 2;
        while half > self.replies.due as u64 {
            half -= self.replies.due as u64;
            self.pass_due();
            self.flush().await?;
            if !self.part().await? {
                return Ok(());
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than what is held")]
        let first = self.replies.held.split_to(half as usize);
        self.replies.due -= first.len();
        self.replies.out.push(&first);
        self.replies.out.push(bytes);
        Ok(())
    }

    /// Waits for more of the reply that a handler has in hand; whether there is more.
    async fn part(&mut self) -> Result<bool> {
        if self.replies.left == Some(0) {
            return Ok(false);
        }
        loop {
            let replies = &mut self.replies;
            let expect = lock(replies.exchange).front().map(|(expect, _)| expect);
            if replies.held.len() > replies.due {
                match replies.framer.step(&replies.held[replies.due..], expect) {
                    Step::Part { len, left } => {
                        replies.due += len;
                        replies.left = left;
                        return Ok(true);
                    }
                    Step::More => {}
                    Step::Opaque(why) => {
                        replies.link.turns_opaque(why);
                        lock(replies.exchange).opaque = true;
                        return Ok(false);
                    }
                    step => unreachable!("{step:?} in the middle of a reply"),
                }
            }
            let Self { from, size, replies, .. } = self;
            let read = poll_fn(|cx| {
                poll_read(cx, from, size, |_, bytes| {
                    replies.link.backend_spoke(bytes.len());
                    replies.held.extend_from_slice(bytes);
                    bytes.len()
                })
            });
            tokio::select! {
                read = read => match read {
                    Ok(0) => {
                        self.ended = Some(Ok(()));
                        return Ok(false);
                    }
                    Ok(_) => {}
                    Err(error) => return Err(Error::Backend(error)),
                },
            }
        }
    }

    async fn drain_reply(&mut self) -> Result<()> {
        loop {
            let due = std::mem::take(&mut self.replies.due);
            self.replies.held.advance(due);
            if !self.part().await? {
                return Ok(());
            }
        }
    }

    /// From here on bytes pass as they come, after the answers of our own that were still to be sent.
    async fn opaque(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            match self.pop().await {
                Some(Fate::Answer(ours)) => {
                    let (answer, mut about) = *ours;
                    self.replies.out.push(&answer.into_bytes(&mut about));
                }
                Some(Fate::Close) => return Err(End::Close),
                Some(Fate::Reset) => return Err(End::Reset),
                Some(Fate::Pass | Fate::Handled(_) | Fate::Opaque) => {}
                None => break,
            }
        }
        self.turn_opaque().await;
        if self.ended.is_some() {
            return self.ended().await;
        }
        let Self { from, size, replies, .. } = self;
        let mut out = std::mem::take(&mut replies.out);
        out.push(&std::mem::take(&mut replies.held));
        let link = replies.link;
        let mut way = OneWay { from, to: &mut replies.to, out, size: *size };
        Ok(way.run(|bytes| link.backend_spoke(bytes)).await)
    }

    /// Tells the request pump, wherever it waits.
    async fn turn_opaque(&mut self) {
        poll_fn(|cx| {
            let mut exchange = lock(self.replies.exchange);
            exchange.opaque = true;
            exchange.changed(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// The backend has sent its last byte, and everything before it is on its way.
    async fn ended(&mut self) -> Result<Result<(), Broken>, End> {
        if let Some(Err(error)) = self.ended.take() {
            return Ok(Err(Broken::From(error)));
        }
        let incomplete = std::mem::take(&mut self.replies.held);
        self.replies.out.push(&incomplete);
        if let Err(broken) = self.flush().await {
            return Ok(Err(broken));
        }
        let proxy = self.replies.link.proxy;
        let between_calls = {
            let exchange = lock(self.replies.exchange);
            exchange.is_idle() && !exchange.opaque
        };
        if proxy.keep_alive && proxy.protocol != Protocol::Http && between_calls && !self.ends.have_requests() {
            return Err(End::BackendLeft);
        }
        self.turn_opaque().await;
        Ok(Ok(()))
    }
}

impl Message for ToClient<'_, '_> {
    fn client(&self) -> &TcpStream {
        self.replies.to.as_ref()
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_reply())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // What the client sends is the request pump's to read.
        Box::pin(std::future::ready(()))
    }
}

impl InOrder<'_, '_> {
    /// What has its turn now, if it is not the backend's.
    fn turn(&self) -> Option<Next> {
        let exchange = lock(self.exchange);
        if exchange.opaque {
            return Some(Next::Opaque);
        }
        match exchange.front()?.1 {
            Fate::Pass | Fate::Handled(_) => None,
            Fate::Answer(_) => Some(Next::Answer),
            Fate::Close => Some(Next::End(End::Close)),
            Fate::Reset => Some(Next::End(End::Reset)),
            Fate::Opaque => Some(Next::Opaque),
        }
    }

    /// Passes on what it may of `bytes` just read, and holds the rest.
    fn pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<Option<Next>, Broken> {
        if bytes.is_empty() {
            return Ok(Some(Next::Ended));
        }
        self.link.backend_spoke(bytes.len());
        self.look = true;
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            return self.pass_held(cx);
        }
        let (passed, next) = self.frame(cx, bytes);
        self.held.extend_from_slice(&bytes[passed..]);
        self.send(cx, &bytes[..passed], next)
    }

    /// Passes on what it may of what is held.
    fn pass_held(&mut self, cx: &mut Context<'_>) -> Result<Option<Next>, Broken> {
        if self.held.is_empty() || !self.look {
            return Ok(None);
        }
        let mut held = std::mem::take(&mut self.held);
        let (passed, next) = self.frame(cx, &held);
        let sent = self.send(cx, &held[..passed], next);
        held.advance(passed);
        if !held.is_empty() {
            self.held = held;
        }
        sent
    }

    fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8], next: Option<Next>) -> Result<Option<Next>, Broken> {
        self.out.send(cx, &mut self.to, bytes).map_err(Broken::To)?;
        Ok(next.or_else(|| (!self.out.is_empty()).then_some(Next::Blocked)))
    }

    /// Tells the replies in `bytes` apart, up to one that a handler wants to see or one of our own. Answers how many bytes
    /// may pass, and what has to happen before more can; nothing, where more has to be read.
    fn frame(&mut self, cx: &Context<'_>, bytes: &[u8]) -> (usize, Option<Next>) {
        self.look = false;
        let mut at = 0;
        while at < bytes.len() {
            if let Some(next) = self.turn() {
                return (at, Some(next));
            }
            let mut exchange = lock(self.exchange);
            let front = exchange.front();
            let handled = matches!(front, Some((_, Fate::Handled(_))));
            match self.framer.step(&bytes[at..], front.map(|(expect, _)| expect)) {
                Step::More => break,
                Step::Pass(len) => at += len,
                Step::Part { len, left } if handled => return (at, Some(Next::Handled(len, left))),
                Step::Part { len, left } => {
                    at += len;
                    if left == Some(0) {
                        exchange.pop(cx);
                    }
                }
                Step::Unanswered => {
                    exchange.pop(cx);
                }
                Step::Opaque(why) => {
                    self.link.turns_opaque(why);
                    return (at, Some(Next::Opaque));
                }
                Step::Call { .. } | Step::Wait => unreachable!("a reply framer knows of no requests"),
            }
        }
        (at, None)
    }
}
