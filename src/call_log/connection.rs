//! The log of one connection, told by its pumps.

use std::sync::Arc;
use std::time::Duration;

use atomic_refcell::AtomicRefCell;

use super::Shared;
use super::calls::{CallEnd, Calls};
use crate::events::Action;
use crate::labels::CallLabel;
use crate::protocol::{Expect, Protocol};

/// The calls of one connection. They become part of the run's log when this is dropped, also where a handler panics.
#[derive(Debug)]
pub(crate) struct ConnectionLog {
    shared: Arc<Shared>,
    protocol: Protocol,
    calls: AtomicRefCell<Calls>,
}

impl ConnectionLog {
    pub(super) fn new(shared: Arc<Shared>, proxy: Arc<str>, number: u64, protocol: Protocol) -> Self {
        Self { shared, protocol, calls: AtomicRefCell::new(Calls::new(proxy, number, protocol)) }
    }

    /// Call `number` was drawn for `handler`. The first call may be told twice: at accept, and when its request is here.
    pub(crate) fn begins(
        &self,
        number: u64,
        handler: &Arc<str>,
        label: Option<&Arc<CallLabel>>,
        head: &[u8],
        expect: Expect,
    ) {
        let admits = || self.shared.admits();
        self.with(|calls, now| calls.begins(now, admits, number, handler, label, self.protocol, head, expect));
    }

    /// `handler` does something to call `number`, which may not have begun.
    pub(crate) fn fault(&self, number: u64, handler: &Arc<str>, label: Option<&Arc<CallLabel>>, action: Action) {
        self.with(|calls, now| {
            if calls.last() < number {
                let admits = || self.shared.admits();
                calls.begins(now, admits, number, handler, label, self.protocol, &[], Expect::Reply);
            }
            calls.fault(number, action);
        });
    }

    /// The last byte of the latest request was passed on.
    pub(crate) fn passed_on(&self) {
        self.with(Calls::passed_on);
    }

    /// The oldest call has ended.
    pub(crate) fn ended(&self, how: CallEnd) {
        self.with(|calls, now| calls.ended(now, how));
    }

    /// The last byte of request `number` was passed on.
    pub(crate) fn passed_on_of(&self, number: u64) {
        self.with(|calls, now| calls.passed_on_of(now, number));
    }

    /// Call `number` has ended, whatever others do.
    pub(crate) fn ended_of(&self, number: u64, how: CallEnd) {
        self.with(|calls, now| calls.ended_of(now, number, how));
    }

    /// Bytes that belong to no message came from the backend: with `tcp`, more of the reply.
    pub(crate) fn more(&self) {
        self.with(Calls::more);
    }

    /// Replies can no longer be told apart. A request that a handler holds goes on.
    pub(crate) fn replies_end(&self, holds_request: bool) {
        self.with(|calls, now| calls.end(now, usize::from(holds_request)));
    }

    fn with(&self, tell: impl FnOnce(&mut Calls, Duration)) {
        tell(&mut self.calls.borrow_mut(), self.shared.begun.elapsed());
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.replies_end(false);
        self.with(Calls::next);
        let calls = self.calls.get_mut().take();
        if let Some(ended) = &mut *self.shared.ended() {
            ended.extend(calls);
        }
    }
}
