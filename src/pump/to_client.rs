//! From the backend to the client: replies, and answers of our own in their places.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::context::ConnectionContext;
use super::copy::OneWay;
use super::ends::{Broken, Ends};
use super::open_calls::{OpenCalls, ReplySource, lock};
use super::outbound::{Frame, Source};
use super::replies::{Replies, Stop};
use super::{End, READS_A_TURN};
use crate::call::{Answer, Call, CallState, Message, Verdict};
use crate::error::{Error, Result};
use crate::protocol::{MAX_HEAD, Protocol, Step};

/// The reply pump: reads, lets handlers decide, and keeps everything in order.
pub(super) struct ToClient<'a, 's> {
    ends: &'a Ends,
    source: Source<'s>,
    /// How the backend ended; what was queued before may still have to be sent.
    ended: Option<io::Result<()>>,
    replies: Replies<'a, 's>,
}

impl<'a, 's> ToClient<'a, 's> {
    pub(super) fn new(replies: Replies<'a, 's>, ends: &'a Ends, from: ReadHalf<'s>) -> Self {
        let source = Source::new(from, replies.link.settings.buffer);
        Self { ends, source, ended: None, replies }
    }

    /// Runs until the replies, or the connection, end.
    pub(super) async fn run(&mut self) -> End {
        match self.pump().await {
            Ok(how) => Box::pin(self.ends.replies(how, &mut self.source.from, &mut self.replies.lane.to)).await,
            Err(end) => end,
        }
    }

