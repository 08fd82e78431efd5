//! What is known of a call while it is open, and the record of what handlers do to it.

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

/// What stays with a call from its request to its reply.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) protocol: Protocol,
    pub(crate) streams: Streams,
    pub(crate) number: u64,
    pub(crate) head: Bytes,
    /// A handler has done something to it, and that was counted.
    pub(crate) is_fault: bool,
    random: Option<Box<ChaCha8Rng>>,
}

impl CallState {
    /// What `accept` draws from, so that the first call's own stream is still untouched in `before`: a number that no call
    /// has.
    pub(crate) const ACCEPT: u64 = u64::MAX;

    /// What is said before the reply has no number.
    pub(crate) const INTERIM: u64 = 0;

    pub(crate) fn new(protocol: Protocol, streams: Streams, number: u64, head: Bytes) -> Self {
        Self { protocol, streams, number, head, is_fault: false, random: None }
    }

    /// Which call it is.
    pub(crate) fn call(&self) -> u64 {
        if self.number == Self::ACCEPT { 1 } else { self.number }
    }

    /// Whether it is of a call. An interim response is of none.
    pub(crate) fn is_of_call(&self) -> bool {
        self.number != Self::INTERIM
    }

    pub(super) fn random(&mut self) -> &mut ChaCha8Rng {
        self.random.get_or_insert_with(|| Box::new(self.streams.call(self.number)))
    }
}

/// What a call needs of its handler, its proxy and its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallContext<'a> {
    pub(crate) handler: &'a Arc<str>,
    pub(crate) counters: &'a HandlerCounters,
    /// The handler was replaced, or the daemon stops: what the handler holds goes on, or ends.
    pub(crate) released: &'a Shutdown,
    /// The daemon stops.
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) proxy: &'a Arc<str>,
    pub(crate) events: &'a Events,
    pub(crate) log: Option<&'a ConnectionLog>,
}

impl CallContext<'_> {
    /// The handler does something to the call: the one place where a fault is counted, told and logged.
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
