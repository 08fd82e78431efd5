//! The calls of `tcp` where bytes are copied: turns of the client, counted as [`protocol::tcp`](crate::protocol::tcp) finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::activity::LocalCounter;
use super::context::ConnectionContext;
use super::framed::{FirstCall, ProxyHeader};
use crate::call_log::CallEnd;
use crate::plan::SelectedHandler;
use crate::protocol::Expect;
use crate::protocol::proxy_header::{self, Start};

/// Begins and ends calls as bytes pass.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    pub(super) context: &'a ConnectionContext<'a>,
    handler: &'a Arc<SelectedHandler>,
    /// The handler has counted the first call already.
    first_is_counted: bool,
    /// The number of the last call.
    number: LocalCounter,
    /// The client has sent something, and the backend has not since.
    is_open: AtomicBool,
    /// The client may still begin with a PROXY protocol header.
    at_start: AtomicBool,
}

impl<'a> Turns<'a> {
    pub(super) fn new(
        context: &'a ConnectionContext<'a>,
        first: Option<&FirstCall>,
        handler: &'a Arc<SelectedHandler>,
    ) -> Self {
        Self {
            context,
            handler,
            first_is_counted: first.is_some_and(|first| first.taken.is_some()),
            number: LocalCounter::default(),
            is_open: AtomicBool::new(false),
            at_start: AtomicBool::new(true),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number.get()
    }

    /// Whether the client waits for the backend.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether the client may still begin with a PROXY protocol header.
    pub(super) fn header(&self) -> ProxyHeader {
        if self.at_start.load(Ordering::Relaxed) { ProxyHeader::Possible } else { ProxyHeader::Over }
    }

    /// `first` is what looks like the beginning of a header: until that is settled, the client waits, and no call is counted.
    pub(super) fn client_sent(&self, first: &mut Vec<u8>, bytes: &[u8]) {
        self.context.activity.to_backend.add(bytes.len());
        if self.at_start.load(Ordering::Relaxed) {
            self.first_bytes(first, bytes);
        } else if !self.is_open() {
            self.begin();
        }
    }

    pub(super) fn backend_sent(&self, bytes: &[u8]) {
        self.context.activity.to_client.add(bytes.len());
        self.no_header();
        self.is_open.store(false, Ordering::Relaxed);
        self.context.call_ended(CallEnd::Replied);
    }

    /// No more of a header comes: what looked like one was a call.
    pub(super) fn no_header(&self) {
        if self.at_start.load(Ordering::Relaxed) && self.is_open() {
            self.at_start.store(false, Ordering::Relaxed);
            self.begin();
        }
    }

    fn first_bytes(&self, first: &mut Vec<u8>, bytes: &[u8]) {
        first.extend_from_slice(bytes);
        let is_header = match proxy_header::start(first) {
            Start::Incomplete => return self.is_open.store(true, Ordering::Relaxed),
            Start::Header(len) => len == first.len(),
            Start::Other => false,
        };
        *first = Vec::new();
        self.at_start.store(false, Ordering::Relaxed);
        self.is_open.store(false, Ordering::Relaxed);
        if !is_header {
            self.begin();
        }
    }

    fn begin(&self) {
        self.is_open.store(true, Ordering::Relaxed);
        self.number.add(1);
        let (number, label) = (self.number(), self.context.label());
        if number > 1 || !self.first_is_counted {
            self.handler.count(self.context.streams(), number, label.as_deref());
        }
        let facts = self.context.facts(None, number);
        self.context.call_begins(&facts, self.handler, label.as_ref(), Expect::Reply);
    }
}
