//! The state of an open call.

use std::sync::Arc;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::labels::CallLabel;
use crate::protocol::{Mode, Protocol};
use crate::rng::Streams;

/// The state of a call from its request to its reply.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) protocol: Protocol,
    pub(crate) streams: Streams,
    pub(crate) number: u64,
    pub(crate) head: Bytes,
    /// The label that was in force when the call began.
    pub(crate) label: Option<Arc<CallLabel>>,
    /// What earlier requests have decided about the reply.
    pub(crate) mode: Mode,
    /// The place in a sequence of the handler that has it, or decided about it last.
    pub(crate) step: usize,
    /// The steps whose faults were counted, a bit each.
    faults: u8,
    random: Option<Box<Random>>,
}

/// The streams of a call.
#[derive(Debug)]
struct Random {
    /// That of a handler alone, and of the first step of a sequence.
    first: ChaCha8Rng,
    /// Those of later steps.
    later: Vec<ChaCha8Rng>,
}

impl CallState {
    /// How many steps a sequence has, at most: each has a bit in `faults`.
    pub(crate) const MAX_STEPS: usize = u8::BITS as usize;

    /// The number for `accept`, which no call has: it draws from a stream of its own, so that the first call's stream is
    /// unused in `before`.
    pub(crate) const ACCEPT: u64 = u64::MAX;

    /// The number of an interim response, which belongs to no call.
    pub(crate) const INTERIM: u64 = 0;

    pub(crate) fn new(
        protocol: Protocol,
        streams: Streams,
        number: u64,
        head: Bytes,
        label: Option<Arc<CallLabel>>,
    ) -> Self {
        Self { protocol, streams, number, head, label, mode: Mode::default(), step: 0, faults: 0, random: None }
    }

    /// The number of the call.
    pub(crate) fn call(&self) -> u64 {
        if self.number == Self::ACCEPT { 1 } else { self.number }
    }

    /// False for an interim response.
    pub(crate) fn is_of_call(&self) -> bool {
        self.number != Self::INTERIM
    }

    /// A stream for what happens to the bytes of the call.
    pub(crate) fn split(&mut self) -> ChaCha8Rng {
        ChaCha8Rng::from_rng(self.random())
    }

    /// The handler in this place of a sequence has it now.
    pub(crate) fn enter(&mut self, step: usize) {
        self.step = step;
    }

    /// Notes that the current step is a fault; whether that is new.
    pub(super) fn is_new_fault(&mut self) -> bool {
        let bit = 1_u8.checked_shl(u32::try_from(self.step).unwrap_or(u32::MAX)).unwrap_or(0);
        let is_new = self.faults & bit == 0;
        self.faults |= bit;
        is_new
    }

    /// The stream of the current step.
    pub(super) fn random(&mut self) -> &mut ChaCha8Rng {
        let Self { streams, number, step, .. } = *self;
        let random =
            self.random.get_or_insert_with(|| Box::new(Random { first: streams.call(number), later: Vec::new() }));
        let Some(later) = step.checked_sub(1) else { return &mut random.first };
        while random.later.len() <= later {
            random.later.push(streams.step(number, random.later.len() + 1));
        }
        &mut random.later[later]
    }
}
