//! A reply whose body goes on through faults: cut off, slow, or with flipped bits.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, HeaderValue, header};
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use rand::seq::index::sample;
use tokio::time::Instant;

use super::Shared;
use super::body::{Body, Broken, gone, poll_room, poll_trailers};
use super::gate::Gate;
use crate::call::Verdict;
use crate::events::Action;
use crate::fault::{ByteFault, Chain, Corrupt, End, Limit, RateLimit, StreamEnd};
use crate::pump::open_calls::HandledCall;
use crate::size::Amount;
use crate::timer::Timer;

/// How much of a body waits in faults at most, in bytes, beside the last read.
const MAX_WAITING: usize = 64 * 1024;

/// What stands before each message of gRPC: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// What is known of a body before it is read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Shape {
    /// Its length in bytes, if that was announced.
    length: Option<u64>,
    /// It is a stream of gRPC's messages.
    is_grpc: bool,
}

/// How a body came out of its faults.
pub(super) enum Shaped {
    Passed,
    /// Cut off. Without a reason, trailers have ended it.
    Cut(Option<Reason>),
    /// What was held for ever was released.
    Released,
}

/// What a step of a sequence does to a body.
struct BodyFault {
    step: usize,
    fault: Box<dyn ByteFault>,
    action: Action,
}

impl Shape {
    pub(super) fn of(head: &HeaderMap) -> Self {
        let text = |name| head.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let is_grpc = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/grpc"));
        Self { length, is_grpc }
    }

    /// Passes on the body as the verdicts of the handler's steps say.
    pub(super) async fn pass(
        self,
        shared: &Shared<'_>,
        HandledCall { handler, state }: &mut HandledCall,
        verdicts: &[(usize, Verdict)],
        body: &mut RecvStream,
        to: &mut SendStream<Bytes>,
    ) -> Result<Shaped, Broken> {
        let piece = self.first_data(body, to).await?;
        let is_all = body.is_end_stream();
        let mut faults: Vec<BodyFault> = Vec::new();
        for (step, verdict) in verdicts {
            state.enter(*step);
            let fault =
                self.fault(verdict, &piece, is_all, |len, many| sample(&mut state.split(), len, many).into_vec());
            faults.extend(fault.map(|(fault, action)| BodyFault { step: *step, fault, action }));
        }
        if faults.is_empty() || handler.released.has_begun() {
            let mut rest = Body { added: piece.len(), piece };
            poll_fn(|cx| rest.poll_pass(cx, body, to, shared.gates.0)).await?;
            return Ok(Shaped::Passed);
        }
        let context = shared.context.call(handler);
        let _at_work = shared.works(&handler.counters);
        let cut = faults.iter().find(|fault| fault.action == Action::Cut).map(|fault| fault.step);
        for BodyFault { step, action, .. } in faults.iter().filter(|fault| fault.action != Action::Cut) {
            state.enter(*step);
            context.fault(state, *action);
        }
        let mut passing = Passing::default();
        // The last one is put in first, and so gets the bytes last.
        for BodyFault { step, fault, .. } in faults.into_iter().rev() {
            state.enter(step);
            passing.chain.put_first(fault, state.split());
        }
        passing.chain.push(piece, Instant::now());
        let ended = tokio::select! {
            biased;
            () = handler.released.begun() => {
                passing.release();
                poll_fn(|cx| passing.poll(cx, body, to, shared.gates.0)).await?
            }
            ended = poll_fn(|cx| passing.poll(cx, body, to, shared.gates.0)) => ended?,
        };
        let StreamEnd::Cut(how) = ended else { return Ok(Shaped::Passed) };
        state.enter(cut.unwrap_or_default());
        context.fault(state, Action::Cut);
        match how {
            End::Close if self.is_grpc => {
                to.send_trailers(cut_off()).map_err(gone)?;
                Ok(Shaped::Cut(None))
            }
            End::Close => Ok(Shaped::Cut(Some(Reason::CANCEL))),
            End::Reset => Ok(Shaped::Cut(Some(Reason::INTERNAL_ERROR))),
            End::Hang => tokio::select! {
                reset = poll_fn(|cx| to.poll_reset(cx)) => Err(Broken::To(reset.ok())),
                () = handler.released.begun() => Ok(Shaped::Released),
            },
        }
    }

