//! From the client to the backend: requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::copy::{OneWay, flush};
use super::ends::{Broken, Ends};
use super::exchange::{Exchange, Fate, Handled, lock};
use super::framed::Framing;
use super::{End, Link, READS_A_TURN};
use crate::buffer::{Outgoing, ReadSize, poll_read};
use crate::call::{About, Answer, Call, Message, Verdict};
use crate::departure::{left, reset};
use crate::error::{Error, Result};
use crate::handler::Scope;
use crate::plan::Drawn;
use crate::protocol::{Expect, Protocol, Step};

/// The request pump: finds calls, draws their handlers, and passes on what they let pass.
pub(super) struct ToBackend<'a, 's> {
    ends: &'a Ends,
    from: ReadHalf<'s>,
    size: ReadSize,
    calls: Calls<'a, 's>,
}

/// All of the pump but its source, so that bytes can be looked at where they were read.
struct Calls<'a, 's> {
    link: &'a Link<'a>,
    exchange: &'a Mutex<Exchange>,
    framing: &'a mut Framing,
    to: WriteHalf<'s>,
    out: Outgoing,
    /// What is held has not been looked at since something changed.
    look: bool,
    /// How much of what is held belongs to the call that a handler had in hand.
    due: usize,
    /// What is still to come of the request under way; `Some(0)` between requests.
    left: Option<u64>,
}

/// A call begins that a handler wants to see.
struct Begun {
    drawn: Drawn,
    head: usize,
    len: usize,
    left: Option<u64>,
    expect: Expect,
}

/// Why passing on came to a stop.
enum Next {
    /// The backend takes no more for now.
    Blocked,
    /// Only a reply can tell what comes next, or too many calls are open.
    Wait,
    /// A handler's turn.
    Call(Begun),
    /// Messages can no longer be told apart.
    Opaque,
    /// The client has sent its last byte.
    End,
}

impl<'a, 's> ToBackend<'a, 's> {
    pub(super) fn new(
        link: &'a Link<'a>,
        exchange: &'a Mutex<Exchange>,
        ends: &'a Ends,
        framing: &'a mut Framing,
        from: ReadHalf<'s>,
        to: WriteHalf<'s>,
    ) -> Self {
        let calls = Calls { link, exchange, framing, to, out: Outgoing::default(), look: true, due: 0, left: Some(0) };
        Self { ends, from, size: ReadSize::new(link.proxy.buffer), calls }
    }

    /// Runs until the requests, or the connection, end.
    pub(super) async fn run(mut self) -> End {
        let how = match self.pump().await {
            Ok(how) => how,
            Err(end) => return end,
        };
        if !matches!(how, Err(Broken::To(_))) && self.leaves_spare().await {
            return End::Spare;
        }
        self.ends.requests(how, &mut self.from, &mut self.calls.to).await
    }

