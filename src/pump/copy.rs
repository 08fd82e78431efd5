//! Bytes as they come, in both directions.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use super::context::ConnectionContext;
use super::drive;
use super::framed::{FirstCall, Framing};
use super::half::Half;
use super::half_close::HalfCloses;
use super::outcome::{Ended, Outcome};
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
    let mut requests = Half::new(context, from_client, to_backend);
    let mut replies = Half::new(context, from_backend, to_client);
    let half_closes = HalfCloses::default();
    // The first call's handler has all of them, unless it has been replaced since.
    let is_replaced = first.handler.released.has_begun();
    let handler = if is_replaced { plan.draw(context.streams(), draws, 1) } else { &first.handler };
    let turns = Turns::new(context, first, handler);
    let mut start = Vec::new();
    let mut forth = OneWay { context, half: &mut requests, seen: |bytes: &[u8]| turns.client_sent(&mut start, bytes) };
    let mut back = OneWay { context, half: &mut replies, seen: |bytes: &[u8]| turns.backend_sent(bytes) };
    let replanned = AtomicBool::new(false);
    let outcome = {
        let holds = || turns.is_open() || !plan.is_replaced() || context.proxy.shutdown.has_begun();
        let requests = pin!(async {
            if let Some(ended) = forth.run_while(holds).await {
                turns.no_header();
                return Box::pin(half_closes.requests(ended, forth.half)).await;
            }
            replanned.store(true, Ordering::Relaxed);
            Outcome::Done
        });
        let replies = pin!(async {
            let ended = back.run().await;
            Box::pin(half_closes.replies(ended, back.half)).await
        });
        let stopped = pin!(context.stopped(|| turns.is_open()));
        drive(requests, replies, stopped, context, || false).await
    };
    if !replanned.into_inner() {
        return Copied::Ended(outcome);
    }
    let (held, unsent) = (requests.outbound.take_waiting().into_bytes(), replies.outbound.take_waiting());
    if !held.is_empty() {
        context.activity.to_backend.add(held.len());
    }
    let begun = (turns.number(), turns.header());
    let first = (begun.0 == 0).then(|| first.clone());
    Copied::Replanned(Box::new(Framing::after(begun, first, context.settings, draws.take(), held, unsent)))
}

/// One direction of bytes that pass untouched.
pub(super) struct OneWay<'h, 's, S> {
    pub(super) context: &'h ConnectionContext<'h>,
    pub(super) half: &'h mut Half<'s>,
    /// Sees the bytes that were taken off the side that is read.
    pub(super) seen: S,
}

impl<S: FnMut(&[u8])> OneWay<'_, '_, S> {
    /// Passes on all that comes.
    pub(super) async fn run(&mut self) -> Ended {
        self.run_while(|| true).await.unwrap_or(Ended::Eof)
    }

    /// Passes on what comes for as long as it `holds` before each read. What was read when it held no more waits.
    async fn run_while(&mut self, holds: impl Fn() -> bool) -> Option<Ended> {
        loop {
            if let Err(ended) = self.half.flush(self.context).await {
                return Some(ended);
            }
            match poll_fn(|cx| self.poll_pass(cx, &holds)).await {
                Ok(Passed::All | Passed::Some) => {}
                Ok(Passed::None) => return None,
                Err(ended) => return Some(ended),
            }
        }
    }

    /// Passes on what is there, until there is no more or the other side takes no more.
    fn poll_pass(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        loop {
            if !holds() {
                return Poll::Ready(Ok(Passed::None));
            }
            let is_largest = self.half.inbound.size.is_largest();
            let passed = if is_largest { self.poll_offer(cx, &holds) } else { self.poll_send(cx, &holds) };
            match ready!(passed)? {
                Passed::All => {}
                passed => return Poll::Ready(Ok(passed)),
            }
        }
    }

    /// Reads once; what the other side does not take waits.
    fn poll_send(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        let Self { context, half: Half { inbound, outbound }, seen } = self;
        let passed = ready!(inbound.poll_read(cx, |cx, bytes| {
            if bytes.is_empty() {
                return Err(Ended::Eof);
            }
            if !holds() {
                // Meanwhile a call may have begun that is not to be passed on like this.
                outbound.push(bytes);
                return Ok(Passed::None);
            }
            let _measured = context.measure();
            seen(bytes);
            Ok(if outbound.send(cx, bytes)? { Passed::All } else { Passed::Some })
        }))
        .map_err(Ended::Read)??;
        if passed == Passed::Some {
            inbound.size.refused();
        }
        Poll::Ready(Ok(passed))
    }

    /// Offers a lot at once; what the other side does not take stays where it is.
    fn poll_offer(&mut self, cx: &mut Context<'_>, holds: impl Fn() -> bool) -> Poll<Result<Passed, Ended>> {
        let Self { context, half: Half { inbound, outbound }, seen } = self;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    All,
    /// What the other side did not take waits.
    Some,
    /// Nothing, and what was read waits.
    None,
}
