//! A reply that goes on through a fault: cut off, slow, or with flipped bits.

use std::future::poll_fn;
use std::task::Poll;

use bytes::BytesMut;
use rand::seq::index::sample;

use super::open_calls::HandledCall;
use super::outcome::{Ended, Outcome};
use super::replies::ReplyPump;
use crate::call::Verdict;
use crate::call_log::CallEnd;
use crate::events::Action;
use crate::fault::{ByteFault, Corrupt, Limit, RateLimit};
use crate::protocol::{MAX_HEAD, Payload, Protocol};
use crate::size::Amount;

/// What a step of a sequence does to a reply.
struct ReplyFault {
    step: usize,
    fault: Box<dyn ByteFault>,
    action: Action,
}

impl ReplyPump<'_, '_> {
    /// The reply that a handler holds goes on as the verdicts of its steps say.
    pub(super) async fn pass_through(
        &mut self,
        call: &mut HandledCall,
        verdicts: &[(usize, Verdict)],
    ) -> Result<(), Ended> {
        let payload = self.payload().await?;
        if call.handler.released.has_begun() {
            return Ok(());
        }
        let mut faults = Vec::new();
        for (step, verdict) in verdicts {
            call.state.enter(*step);
            faults.extend(self.fault(call, verdict, payload));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let context = self.context;
        let (handler, state) = (&call.handler, &mut call.state);
        let _at_work = context.activity.works(&handler.counters);
        let actions: Vec<_> = faults.iter().map(|fault| (fault.step, fault.action)).collect();
        for (step, action) in &actions {
            if *action != Action::Cut {
                state.enter(*step);
                context.call(handler).fault(state, *action);
            }
        }
        // The last one is put in first, and so gets the bytes last.
        for ReplyFault { step, fault, .. } in faults.into_iter().rev() {
            state.enter(step);
            self.outbound.put_fault(fault, state.split());
        }
        let count = actions.len();
        let until_next_call = actions.iter().any(|(_, action)| *action != Action::Corrupt);
        let passed = tokio::select! {
            biased;
            () = handler.released.begun() => None,
            passed = self.pass_all(count, until_next_call) => Some(passed),
        };
        let cut = actions.iter().find(|(_, action)| *action == Action::Cut && self.outbound.is_cut());
        if let Some((step, action)) = cut {
            state.enter(*step);
            context.call(handler).fault(state, *action);
        }
        let is_cut = cut.is_some();
        match passed {
            Some(Err(Ended::Hang)) => {
                // Whatever else comes is of no use: the client waits for the rest.
                let why = tokio::select! {
                    () = self.incoming.client.left() => Outcome::ClientLeft,
                    () = handler.released.begun() => Outcome::Released,
                };
                return Err(why.into());
            }
            Some(passed) => {
                passed?;
                self.outbound.take_faults(count);
            }
            // The rest is dropped already.
            None if is_cut => return Err(Outcome::Released.into()),
            None => {
                self.outbound.take_faults(count);
                if !self.has_turns() {
                    self.pass_reply().await?;
                }
            }
        }
        self.outbound.unshape(self.incoming.inbound.peer()).await
    }

    /// The first data of the reply.
    async fn payload(&mut self) -> Result<Payload, Ended> {
        loop {
            let (due, left) = (self.incoming.frames.due, self.incoming.frames.left);
            let payload = self.context.settings.protocol.payload(&self.incoming.held[..due]);
            let waits = match payload {
                Payload::Data { begin, .. } if begin >= due && left == Some(0) => return Ok(Payload::Nothing),
                Payload::Data { begin, len: None, .. } => begin >= due,
                Payload::More => due < MAX_HEAD,
                Payload::Data { .. } | Payload::Nothing => false,
            };
            if !waits || !self.part().await? {
                return Ok(payload);
            }
        }
    }

    /// What `verdict` does to the reply; none if that is nothing.
    fn fault(&self, call: &mut HandledCall, verdict: &Verdict, payload: Payload) -> Option<ReplyFault> {
        let here = self.incoming.frames.due as u64;
        let data = match payload {
            Payload::Data { begin, len, is_line } => {
                let begin = begin as u64;
                Some((begin, len.unwrap_or(here.saturating_sub(begin)), is_line))
            }
            Payload::More | Payload::Nothing => None,
        };
        // How long the reply is, where that is known.
        let left = self.incoming.frames.left.filter(|_| !self.has_turns());
        let is_within = |bytes: u64| left.is_some_and(|left| here.saturating_add(left) <= bytes);
        let step = call.state.step;
        Some(match *verdict {
            Verdict::Cut { after, end } => {
                let body = data.map_or(here, |(begin, ..)| begin);
                let passes = match after {
                    Amount::Size(size) if self.context.settings.protocol.is_http() => body.saturating_add(size.bytes()),
                    Amount::Size(size) => size.bytes(),
                    Amount::Percent(part) => {
                        data.map_or(part.of(here), |(begin, len, _)| begin.saturating_add(part.of(len)))
                    }
                };
                if is_within(passes) {
                    return None;
                }
                ReplyFault { step, fault: Box::new(Limit::new(passes, end)), action: Action::Cut }
            }
            Verdict::Slow { rate, first } => {
                if is_within(first.bytes()) {
                    return None;
                }
                ReplyFault { step, fault: Box::new(RateLimit::new(rate.bytes(), first.bytes())), action: Action::Slow }
            }
            Verdict::Corrupt { bytes } => {
                let (begin, len, is_line) = data.filter(|(_, len, _)| *len > 0)?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let many = usize::try_from(bytes).map_or(len, |bytes| bytes.min(len));
                let places = sample(&mut call.state.split(), len, many);
                let places = places.into_iter().map(|place| begin + place as u64).collect();
                let fault = if is_line { Corrupt::in_line(places) } else { Corrupt::at(places) };
                ReplyFault { step, fault: Box::new(fault), action: Action::Corrupt }
            }
            Verdict::Pass
            | Verdict::Answer(_)
            | Verdict::Inject(_)
            | Verdict::Handshake(_)
            | Verdict::Close
            | Verdict::Reset
            | Verdict::ResetStream(_)
            | Verdict::ResetConnection
            | Verdict::GoAway(_) => return None,
        })
    }

    /// Whether replies have no end: what comes is more of the last one until the next call begins.
    fn has_turns(&self) -> bool {
        self.context.settings.protocol == Protocol::Tcp
    }

    /// Passes on all of the reply, with `tcp` perhaps all that comes until the next call, and waits until the first `count`
    /// faults have let it out.
    async fn pass_all(&mut self, count: usize, until_next_call: bool) -> Result<(), Ended> {
        self.pass_reply().await?;
        if self.has_turns() && until_next_call {
            self.pass_turn(count).await?;
        }
        self.outbound.faults_done(count, self.incoming.inbound.peer()).await
    }

    /// Passes on what is here of the reply, and what is still to come.
    async fn pass_reply(&mut self) -> Result<(), Ended> {
        loop {
            self.pass_due();
            self.flush().await?;
            if !self.part().await? {
                return Ok(());
            }
        }
    }

    /// Reads more behind what is held, unless a call begins that may not need the backend; whether there is more.
    async fn fill_until_call(&mut self) -> Result<bool, Ended> {
        let Self { calls, incoming, outbound, .. } = self;
        let fill = async {
            tokio::select! {
                biased;
                () = poll_fn(|_| if calls.borrow_mut().is_open() { Poll::Ready(()) } else { Poll::Pending }) => Ok(false),
                more = incoming.fill() => more,
            }
        };
        Ok(outbound.beside(fill).await??)
    }

    /// The call ends. What comes until the next one goes the same way.
    async fn pass_turn(&mut self, count: usize) -> Result<(), Ended> {
        self.outbound.faults_done(count, self.incoming.inbound.peer()).await?;
        self.incoming.frames.left = None;
        self.pop().await;
        self.context.call_ended(CallEnd::Replied);
        self.settle();
        while self.fill_until_call().await? {
            self.context.between_replies();
            let more = std::mem::replace(&mut self.incoming.held, BytesMut::new());
            self.outbound.push(&more);
            self.flush().await?;
        }
        Ok(())
    }
}
