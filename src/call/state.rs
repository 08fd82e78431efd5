//! The state of an open call.

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::protocol::Protocol;
use crate::rng::Streams;

/// The state of a call from its request to its reply.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) protocol: Protocol,
    pub(crate) streams: Streams,
    pub(crate) number: u64,
    pub(crate) head: Bytes,
    /// It was counted as a fault.
    pub(crate) is_fault: bool,
    random: Option<Box<ChaCha8Rng>>,
}

impl CallState {
    /// The number for `accept`, which no call has: it draws from a stream of its own, so that the first call's stream is
    /// unused in `before`.
    pub(crate) const ACCEPT: u64 = u64::MAX;

    /// The number of an interim response, which belongs to no call.
    pub(crate) const INTERIM: u64 = 0;

    pub(crate) fn new(protocol: Protocol, streams: Streams, number: u64, head: Bytes) -> Self {
        Self { protocol, streams, number, head, is_fault: false, random: None }
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

    pub(super) fn random(&mut self) -> &mut ChaCha8Rng {
        self.random.get_or_insert_with(|| Box::new(self.streams.call(self.number)))
    }
}