    /// The first data, with gRPC at least the prefix of its first message; less only if that is all.
    async fn first_data(self, body: &mut RecvStream, to: &mut SendStream<Bytes>) -> Result<Bytes, Broken> {
        let enough = if self.is_grpc { PREFIX } else { 1 };
        let mut first = BytesMut::new();
        poll_fn(|cx| {
            if let Poll::Ready(reset) = to.poll_reset(cx) {
                return Poll::Ready(Err(Broken::To(reset.ok())));
            }
            while first.len() < enough {
                let Some(data) = ready!(poll_data(cx, body))? else { break };
                first.extend_from_slice(&data);
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(first.freeze())
    }

    /// What `verdict` does to a body that begins with `first`; none if that is nothing. `choose` draws so many places below a length.
    fn fault(
        self,
        verdict: &Verdict,
        first: &[u8],
        is_all: bool,
        mut choose: impl FnMut(usize, usize) -> Vec<usize>,
    ) -> Option<(Box<dyn ByteFault>, Action)> {
        let length = self.length.or(is_all.then_some(first.len() as u64));
        let is_within = |bytes: u64| length.is_some_and(|length| length <= bytes);
        let (begin, len) = self.data(first);
        match *verdict {
            Verdict::Cut { after, end } => {
                let passes = match after {
                    Amount::Size(size) => size.bytes(),
                    Amount::Percent(part) => begin + part.of(len),
                };
                (!is_within(passes)).then(|| (Box::new(Limit::new(passes, end)) as Box<dyn ByteFault>, Action::Cut))
            }
            Verdict::Slow { rate, first } => (!is_within(first.bytes()))
                .then(|| (Box::new(RateLimit::new(rate.bytes(), first.bytes())) as Box<dyn ByteFault>, Action::Slow)),
            Verdict::Corrupt { bytes } if len > 0 => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let many = usize::try_from(bytes).map_or(len, |bytes| bytes.min(len));
                let places = choose(len, many).into_iter().map(|place| begin + place as u64).collect();
                Some((Box::new(Corrupt::at(places)), Action::Corrupt))
            }
            _ => None,
        }
    }

    /// Where the data begins, and how long it is: the body, or with gRPC its first message.
    fn data(self, first: &[u8]) -> (u64, u64) {
        match first {
            [_, a, b, c, d, ..] if self.is_grpc => (PREFIX as u64, u32::from_be_bytes([*a, *b, *c, *d]).into()),
            _ if self.is_grpc => (0, 0),
            _ => (0, self.length.unwrap_or(first.len() as u64)),
        }
    }
}

/// The trailers of a gRPC reply that is cut off.
fn cut_off() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    trailers.insert("grpc-message", HeaderValue::from_static("cut off by vaurien"));
    trailers
}

/// The next data of a body, which the sender may replace at once; none at its end.
fn poll_data(cx: &mut Context<'_>, body: &mut RecvStream) -> Poll<Result<Option<Bytes>, Broken>> {
    let Some(data) = ready!(body.poll_data(cx)) else { return Poll::Ready(Ok(None)) };
    let data = data.map_err(Broken::From)?;
    let _ = body.flow_control().release_capacity(data.len());
    Poll::Ready(Ok(Some(data)))
}

/// A body on its way through faults.
#[derive(Debug, Default)]
struct Passing {
    chain: Chain,
    timer: Timer,
    /// When more is due; none while nothing is known to be.
    due: Option<Instant>,
    is_read: bool,
}

impl Passing {
    /// What waits goes on now, and nothing is done to what follows.
    fn release(&mut self) {
        let now = Instant::now();
        while self.chain.faults() > 0 {
            self.chain.take_first(now);
        }
    }

    /// Passes on what is due, until the stream ends in order or is cut off.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut RecvStream,
        to: &mut SendStream<Bytes>,
        gate: &Gate,
    ) -> Poll<Result<StreamEnd, Broken>> {
        if let Poll::Ready(reset) = to.poll_reset(cx) {
            return Poll::Ready(Err(Broken::To(reset.ok())));
        }
        loop {
            self.due = self.chain.advance(Instant::now());
            while self.chain.output().has_remaining() {
                let len = ready!(poll_room(cx, to, self.chain.output().chunk().len(), gate))?;
                let piece = self.chain.output().copy_to_bytes(len);
                to.send_data(piece, false).map_err(gone)?;
            }
            match self.chain.ended() {
                Some(StreamEnd::Eof) => {
                    return poll_trailers(cx, body, to).map_ok(|()| StreamEnd::Eof);
                }
                Some(cut) => return Poll::Ready(Ok(cut)),
                None => {}
            }
            let mut has_more = false;
            if !self.is_read
                && self.chain.len() < MAX_WAITING
                && let Poll::Ready(data) = poll_data(cx, body)
            {
                has_more = true;
                if let Some(data) = data? {
                    self.chain.push(data, Instant::now());
                } else {
                    self.is_read = true;
                    self.chain.push_eof(Instant::now());
                }
            }
            if !has_more {
                let Some(due) = self.due else { return Poll::Pending };
                ready!(self.timer.poll(cx, due));
            }
        }
    }
}