    /// Passes on calls, then whatever follows them, until the client's last byte.
    async fn pump(&mut self) -> Result<Result<(), Broken>, End> {
        loop {
            if let Err(broken) = self.flush().await {
                return Ok(Err(broken));
            }
            match poll_fn(|cx| self.poll_pass(cx)).await {
                Err(broken) => return Ok(Err(broken)),
                Ok(Next::Blocked) => self.size.refused(),
                Ok(Next::Wait) => self.wait().await?,
                Ok(Next::Call(begun)) => {
                    // The calls before this one do not wait for its handler.
                    if let Err(broken) = self.flush().await {
                        return Ok(Err(broken));
                    }
                    self.call(begun).await?;
                }
                Ok(Next::Opaque) => return Ok(self.opaque().await),
                Ok(Next::End) => {
                    let incomplete = std::mem::take(&mut self.calls.framing.held);
                    lock(self.calls.exchange).within_request |= !incomplete.is_empty();
                    self.calls.out.push(&incomplete);
                    return Ok(self.flush().await);
                }
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        flush(&mut self.calls.out, &mut self.calls.to, self.from.as_ref()).await
    }

    /// Passes on what no handler wants to see, until something else has to be done.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Broken>> {
        if let Some(next) = self.calls.pass_held(cx)? {
            return Poll::Ready(Ok(next));
        }
        for _ in 0..READS_A_TURN {
            let Self { from, size, calls, .. } = self;
            let read = poll_read(cx, from, size, |cx, bytes| calls.pass(cx, bytes));
            if let Some(next) = ready!(read).map_err(Broken::From)?? {
                return Poll::Ready(Ok(next));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until a reply has changed something.
    async fn wait(&mut self) -> Result<(), End> {
        let exchange = self.calls.exchange;
        lock(exchange).wait();
        tokio::select! {
            () = until(exchange, |exchange| !exchange.is_waiting()) => Ok(()),
            () = reset(self.from.as_ref()) => Err(End::ClientReset(std::io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// A handler's turn: nothing of the request has been passed on.
    async fn call(&mut self, begun: Begun) -> Result<(), End> {
        let Begun { drawn, head, len, left, expect } = begun;
        let Link { proxy, streams, .. } = *self.calls.link;
        let head = Bytes::copy_from_slice(&self.calls.framing.held[..head]);
        let mut about = About::new(proxy.protocol, streams, self.calls.framing.calls, head);
        (self.calls.due, self.calls.left) = (len, left);
        lock(self.calls.exchange).in_hand = true;
        let verdict = drawn.handler.before(&mut Call::new(&mut about, self, &proxy.stop)).await?;
        let fate = match verdict {
            Verdict::Pass => Fate::Handled(Box::new(Handled { drawn, about })),
            // Where messages cannot be told apart any more, no answer would find its place.
            Verdict::Answer(_) if lock(self.calls.exchange).opaque => Fate::Pass,
            Verdict::Answer(answer) => {
                self.drain().await?;
                about.head = Bytes::new();
                Fate::Answer(Box::new((answer, about)))
            }
            Verdict::Close => Fate::Close,
            Verdict::Reset => Fate::Reset,
            Verdict::Inject(_) => return Err(End::Failed(Error::NoReplyYet)),
        };
        let last = matches!(fate, Fate::Close | Fate::Reset);
        let answered = matches!(fate, Fate::Answer(_));
        {
            let mut exchange = lock(self.calls.exchange);
            exchange.decided();
            // What is to answer a call that has no reply would only be taken for another's.
            if expect != Expect::Nothing || last {
                exchange.push(expect, fate);
            }
        }
        if last {
            // Nothing that follows is of any use: the replies of earlier calls are awaited, and that is the end.
            reset(self.from.as_ref()).await;
            return Err(End::ClientReset(std::io::ErrorKind::ConnectionReset.into()));
        }
        if answered && proxy.protocol == Protocol::Tcp {
            // The next turn begins when the client has been answered.
            self.wait().await?;
        }
        self.calls.look = true;
        Ok(())
    }

    /// From here on bytes pass as they come.
    async fn opaque(&mut self) -> Result<(), Broken> {
        let Self { from, size, calls, .. } = self;
        calls.framing.opaque = true;
        let mut out = std::mem::take(&mut calls.out);
        out.push(&std::mem::take(&mut calls.framing.held));
        let link = calls.link;
        OneWay { from, to: &mut calls.to, out, size: *size }.run(|bytes| link.client_spoke(bytes)).await
    }

    /// Whether the client has left between two calls, with a backend that another client may use. Waits for the replies
    /// that are still to come.
    async fn leaves_spare(&mut self) -> bool {
        let exchange = self.calls.exchange;
        let proxy = self.calls.link.proxy;
        let between_calls = |exchange: &Exchange| !exchange.opaque && !exchange.within_request;
        if !proxy.reuse_socket || !between_calls(&lock(exchange)) {
            return false;
        }
        if proxy.protocol == Protocol::Tcp {
            // Where a reply has no end, one that only waits for more must not be mistaken for one that has left.
            tokio::select! {
                () = left(self.from.as_ref()) => {}
                () = until(exchange, |exchange| exchange.opaque) => return false,
            }
        }
        until(exchange, |exchange| exchange.opaque || !exchange.is_open()).await;
        between_calls(&lock(exchange))
    }

    /// Reads more behind what is held. An end of file, in the middle of a request, is the end of the client.
    async fn fill(&mut self) -> Result<()> {
        let Self { from, size, calls, .. } = self;
        let read = poll_fn(|cx| {
            poll_read(cx, from, size, |_, bytes| {
                calls.framing.held.extend_from_slice(bytes);
                calls.link.client_spoke(bytes.len());
                bytes.len()
            })
        });
        match read.await {
            Ok(0) => Err(Error::ClientLeft),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Client(error)),
        }
    }

    /// Reads and drops what is there, and whether the client can send more.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Self { from, size, calls, .. } = self;
        loop {
            let read = poll_read(cx, from, size, |_, bytes| {
                calls.link.client_spoke(bytes.len());
                bytes.len()
            });
            match ready!(read) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(_) => {}
            }
        }
    }

    async fn drain_request(&mut self) -> Result<()> {
        let protocol = self.calls.link.proxy.protocol;
        let due = std::mem::take(&mut self.calls.due);
        if protocol == Protocol::Tcp {
            self.calls.framing.held.clear();
            // The request has no end that could be waited for: what is there by now is taken for it.
            poll_fn(|cx| {
                let _ = self.poll_drop(cx);
                Poll::Ready(())
            })
            .await;
            self.calls.left = Some(0);
            return Ok(());
        }
        if self.calls.left != Some(0)
            && let Some(interim) = protocol.awaited(&self.calls.framing.held[..due])
        {
            let Link { proxy, streams, .. } = *self.calls.link;
            let about = About::new(proxy.protocol, streams, self.calls.framing.calls, Bytes::new());
            lock(self.calls.exchange).push(Expect::Reply, Fate::Answer(Box::new((Answer::new(interim), about))));
        }
        self.calls.framing.held.advance(due);
        while self.calls.left != Some(0) {
            if self.calls.framing.held.is_empty() {
                self.fill().await?;
            }
            match self.calls.framing.requests.step(&self.calls.framing.held, true) {
                Step::Part { len, left } => {
                    self.calls.framing.held.advance(len);
                    self.calls.left = left;
                }
                Step::More => self.fill().await?,
                _ => return Err(Error::Client(std::io::ErrorKind::InvalidData.into())),
            }
        }
        Ok(())
    }
}

/// Waits until a change of the exchange makes `so` true.
async fn until(exchange: &Mutex<Exchange>, so: impl Fn(&Exchange) -> bool) {
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

impl Message for ToBackend<'_, '_> {
    fn client(&self) -> &TcpStream {
        self.from.as_ref()
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(self.drain_request())
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.calls.framing.held = BytesMut::new();
        Box::pin(async { while poll_fn(|cx| self.poll_drop(cx)).await {} })
    }
}

impl Calls<'_, '_> {
    /// Passes on what it may of `bytes` just read, and holds the rest.
    fn pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<Option<Next>, Broken> {
        if bytes.is_empty() {
            return Ok(Some(Next::End));
        }
        self.link.client_spoke(bytes.len());
        self.look = true;
        if !self.framing.held.is_empty() {
            self.framing.held.extend_from_slice(bytes);
            return self.pass_held(cx);
        }
        let (passed, next) = self.frame(bytes);
        self.framing.held.extend_from_slice(&bytes[passed..]);
        self.send(cx, &bytes[..passed], next)
    }

    /// Passes on what it may of what is held.
    fn pass_held(&mut self, cx: &mut Context<'_>) -> Result<Option<Next>, Broken> {
        if lock(self.exchange).opaque {
            return Ok(Some(Next::Opaque));
        }
        if self.framing.held.is_empty() || !self.look {
            return Ok(None);
        }
        let mut held = std::mem::take(&mut self.framing.held);
        let (passed, next) = self.frame(&held);
        let sent = self.send(cx, &held[..passed], next);
        held.advance(passed);
        if !held.is_empty() {
            self.framing.held = held;
        }
        sent
    }

    fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8], next: Option<Next>) -> Result<Option<Next>, Broken> {
        self.out.send(cx, &mut self.to, bytes).map_err(Broken::To)?;
        Ok(next.or_else(|| (!self.out.is_empty()).then_some(Next::Blocked)))
    }

    /// Tells the calls in `bytes` apart, up to one that a handler wants to see. Answers how many bytes may pass, and what
    /// has to happen before more can; nothing, where more has to be read.
    fn frame(&mut self, bytes: &[u8]) -> (usize, Option<Next>) {
        self.look = false;
        let plan = &self.link.proxy.plan;
        let turns = self.link.proxy.protocol == Protocol::Tcp;
        let mut exchange = lock(self.exchange);
        let mut at = std::mem::take(&mut self.due);
        loop {
            exchange.within_request = self.left != Some(0) && !turns;
            if at == bytes.len() {
                return (at, None);
            }
            let step = if exchange.is_full() {
                Step::Wait
            } else {
                self.framing.requests.step(&bytes[at..], exchange.is_open())
            };
            match step {
                Step::More => return (at, None),
                Step::Wait => {
                    self.look = true;
                    return (at, Some(Next::Wait));
                }
                Step::Pass(len) => at += len,
                Step::Part { len, left } => {
                    at += len;
                    self.left = left;
                }
                Step::Call { len, head, left, expect } => {
                    self.framing.calls += 1;
                    let call = self.framing.calls;
                    let first = self.framing.first.take();
                    let draws = &mut self.framing.draws;
                    let (drawn, counted) = match &first {
                        Some((drawn, counted)) => (drawn, *counted),
                        None => (plan.draw(self.link.streams, draws, call), false),
                    };
                    drawn.count(u64::from(!counted));
                    if drawn.scope == Scope::Calls {
                        let drawn = drawn.clone();
                        return (at, Some(Next::Call(Begun { drawn, head, len, left, expect })));
                    }
                    exchange.pass(expect);
                    at += len;
                    self.left = left;
                }
                Step::Opaque(why) => {
                    self.link.turns_opaque(why);
                    exchange.push(Expect::Nothing, Fate::Opaque);
                    return (at, Some(Next::Opaque));
                }
                Step::Unanswered => unreachable!("a request framer knows of no replies"),
            }
        }
    }
}
