//! Bytes as they come, in both directions.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::context::ConnectionContext;
use super::drive;
use super::framed::{FirstCall, Framing};
use super::half_close::HalfCloses;
use super::inbound::Inbound;
use super::outbound::{Outbound, Stage};
use super::outcome::{Ended, Outcome};
use super::settings::Direction;
use super::turns::Turns;
use crate::net::buffer::MAX_READ;
use crate::net::stream::Stream;
use crate::plan::Plan;
use crate::rng::Draws;

/// How copying ends.
pub(crate) enum Copied {
    Ended(Outcome),
    /// A call begins after the plan has been replaced: here is all that is known of the calls before it.
    Replanned(Box<Framing>),
}

/// Passes on what comes from either side. `tcp` needs no more where no handler wants to see calls; that they are counted
/// costs a comparison.
pub(crate) async fn copy(
    context: &ConnectionContext<'_>,
    plan: &Plan,
    first: &FirstCall,
    draws: &mut Option<Draws>,
    client: &mut Stream,
    backend: &mut Stream,
) -> Copied {
    let (from_client, to_client) = client.split();
    let (from_backend, to_backend) = backend.split();
    let (mut from_client, mut from_backend) = (Inbound::new(context, from_client), Inbound::new(context, from_backend));
    let mut forth = Outbound::new(context, &to_backend, Stage::new(context, Direction::ToBackend));
    let mut back = Outbound::new(context, &to_client, Stage::new(context, Direction::ToClient));
    let half_closes = HalfCloses::default();
    // The first call's handler has all of them, unless it has been replaced since.
    let is_replaced = first.handler.released.has_begun();
    let handler = if is_replaced { plan.draw(context.streams(), draws, 1) } else { &first.handler };
    let turns = Turns::new(context, first, handler);
    let mut start = Vec::new();
    let seen = |bytes: &[u8]| turns.client_sent(&mut start, bytes);
    let mut requests = OneWay { context, inbound: &mut from_client, outbound: &mut forth, seen };
    let seen = |bytes: &[u8]| turns.backend_sent(bytes);
    let mut replies = OneWay { context, inbound: &mut from_backend, outbound: &mut back, seen };
    let mut next_call = None;
    let outcome = {
        let holds = || turns.is_open() || !plan.is_replaced() || context.proxy.shutdown.has_begun();
        let requests = pin!(async {
            match requests.run_while(holds).await {
                Ok(read) => {
                    next_call = Some(read);
                    Outcome::Done
                }
                Err(ended) => {
                    turns.no_header();
                    Box::pin(half_closes.requests(ended, requests.inbound.peer(), requests.outbound)).await
                }
            }
        });
        let replies = pin!(async {
            let ended = replies.run().await;
            Box::pin(half_closes.replies(ended, replies.inbound.peer(), replies.outbound)).await
        });
        let stopped = pin!(context.stopped(|| turns.is_open()));
        drive(requests, replies, stopped, context, || false).await
    };
    let Some(held) = next_call else { return Copied::Ended(outcome) };
    if !held.is_empty() {
        context.activity.to_backend.add(held.len());
    }
    let stages = (Some(forth.take_stage()), Some(back.take_stage()));
    let begun = (turns.number(), turns.header());
    let first = (begun.0 == 0).then(|| first.clone());
    Copied::Replanned(Box::new(Framing::after(begun, first, context.settings, draws.take(), held, stages)))
}

/// One direction of bytes that pass untouched.
pub(super) struct OneWay<'h, 's, S> {
    pub(super) context: &'h ConnectionContext<'h>,
    pub(super) inbound: &'h mut Inbound<'s>,
    pub(super) outbound: &'h mut Outbound<'s>,
    /// Sees the bytes that were taken off the side that is read.
    pub(super) seen: S,
}

impl<S: FnMut(&[u8])> OneWay<'_, '_, S> {
    /// Passes on all that comes.
    pub(super) async fn run(&mut self) -> Ended {
        self.run_while(|| true).await.err().unwrap_or(Ended::Eof)
    }

    /// Passes on what comes for as long as it `holds` before each read. Returns what was read when it held no more.
    async fn run_while(&mut self, holds: impl Fn() -> bool) -> Result<BytesMut, Ended> {
        loop {
            self.outbound.flush(self.inbound.from.peer()).await?;
            if let Passed::None(read) = poll_fn(|cx| self.poll_pass(cx, &holds)).await? {
                return Ok(read);
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
            let offers = self.inbound.size.is_largest() && !self.outbound.is_shaped();
            let passed = if offers { self.poll_offer(cx, &holds) } else { self.poll_send(cx, &holds) };
            match ready!(passed)? {
                Passed::All => {}
                passed => return Poll::Ready(Ok(passed)),
            }
        }
    }

    /// Reads once; what the other side does not take waits.
    fn poll_send(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        let Self { context, inbound, outbound, seen } = self;
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
        let Self { context, inbound, outbound, seen } = self;
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
