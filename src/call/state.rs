//! The state of an open call, and the one place where faults are recorded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;

use crate::call_log::ConnectionLog;
use crate::events::{Action, EventKind, Events, RequestHead};
use crate::metrics::counters::HandlerCounters;
use crate::protocol::Protocol;
use crate::rng::Streams;
use crate::shutdown::Shutdown;

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

    pub(super) fn random(&mut self) -> &mut ChaCha8Rng {
        self.random.get_or_insert_with(|| Box::new(self.streams.call(self.number)))
    }
}

/// What a call needs to know of its handler, its proxy and its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallContext<'a> {
    pub(crate) handler: &'a Arc<str>,
    pub(crate) counters: &'a HandlerCounters,
    /// Begins when the handler is replaced or the daemon stops.
    pub(crate) released: &'a Shutdown,
    /// Begins when the daemon stops.
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) proxy: &'a Arc<str>,
    pub(crate) events: &'a Events,
    pub(crate) log: Option<&'a ConnectionLog>,
}

impl CallContext<'_> {
    /// The handler does something to the call. Every fault is counted, emitted as an event and logged here.
    pub(crate) fn fault(&self, call: &mut CallState, action: Action) {
        if !std::mem::replace(&mut call.is_fault, true) {
            self.counters.faults.add(1);
        }
        self.events.emit(self.proxy, || EventKind::Fault {
            connection: call.streams.connection(),
            call: call.call(),
            handler: self.handler.clone(),
            verdict: action,
            head: RequestHead::of(call.protocol, &call.head),
        });
        if let Some(log) = self.log {
            log.fault(call.call(), self.handler, action);
        }
    }

    /// The handler delayed the call.
    pub(super) fn delayed(&self, time: Duration) {
        self.counters.delayed(time);
    }
}
