//! From the client to the backend: requests.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::context::ConnectionContext;
use super::copy::OneWay;
use super::ends::{Broken, Ends};
use super::framed::Decided;
use super::open_calls::{Handled, OpenCalls, ReplySource, lock};
use super::outbound::{Frame, Lane, Source};
use super::requests::{Begun, Requests, Stop};
use super::{End, READS_A_TURN};
use crate::call::{Answer, Call, CallState, Message, Verdict};
use crate::error::{Error, Result};
use crate::net::disconnect;
use crate::net::disconnect::{left, reset};
use crate::protocol::{Expect, Protocol, Step};

/// The request pump: reads, lets handlers decide, and passes on what they let pass.
pub(super) struct ToBackend<'a, 's> {
    ends: &'a Ends,
    source: Source<'s>,
    requests: Requests<'a, 's>,
    /// The rest of the request that a handler had in hand was not the protocol: what follows it cannot be told.
    broken: bool,
}

impl<'a, 's> ToBackend<'a, 's> {
    pub(super) fn new(requests: Requests<'a, 's>, ends: &'a Ends, from: ReadHalf<'s>) -> Self {
        let source = Source::new(from, requests.link.settings.buffer);
        Self { ends, source, requests, broken: false }
    }

    /// Runs until the requests, or the connection, end.
    pub(super) async fn run(&mut self) -> End {
        let how = match self.pump().await {
            Ok(how) => how,
            Err(end) => return end,
        };
        if !matches!(how, Err(Broken::To(_))) && self.leaves_spare().await {
            return End::Spare;
        }
        Box::pin(self.ends.requests(how, &mut self.source.from, &mut self.requests.lane.to)).await
    }

