//! Recording faults: every fault is counted, emitted as an event and logged here.

use std::sync::Arc;
use std::time::Duration;

use super::CallState;
use crate::call_log::ConnectionLog;
use crate::events::{Action, EventKind, Events, RequestHead};
use crate::metrics::counters::HandlerCounters;
use crate::shutdown::Shutdown;

/// What a call needs to know of its handler, its proxy and its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallContext<'a> {
    pub(crate) handler: &'a Arc<str>,
    /// The rule that decided for the call; none if none did.
    pub(crate) rule: Option<&'a Arc<str>>,
    /// The handler with its rule: `pay.error`.
    pub(crate) label: &'a Arc<str>,
    /// The names of the handlers of a sequence; empty for one alone.
    pub(crate) steps: &'a [Arc<str>],
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
    /// Records that the handler does something to the call.
    pub(crate) fn fault(&self, call: &mut CallState, action: Action) {
        if call.is_new_fault() {
            self.counters.acted(call.label.as_deref());
        }
        let label = || call.label.clone();
        self.events.emit(self.proxy, label, || EventKind::Fault {
            connection: call.streams.connection(),
            call: call.call(),
            handler: self.handler.clone(),
            rule: self.rule.cloned(),
            step: self.steps.get(call.step).cloned(),
            verdict: action,
            head: RequestHead::of(call.protocol, &call.head),
        });
        if let Some(log) = self.log {
            log.fault(call.call(), self.label, call.label.as_ref(), action);
        }
    }

    /// The handler delayed the call.
    pub(super) fn delayed(&self, time: Duration) {
        self.counters.delayed(time);
    }
}
