//! What is known of a call when its handler is drawn.

use std::cell::Cell;
use std::net::IpAddr;

use crate::protocol::Protocol;
use crate::rng::Streams;

/// A call whose handler is to be drawn. Its head is read where it lies, and only as far as somebody asks.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) protocol: Protocol,
    /// The head of its request; none where that is not here yet.
    pub(crate) head: Option<&'a [u8]>,
    /// Where its client is, as far as that is known.
    pub(crate) client: Option<IpAddr>,
    pub(crate) streams: Streams,
    /// Its number.
    pub(crate) call: u64,
    command: Cell<Option<&'a [u8]>>,
    key: Cell<Option<&'a [u8]>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(
        protocol: Protocol,
        head: Option<&'a [u8]>,
        client: Option<IpAddr>,
        streams: Streams,
        call: u64,
    ) -> Self {
        Self { protocol, head, client, streams, call, command: Cell::new(None), key: Cell::new(None) }
    }

    /// The number of its connection.
    pub(crate) fn connection(&self) -> u64 {
        self.streams.connection()
    }

    /// Its command, with `http` its method.
    pub(crate) fn command(&self) -> &'a [u8] {
        read_once(&self.command, || self.protocol.command(self.head.unwrap_or_default()))
    }

    /// Its key, with `http` its path.
    pub(crate) fn key(&self) -> &'a [u8] {
        read_once(&self.key, || self.protocol.words(self.head.unwrap_or_default()).1)
    }

    /// Whether one of the values of this header field is `so`. The name is in lower case.
    pub(crate) fn any_header(&self, name: &str, so: impl Fn(&[u8]) -> bool) -> bool {
        self.protocol.header(self.head.unwrap_or_default(), name).any(so)
    }

    /// Whether one of the values of this parameter of the query is `so`.
    pub(crate) fn any_query(&self, name: &str, so: impl Fn(&[u8]) -> bool) -> bool {
        self.protocol.query(self.head.unwrap_or_default(), name).any(so)
    }
}

fn read_once<'a>(known: &Cell<Option<&'a [u8]>>, read: impl FnOnce() -> &'a [u8]) -> &'a [u8] {
    known.get().unwrap_or_else(|| {
        let word = read();
        known.set(Some(word));
        word
    })
}
