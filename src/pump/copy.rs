//! Bytes as they come, in both directions.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::context::ConnectionContext;
use super::drive;
use super::framed::{FirstCall, Framing};
use super::half_close::HalfCloses;
use super::inbound::Inbound;
use super::outbound::{Outbound, Stage};
use super::outcome::{Ended, Outcome};
use super::turns::Turns;
use crate::fault::Direction;
use crate::net::buffer::MAX_READ;
use crate::net::stream::{Peer, Stream};
use crate::plan::{ConnectionDraws, Plan};

/// How copying ends.
pub(crate) enum Copied {
    Ended(Outcome),
    /// A call begins after the plan has been replaced: here is all that is known of the calls before it.
    Replanned(Box<Framing>),
}

/// Passes on what comes from either side. `tcp` needs no more where no handler wants to see calls; that they are counted
/// costs a comparison.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps its arguments twice")]
pub(crate) fn copy(
    context: &ConnectionContext<'_>,
    plan: &Plan,
    first: Option<&FirstCall>,
    draws: &mut ConnectionDraws,
    client: &mut Stream,
    backend: &mut Stream,
) -> impl Future<Output = Copied> {
    async move {
        let (from_client, to_client) = client.split();
        let (from_backend, to_backend) = backend.split();
        let half_closes = &HalfCloses::default();
        // The first call's handler has all of them, unless it has been replaced since.
        let kept = first.filter(|first| !first.replaced.has_begun()).map(|first| &first.handler);
        let handler = kept.unwrap_or_else(|| plan.draw_rest(&context.facts(None, 1), draws));
        let turns = &Turns::new(context, first, handler);
        let mut forth = RequestCopy {
            plan,
            turns,
            half_closes,
            direction: CopyDirection::Open(
                Inbound::new(context, from_client),
                Outbound::new(context, Direction::ToBackend, to_backend, Stage::default()),
            ),
            start: Vec::new(),
            next_call: None,
        };
        let mut back = CopyDirection::Open(
            Inbound::new(context, from_backend),
            Outbound::new(context, Direction::ToClient, to_client, Stage::default()),
        );
        let outcome = {
            let requests = poll_fn(|cx| forth.poll(cx));
            let replies = poll_fn(|cx| {
                let seen = |bytes: &[u8]| turns.backend_sent(bytes);
                let end = |ended, from, to| end_replies(half_closes, ended, from, to);
                back.poll(cx, || true, seen, end).map(|copied| copied.err().unwrap_or(Outcome::Done))
            });
            drive(pin!(requests), pin!(replies), context, || turns.is_open(), || false).await
        };
        let Some(held) = forth.next_call else { return Copied::Ended(outcome) };
        if !held.is_empty() {
            context.activity.to_backend.add(held.len());
        }
        let begun = (turns.number(), turns.header());
        let first = first.filter(|_| begun.0 == 0).cloned();
        let stages = (forth.direction.into_stage(), back.into_stage());
        Copied::Replanned(Box::new(Framing::after(
            begun,
            first,
            context.settings,
            std::mem::take(draws),
            *held,
            stages,
        )))
    }
}

/// What goes to the backend.
struct RequestCopy<'s> {
    plan: &'s Plan,
    turns: &'s Turns<'s>,
    half_closes: &'s HalfCloses,
    direction: CopyDirection<'s>,
    /// What looks like the beginning of a PROXY protocol header.
    start: Vec<u8>,
    /// What has been read of the call that begins after the plan has been replaced.
    next_call: Option<Box<BytesMut>>,
}

impl RequestCopy<'_> {
    /// Ready when a call begins after the plan has been replaced, or when the connection ends.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Self { plan, turns, half_closes, direction, start, next_call } = self;
        let holds = || {
            let begins_anew = plan.is_replaced() && !turns.is_open() && !half_closes.have_replies_ended();
            !begins_anew || turns.context.proxy.shutdown.has_begun()
        };
        let seen = |bytes: &[u8]| turns.client_sent(start, bytes);
        let end = |ended, from, to| {
            turns.no_header();
            end_requests(half_closes, ended, from, to)
        };
        match ready!(direction.poll(cx, holds, seen, end)) {
            Ok(read) => *next_call = Some(Box::new(read)),
            Err(outcome) => return Poll::Ready(outcome),
        }
        Poll::Ready(Outcome::Done)
    }
}

/// What happens where a direction has ended.
type Ending<'s> = Pin<Box<dyn Future<Output = Outcome> + Send + 's>>;

fn end_requests<'s>(closes: &'s HalfCloses, ended: Ended, from: Peer<'s>, mut to: Outbound<'s>) -> Ending<'s> {
    Box::pin(async move { closes.requests(ended, from, &mut to).await })
}