    /// Passes on calls, then whatever follows them, until the client's last byte.
    async fn pump(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            if let Err(broken) = self.flush().await {
                return Ok(Err(broken));
            }
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Err(broken) => return Ok(Err(broken)),
                Ok(Stop::Blocked) => self.source.size.refused(),
                Ok(Stop::Wait) => self.wait().await?,
                Ok(Stop::Call(begun)) => {
                    // The calls before this one do not wait for its handler.
                    if let Err(broken) = self.flush().await {
                        return Ok(Err(broken));
                    }
                    self.call(begun).await?;
                }
                Ok(Stop::Opaque) => return Ok(self.opaque().await),
                Ok(Stop::End) => {
                    lock(self.requests.exchange).within_request |= !self.requests.lane.held.is_empty();
                    self.requests.lane.pass_all();
                    return Ok(self.flush().await);
                }
            }
        }
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), Broken>> {
        self.requests.lane.flush(self.source.stream(), self.requests.link)
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stop, Broken>> {
        if lock(self.requests.exchange).opaque {
            return Poll::Ready(Ok(Stop::Opaque));
        }
        if let Some(stop) = self.requests.pass_held(cx)? {
            return Poll::Ready(Ok(stop));
        }
        for _ in 0..READS_A_TURN {
            let requests = &mut self.requests;
            let read = self.source.poll_read(cx, |cx, bytes| {
                if bytes.is_empty() {
                    return Ok(Some(Stop::End));
                }
                let _passing = requests.link.passing();
                requests.link.client_spoke(bytes.len());
                requests.pass(cx, bytes)
            });
            if let Some(stop) = ready!(read).map_err(Broken::From)?? {
                return Poll::Ready(Ok(stop));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until a reply has changed something.
    async fn wait(&mut self) -> Result<(), End> {
        let exchange = self.requests.exchange;
        lock(exchange).wait();
        tokio::select! {
            () = until(exchange, |exchange| !exchange.is_waiting()) => Ok(()),
            () = reset(self.source.stream()) => Err(was_reset()),
        }
    }

    /// A handler's turn: nothing of the request has been passed on.
    async fn call(&mut self, begun: Begun) -> Result<(), End> {
        let Begun { drawn, head, len, left, expect } = begun;
        let Requests { link: &ConnectionContext { proxy, settings, live, streams, .. }, exchange, .. } = self.requests;
        let head = Bytes::copy_from_slice(&self.requests.lane.held[..head]);
        let mut about = CallState::new(settings.protocol, streams, self.requests.calls.number, head);
        (self.requests.lane.due, self.requests.lane.left) = (len, left);
        lock(exchange).in_hand = true;
        let verdict = {
            let _at_work = live.works(&drawn);
            drawn.handler.before(&mut Call::new(&mut about, self, &drawn, proxy)).await?
        };
        if let Some(action) = verdict.action() {
            proxy.fault(&drawn, &mut about, action);
        }
        let fate = match verdict {
            Verdict::Pass if lock(exchange).backend_left => {
                let Lane { due, left, .. } = self.requests.lane;
                let handled = Box::new(Handled { drawn, about });
                self.requests.calls.decided = Some(Decided { handled, expect, due, left });
                return Err(End::BackendLeft);
            }
            Verdict::Pass => ReplySource::Handled(Box::new(Handled { drawn, about })),
            // Where messages cannot be told apart any more, no answer would find its place.
            Verdict::Answer(_) if lock(exchange).opaque => ReplySource::Pass,
            Verdict::Answer(answer) => {
                self.drain().await?;
                if lock(exchange).opaque {
                    // Meanwhile messages could not be told apart any more, and this one's bytes are gone.
                    return Err(End::Released);
                }
                about.head = Bytes::new();
                ReplySource::Answer(Box::new((if self.broken { answer.then_close() } else { answer }, about)))
            }
            Verdict::Close => ReplySource::Close,
            Verdict::Reset => ReplySource::Reset,
            Verdict::Inject(_) => return Err(End::Failed(Error::NoReplyYet)),
        };
        let ends = self.broken || matches!(fate, ReplySource::Close | ReplySource::Reset);
        let answers = matches!(fate, ReplySource::Answer(_));
        {
            let mut exchange = lock(exchange);
            exchange.decided();
            if let Some(mut track) = self.requests.link.track() {
                if answers && !ends {
                    // All that there was of the request has been read.
                    track.passed_on();
                }
                if exchange.opaque {
                    track.replies_end(false);
                }
            }
            // What is to answer a call that has no reply would only be taken for another's.
            if expect != Expect::Nothing || ends {
                exchange.push(expect, fate);
            }
        }
        if ends {
            // Nothing that follows is of any use: the replies of earlier calls are awaited, and that is the end.
            Box::pin(disconnect::left(self.source.stream())).await;
            return Err(End::ClientLeft);
        }
        self.requests.lane.look = true;
        if answers && settings.protocol == Protocol::Tcp {
            // The next turn begins when the client has been answered. Boxed, as few calls come to this.
            Box::pin(self.wait()).await?;
        }
        Ok(())
    }

    /// From here on bytes pass as they come.
    async fn opaque(&mut self) -> Result<(), Broken> {
        let Requests { link, lane, .. } = &mut self.requests;
        lane.pass_all();
        let out = std::mem::take(&mut lane.out);
        let seen = |bytes| link.client_spoke(bytes);
        let (from, to, size) = (&mut self.source.from, &mut lane.to, self.source.size);
        OneWay { link, from, to, out, size, seen }.run().await
    }

    /// Whether the client has left between two calls, with a backend that another client may use. Waits for the replies
    /// that are still to come.
    async fn leaves_spare(&mut self) -> bool {
        let Requests { link, exchange, .. } = self.requests;
        let between_calls =
            |exchange: &OpenCalls| !exchange.opaque && !exchange.within_request && !exchange.within_reply;
        if !link.settings.reuse_socket || !between_calls(&lock(exchange)) {
            return false;
        }
        if link.settings.protocol == Protocol::Tcp {
            // Where a reply has no end, one that only waits for more must not be mistaken for one that has left.
            tokio::select! {
                () = left(self.source.stream()) => {}
                () = until(exchange, |exchange| exchange.opaque) => return false,
            }
        }
        let settled = |exchange: &OpenCalls| exchange.opaque || !(exchange.is_open() || link.is_blocked());
        tokio::select! {
            biased;
            () = until(exchange, settled) => {}
            // Nobody waits for the replies that are still to come, and they are not for the next client.
            () = left(self.source.stream()) => return false,
        }
        between_calls(&lock(exchange))
    }

    /// Reads more behind what is held. An end of file, in the middle of a request, is the end of the client.
    async fn fill(&mut self) -> Result<()> {
        match self.source.fill(self.requests.lane.held).await {
            Ok(0) => Err(Error::ClientLeft),
            Ok(len) => {
                self.requests.link.client_spoke(len);
                Ok(())
            }
            Err(error) => Err(Error::Client(error)),
        }
    }

    /// Reads and drops what comes; ready when the client can send no more.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let link = self.requests.link;
        loop {
            let read = self.source.poll_read(cx, |_, bytes| {
                link.client_spoke(bytes.len());
                bytes.len()
            });
            if let Ok(0) | Err(_) = ready!(read) {
                return Poll::Ready(());
            }
        }
    }

    async fn drain_request(&mut self) -> Result<()> {
        let Requests { link: &ConnectionContext { settings, streams, .. }, exchange, .. } = self.requests;
        if settings.protocol == Protocol::Tcp {
            // The request has no end that could be waited for: what is there by now is taken for it.
            self.requests.lane.held.clear();
            (self.requests.lane.due, self.requests.lane.left) = (0, Some(0));
            return poll_fn(|cx| {
                let _ = self.poll_drop(cx);
                Poll::Ready(Ok(()))
            })
            .await;
        }
        let due = std::mem::take(&mut self.requests.lane.due);
        if self.requests.lane.left != Some(0)
            && let Some(interim) = settings.protocol.awaited(&self.requests.lane.held[..due])
        {
            let about = CallState::new(settings.protocol, streams, CallState::INTERIM, Bytes::new());
            lock(exchange).push(Expect::Reply, ReplySource::Answer(Box::new((Answer::new(interim), about))));
        }
        self.requests.lane.held.advance(due);
        while self.requests.lane.left != Some(0) {
            if self.requests.lane.held.is_empty() {
                self.fill().await?;
            }
            match self.requests.calls.framer.step(self.requests.lane.held, true) {
                Step::Part { len, left } => {
                    self.requests.lane.held.advance(len);
                    self.requests.lane.left = left;
                }
                Step::More => self.fill().await?,
                Step::Opaque(why) => {
                    self.requests.link.turns_opaque(why);
                    self.broken = true;
                    self.requests.lane.left = Some(0);
                }
                _ => unreachable!("a message under way is nothing but parts"),
            }
        }
        Ok(())
    }
}

impl Message for ToBackend<'_, '_> {
    fn client(&self) -> &TcpStream {
        self.source.stream()
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_request())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        *self.requests.lane.held = BytesMut::new();
        Box::pin(poll_fn(|cx| self.poll_drop(cx)))
    }
}

/// Waits until a change of the exchange makes `so` true.
async fn until(exchange: &Mutex<OpenCalls>, so: impl Fn(&OpenCalls) -> bool) {
    poll_fn(|_| {
        let mut exchange = lock(exchange);
        if so(&exchange) {
            return Poll::Ready(());
        }
        exchange.wait();
        Poll::Pending
    })
    .await;
}

fn was_reset() -> End {
    End::ClientReset(io::ErrorKind::ConnectionReset.into())
}
