//! Bytes as they come, in both directions.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::context::ConnectionContext;
use super::ends::{Broken, Ends};
use super::outbound::flush;
use super::{End, FirstCall, Framing, READS_A_TURN, drive};
use crate::net::buffer::{MAX_READ, Outgoing, ReadSize, poll_read, poll_take, write};
use crate::plan::Plan;
use crate::rng::Draws;

/// How copying ends.
pub(crate) enum Copied {
    Ended(End),
    /// A call begins after the plan has been replaced, and here is all that is known of those before it.
    Replanned(Box<Framing>),
}

/// Passes on what comes from either side. `tcp` needs no more where no handler wants to see calls; that they are counted
/// costs a comparison.
pub(crate) async fn copy(
    link: &ConnectionContext<'_>,
    plan: &Plan,
    first: &FirstCall,
    draws: &mut Option<Draws>,
    client: &mut TcpStream,
    backend: &mut TcpStream,
) -> Copied {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_backend, mut to_backend) = backend.split();
    let ends = Ends::default();
    // The first call's handler has all of them, unless it has been replaced since.
    let handler = if first.drawn.released.is_given() { plan.draw(link.streams, draws, 1) } else { &first.drawn };
    // The client has spoken, and the backend has not spoken since.
    let turn = AtomicBool::new(false);
    let mut number = 0;
    let mut forth = OneWay::new(link, &mut from_client, &mut to_backend, |bytes| {
        link.client_spoke(bytes);
        if !turn.load(Ordering::Relaxed) {
            turn.store(true, Ordering::Relaxed);
            number += 1;
            link.live.calls.set(number);
            if number > 1 || !first.is_counted {
                handler.count(link.streams, number);
            }
        }
    });
    let mut back = OneWay::new(link, &mut from_backend, &mut to_client, |bytes| {
        link.backend_spoke(bytes);
        turn.store(false, Ordering::Relaxed);
    });
    let replanned = AtomicBool::new(false);
    let end = {
        let holds = || turn.load(Ordering::Relaxed) || !plan.is_over() || link.proxy.stop.is_given();
        let requests = pin!(async {
            let how = match forth.run_while(holds).await {
                Ok(Passed::None) => {
                    replanned.store(true, Ordering::Relaxed);
                    return End::Done;
                }
                how => how.map(drop),
            };
            Box::pin(ends.requests(how, forth.from, forth.to)).await
        });
        let replies = pin!(async {
            let how = back.run().await;
            Box::pin(ends.replies(how, back.from, back.to)).await
        });
        let stopped = pin!(link.stopped(|| turn.load(Ordering::Relaxed)));
        drive(requests, replies, stopped, &link.proxy.stop, || false).await
    };
    if !replanned.into_inner() {
        return Copied::Ended(end);
    }
    let (held, unsent) = (forth.out.into_bytes(), back.out);
    if !held.is_empty() {
        link.client_spoke(held.len());
    }
    let first = (number == 0).then(|| first.clone());
    Copied::Replanned(Box::new(Framing::after(number, first, link.settings.protocol, draws.take(), held, unsent)))
}

/// One direction of bytes that pass untouched.
pub(super) struct OneWay<'w, 's, S> {
    pub(super) link: &'w ConnectionContext<'w>,
    pub(super) from: &'w mut ReadHalf<'s>,
    pub(super) to: &'w mut WriteHalf<'s>,
    pub(super) out: Outgoing,
    pub(super) size: ReadSize,
    /// Is told how many bytes were taken from the side that is read.
    pub(super) seen: S,
}

impl<'w, 's, S: FnMut(usize)> OneWay<'w, 's, S> {
    fn new(link: &'w ConnectionContext<'w>, from: &'w mut ReadHalf<'s>, to: &'w mut WriteHalf<'s>, seen: S) -> Self {
        Self { link, from, to, out: Outgoing::default(), size: ReadSize::new(link.settings.buffer), seen }
    }

    /// Passes on all that comes.
    pub(super) async fn run(&mut self) -> Result<(), Broken> {
        self.run_while(|| true).await.map(drop)
    }

    /// Passes on what comes, for as long as it `holds` before each read: the end, or where it stopped.
    async fn run_while(&mut self, holds: impl Fn() -> bool) -> Result<Passed, Broken> {
        loop {
            flush(&mut self.out, self.to, self.from.as_ref(), self.link).await?;
            match poll_fn(|cx| self.poll_pass(cx, &holds)).await? {
                Passed::All | Passed::Some => {}
                over => return Ok(over),
            }
        }
    }

    /// Passes on what is there, until there is no more or the other side takes no more.
    fn poll_pass(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Broken>> {
        for _ in 0..READS_A_TURN {
            if !holds() {
                return Poll::Ready(Ok(Passed::None));
            }
            let passed = if self.size.is_largest() { self.poll_offer(cx, &holds) } else { self.poll_hold(cx, &holds) };
            match ready!(passed)? {
                Passed::All => {}
                passed => return Poll::Ready(Ok(passed)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once; what the other side does not take is held.
    fn poll_hold(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Broken>> {
        let Self { link, to, out, seen, .. } = self;
        let passed = ready!(poll_read(cx, self.from, &mut self.size, |cx, bytes| {
            if bytes.is_empty() {
                return Ok(Passed::End);
            }
            if !holds() {
                // Meanwhile a call may have begun that is not to be passed on like this.
                out.push(bytes);
                return Ok(Passed::None);
            }
            let _passing = link.passing();
            seen(bytes.len());
            out.send(cx, *to, bytes).map_err(Broken::To)?;
            Ok(if out.is_empty() { Passed::All } else { Passed::Some })
        }))
        .map_err(Broken::From)??;
        if passed == Passed::Some {
            self.size.refused();
        }
        Poll::Ready(Ok(passed))
    }

    /// Offers a lot at once; what the other side does not take stays where it is.
    fn poll_offer(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Broken>> {
        let (link, to) = (self.link, &mut *self.to);
        let offered = poll_take(cx, self.from, |cx, bytes| {
            if !holds() {
                return Ok(0);
            }
            let _passing = link.passing();
            write(cx, to, bytes).map_err(Broken::To)
        });
        let (there, taken) = ready!(offered).map_err(Broken::From)??;
        if there == 0 {
            return Poll::Ready(Ok(Passed::End));
        }
        if taken > 0 {
            (self.seen)(taken);
        }
        if taken < there || there < MAX_READ {
            self.size.refused();
        }
        Poll::Ready(Ok(Passed::All))
    }
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    All,
    Some,
    /// Nothing; what was read nevertheless waits.
    None,
    End,
}