    /// Passes on replies, then whatever follows them, until the backend's last byte.
    async fn pump(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            if let Err(broken) = self.flush().await {
                return Ok(Err(broken));
            }
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Err(broken) => return Ok(Err(broken)),
                Ok(Stop::Blocked) => self.source.size.refused(),
                Ok(Stop::Answer) => self.answer().await?,
                Ok(Stop::Handled(len, left)) => {
                    // The replies before this one do not wait for its handler.
                    if let Err(broken) = self.flush().await {
                        return Ok(Err(broken));
                    }
                    // Boxed, as it would make connections larger whose handlers see no replies.
                    Box::pin(self.handled(len, left)).await?;
                }
                Ok(Stop::Opaque) => return self.opaque().await,
                Ok(Stop::Hold) => self.hold().await,
                Ok(Stop::End(end)) => return Err(end),
                Ok(Stop::Ended) => return self.ended().await,
            }
        }
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), Broken>> {
        self.replies.lane.flush(self.source.stream(), self.replies.link)
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stop, Broken>> {
        if let Some(stop) = self.replies.pass_held(cx)? {
            return Poll::Ready(Ok(stop));
        }
        for _ in 0..READS_A_TURN {
            if let Some(stop) = self.replies.turn() {
                return Poll::Ready(Ok(stop));
            }
            if self.ended.is_some() {
                return self.poll_ended();
            }
            let replies = &mut self.replies;
            let read = self.source.poll_read(cx, |cx, bytes| {
                if bytes.is_empty() {
                    return Ok(Some(Stop::Ended));
                }
                let _passing = replies.link.passing();
                replies.link.backend_spoke(bytes.len());
                replies.pass(cx, bytes)
            });
            match ready!(read) {
                Err(error) => self.ended = Some(Err(error)),
                Ok(Ok(Some(Stop::Ended))) => self.ended = Some(Ok(())),
                Ok(Ok(Some(stop))) => return Poll::Ready(Ok(stop)),
                Ok(Ok(None)) => {}
                Ok(Err(broken)) => return Poll::Ready(Err(broken)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The backend's end has to wait while a handler has a request in hand: it may hold the client, or answer by itself.
    fn poll_ended(&self) -> Poll<Result<Stop, Broken>> {
        let mut exchange = lock(self.replies.exchange);
        if !exchange.in_hand {
            return Poll::Ready(Ok(Stop::Ended));
        }
        exchange.backend_left = self.client_stays(&exchange);
        Poll::Pending
    }

    /// Whether the client's connection outlives the backend's, that has ended.
    fn client_stays(&self, exchange: &OpenCalls) -> bool {
        let settings = self.replies.link.settings;
        let in_order = !matches!(self.ended, Some(Err(_))) && !exchange.opaque && exchange.owes_nothing();
        settings.keep_alive && settings.protocol != Protocol::Http && in_order && !self.ends.have_requests()
    }

    /// Waits until a handler has decided about the request that it has in hand.
    async fn hold(&self) {
        poll_fn(|_| if lock(self.replies.exchange).in_hand { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// An answer of our own has its turn.
    async fn answer(&mut self) -> Result<(), End> {
        self.replies.lane.look = true;
        let Some(ReplySource::Answer(ours)) = self.pop().await else { return Ok(()) };
        if self.say(*ours) {
            self.flush().await?;
            return Err(End::Close);
        }
        Ok(())
    }

    /// Puts an answer of our own in its place; whether it closes.
    fn say(&mut self, (answer, mut about): (Answer, CallState)) -> bool {
        let close = answer.close;
        self.replies.lane.out.push(&answer.into_bytes(&mut about));
        if about.is_of_call()
            && let Some(mut track) = self.replies.link.track()
        {
            track.replied();
        }
        close
    }

    /// The oldest call is done.
    async fn pop(&mut self) -> Option<ReplySource> {
        poll_fn(|cx| Poll::Ready(lock(self.replies.exchange).pop(cx))).await
    }

    /// A handler's turn: its reply has begun, and nothing of it has been passed on.
    async fn handled(&mut self, len: usize, left: Option<u64>) -> Result<(), End> {
        let Some(mut handled) = lock(self.replies.exchange).handled() else { return Ok(()) };
        self.replies.lane.look = true;
        (self.replies.lane.due, self.replies.lane.left) = (len, left);
        let ConnectionContext { live, proxy, .. } = self.replies.link;
        let (drawn, about) = (&handled.drawn, &mut handled.about);
        let verdict = {
            let _at_work = live.works(drawn);
            drawn.handler.after(&mut Call::new(about, self, drawn, proxy)).await?
        };
        if let Some(action) = verdict.action() {
            proxy.fault(drawn, about, action);
        }
        match verdict {
            Verdict::Pass => {}
            Verdict::Inject(bytes) => self.inject(&bytes).await?,
            Verdict::Answer(answer) => return Ok(self.replace(answer, handled.about).await?),
            Verdict::Close => return Err(End::Close),
            Verdict::Reset => return Err(End::Reset),
        }
        self.replies.lane.pass_due();
        self.settle();
        if self.replies.lane.left == Some(0) {
            self.pop().await;
            if let Some(mut track) = self.replies.link.track() {
                track.replied();
            }
        }
        Ok(())
    }

    /// Notes whether what was passed on ends within a message.
    fn settle(&self) {
        let Replies { exchange, framer, lane, .. } = &self.replies;
        lock(exchange).within_reply = !lane.held.is_empty() || framer.is_within();
    }

    /// Drops the reply, and answers in its place.
    async fn replace(&mut self, answer: Answer, about: CallState) -> Result<()> {
        self.drain().await?;
        self.settle();
        lock(self.replies.exchange).answer(answer, about);
        Ok(())
    }

    /// Passes on the first half of the reply, and `bytes`.
    async fn inject(&mut self, bytes: &[u8]) -> Result<(), End> {
        while self.replies.lane.left.is_none() && self.replies.lane.due < MAX_HEAD && self.part().await? {}
        let mut half = u64::midpoint(self.replies.lane.due as u64, self.replies.lane.left.unwrap_or(0));
        while half > self.replies.lane.due as u64 {
            half -= self.replies.lane.due as u64;
            self.replies.lane.pass_due();
            self.flush().await?;
            if !self.part().await? {
                return Ok(());
            }
        }
        let lane = &mut self.replies.lane;
        #[expect(clippy::cast_possible_truncation, reason = "no more than what is held")]
        let first = lane.held.split_to(half as usize);
        lane.due -= first.len();
        lane.out.push(&first);
        lane.out.push(bytes);
        Ok(())
    }

    /// Waits for more of the reply that a handler has in hand; whether there is more.
    async fn part(&mut self) -> Result<bool> {
        loop {
            let Replies { link, exchange, framer, lane } = &mut self.replies;
            if lane.left == Some(0) {
                return Ok(false);
            }
            if lane.held.len() > lane.due {
                let expect = lock(exchange).front().map(|(expect, _)| expect);
                match framer.step(&lane.held[lane.due..], expect) {
                    Step::Part { len, left } => {
                        lane.due += len;
                        lane.left = left;
                        return Ok(true);
                    }
                    Step::Opaque(why) => {
                        link.turns_opaque(why);
                        lock(exchange).opaque = true;
                        return Ok(false);
                    }
                    // Of a message under way, the rest is more of it or nothing.
                    _ => {}
                }
            }
            match self.source.fill(lane.held).await {
                Ok(0) => {
                    self.ended = Some(Ok(()));
                    return Ok(false);
                }
                Ok(len) => link.backend_spoke(len),
                Err(error) => return Err(Error::Backend(error)),
            }
        }
    }

    async fn drain_reply(&mut self) -> Result<()> {
        loop {
            let due = std::mem::take(&mut self.replies.lane.due);
            self.replies.lane.held.advance(due);
            if !self.part().await? {
                return Ok(());
            }
        }
    }

    /// From here on bytes pass as they come, behind the answers of our own that were still to be sent.
    async fn opaque(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            match self.pop().await {
                Some(ReplySource::Answer(ours)) => {
                    self.say(*ours);
                }
                Some(ReplySource::Close) => return Err(End::Close),
                Some(ReplySource::Reset) => return Err(End::Reset),
                Some(ReplySource::Pass | ReplySource::Handled(_) | ReplySource::Seen | ReplySource::Opaque) => {}
                None => break,
            }
        }
        self.turn_opaque().await;
        if self.ended.is_some() {
            return self.ended().await;
        }
        let Replies { link, lane, .. } = &mut self.replies;
        lane.pass_all();
        let out = std::mem::take(&mut lane.out);
        let seen = |bytes| link.backend_spoke(bytes);
        let (from, to, size) = (&mut self.source.from, &mut lane.to, self.source.size);
        Ok(OneWay { link, from, to, out, size, seen }.run().await)
    }

    /// Tells the request pump, wherever it waits.
    async fn turn_opaque(&mut self) {
        poll_fn(|cx| {
            let mut exchange = lock(self.replies.exchange);
            exchange.opaque = true;
            exchange.changed(cx);
            if let Some(mut track) = self.replies.link.track() {
                track.replies_end(exchange.in_hand);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The backend has sent its last byte, and everything before it is on its way.
    async fn ended(&mut self) -> Result<Result<(), Broken>, End> {
        if let Some(Err(error)) = self.ended.take() {
            return Ok(Err(Broken::From(error)));
        }
        self.replies.lane.pass_all();
        if let Err(broken) = self.flush().await {
            return Ok(Err(broken));
        }
        let stays = {
            let exchange = lock(self.replies.exchange);
            exchange.is_idle() && self.client_stays(&exchange)
        };
        if stays {
            return Err(End::BackendLeft);
        }
        if self.replies.framer.ends_with_connection()
            && let Some(mut track) = self.replies.link.track()
        {
            track.replied();
        }
        self.turn_opaque().await;
        Ok(Ok(()))
    }
}

impl Message for ToClient<'_, '_> {
    fn client(&self) -> &TcpStream {
        self.replies.lane.to.as_ref()
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_reply())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // What the client sends is the request pump's to read.
        Box::pin(std::future::ready(()))
    }
}