fn end_replies<'s>(closes: &'s HalfCloses, ended: Ended, from: Peer<'s>, mut to: Outbound<'s>) -> Ending<'s> {
    Box::pin(async move { closes.replies(ended, from, &mut to).await })
}

/// One direction, and then its end.
enum CopyDirection<'s> {
    Open(Inbound<'s>, Outbound<'s>),
    Ended(Ending<'s>),
}

impl<'s> CopyDirection<'s> {
    /// Passes on what comes for as long as it `holds` before each read. Returns what was read when it held no more, or how the
    /// connection ends.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        holds: impl Fn() -> bool,
        seen: impl FnMut(&[u8]),
        end: impl FnOnce(Ended, Peer<'s>, Outbound<'s>) -> Ending<'s>,
    ) -> Poll<Result<BytesMut, Outcome>> {
        if let Self::Open(inbound, outbound) = self {
            match ready!(OneWay { inbound, outbound, seen }.poll_while(cx, holds)) {
                Ok(read) => return Poll::Ready(Ok(read)),
                Err(ended) => {
                    let (from, to) = (inbound.peer(), outbound.take());
                    *self = Self::Ended(end(ended, from, to));
                }
            }
        }
        match self {
            Self::Ended(ending) => ending.as_mut().poll(cx).map(Err),
            Self::Open(..) => unreachable!("it has ended"),
        }
    }

    fn into_stage(self) -> Option<Stage> {
        match self {
            Self::Open(_, mut outbound) => Some(outbound.take_stage()),
            Self::Ended(_) => None,
        }
    }
}

/// One direction of bytes that pass untouched.
pub(super) struct OneWay<'h, 's, S> {
    pub(super) inbound: &'h mut Inbound<'s>,
    pub(super) outbound: &'h mut Outbound<'s>,
    /// Sees the bytes that were taken off the side that is read.
    pub(super) seen: S,
}

impl<S: FnMut(&[u8])> OneWay<'_, '_, S> {
    /// Passes on all that comes.
    pub(super) async fn run(mut self) -> Ended {
        poll_fn(|cx| self.poll_while(cx, || true)).await.err().unwrap_or(Ended::Eof)
    }

    /// Passes on what comes for as long as it `holds` before each read. Returns what was read when it held no more.
    fn poll_while(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<BytesMut, Ended>> {
        loop {
            ready!(self.outbound.poll_flush(cx, self.inbound.peer()))?;
            if let Passed::None(read) = ready!(self.poll_pass(cx, &holds))? {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// Passes on what is there, until there is no more or the other side takes no more.
    fn poll_pass(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        loop {
            if !holds() {
                return Poll::Ready(Ok(Passed::None(BytesMut::new())));
            }
            self.outbound.write_due(cx)?;
            let offers = self.inbound.size.is_largest() && !self.outbound.is_shaped() && self.inbound.from.discards();
            let passed = if offers { self.poll_offer(cx, &holds) } else { self.poll_send(cx, &holds) };
            match ready!(passed)? {
                Passed::All => {}
                passed => return Poll::Ready(Ok(passed)),
            }
        }
    }

    /// Reads once; what the other side does not take waits.
    fn poll_send(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        let Self { inbound, outbound, seen } = self;
        let context = outbound.context();
        let passed = ready!(inbound.poll_read(cx, |cx, bytes| {
            if bytes.is_empty() {
                return Err(Ended::Eof);
            }
            if !holds() {
                // Meanwhile a call may have begun that is not to be passed on like this.
                return Ok(Passed::None(bytes.into()));
            }
            let _measured = context.measure();
            seen(bytes);
            Ok(if outbound.send(cx, bytes)? { Passed::All } else { Passed::Some })
        }))
        .map_err(Ended::Read)??;
        if matches!(passed, Passed::Some) {
            inbound.size.refused();
        }
        Poll::Ready(Ok(passed))
    }

    /// Offers a lot at once; what the other side does not take stays where it is.
    fn poll_offer(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        let Self { inbound, outbound, seen } = self;
        let context = outbound.context();
        let offered = inbound.poll_take(cx, |cx, bytes| {
            if !holds() {
                return Ok::<_, Ended>(0);
            }
            let _measured = context.measure();
            let taken = outbound.offer(cx, bytes)?;
            if taken > 0 {
                seen(&bytes[..taken]);
            }
            Ok(taken)
        });
        let (there, taken) = ready!(offered).map_err(Ended::Read)??;
        if there == 0 {
            return Poll::Ready(Err(Ended::Eof));
        }
        if taken < there || there < MAX_READ {
            inbound.size.refused();
        }
        Poll::Ready(Ok(Passed::All))
    }
}

/// What became of a read.
#[derive(Debug)]
enum Passed {
    All,
    /// No more may be read for now.
    Some,
    /// Nothing: these bytes are left.
    None(BytesMut),
}
