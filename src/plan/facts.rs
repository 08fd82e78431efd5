//! What is known of a call when its handler is drawn.

use std::cell::Cell;
use std::net::IpAddr;

use crate::protocol::{Protocol, grpc};
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
    /// Its command and its key, once somebody asked.
    words: Cell<Option<(&'a [u8], &'a [u8])>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(
        protocol: Protocol,
        head: Option<&'a [u8]>,
        client: Option<IpAddr>,
        streams: Streams,
        call: u64,
    ) -> Self {
        Self { protocol, head, client, streams, call, words: Cell::new(None) }
    }

    /// The same, of which the framer may know the words.
    pub(crate) fn with_words(self, words: Option<(&'a [u8], &'a [u8])>) -> Self {
        Self { words: Cell::new(words), ..self }
    }

    /// The number of its connection.
    pub(crate) fn connection(&self) -> u64 {
        self.streams.connection()
    }

    /// Its command and its key, with `http` its method and its path.
    #[inline]
    pub(crate) fn words(&self) -> (&'a [u8], &'a [u8]) {
        self.words.get().unwrap_or_else(|| {
            let words = self.protocol.words(self.head.unwrap_or_default());
            self.words.set(Some(words));
            words
        })
    }

    pub(crate) fn command(&self) -> &'a [u8] {
        self.words().0
    }

    pub(crate) fn key(&self) -> &'a [u8] {
        self.words().1
    }

    /// Its service and its method, if it is a call of gRPC.
    pub(crate) fn service_and_method(&self) -> Option<(&'a [u8], &'a [u8])> {
        grpc::service_and_method(self.key())
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
