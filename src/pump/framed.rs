//! Call by call: requests are found, handed to their handlers and answered in order.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::context::ConnectionContext;
use super::ends::Ends;
use super::open_calls::{Handled, OpenCalls, ReplySource, lock};
use super::outbound::Lane;
use super::replies::Replies;
use super::requests::Requests;
use super::to_backend::ToBackend;
use super::to_client::ToClient;
use super::{End, drive};
use crate::net::buffer::Outgoing;
use crate::plan::SelectedHandler;
use crate::protocol;
use crate::protocol::{Expect, Protocol};
use crate::rng::Draws;

/// A connection's first call, which begins when the client connects.
#[derive(Debug, Clone)]
pub(crate) struct FirstCall {
    pub(crate) drawn: Arc<SelectedHandler>,
    /// Its handler did not let the client in at once, and so has had the call already.
    pub(crate) is_counted: bool,
}

impl FirstCall {
    /// Whether it is still the handler's: a client that has not been made to wait by it calls under the plan of the call.
    pub(super) fn holds(&self) -> bool {
        self.is_counted || !self.drawn.released.is_given()
    }
}

/// What a connection knows of its client's requests. It outlives the backend's connection.
#[derive(Debug)]
pub(crate) struct Framing {
    calls: Calls,
    /// What was read of them and not passed on yet.
    held: BytesMut,
    /// What the backend said before, and the client has not taken yet.
    unsent: Outgoing,
}

/// A client's calls.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) framer: protocol::Requests,
    /// The number of the last one.
    pub(super) number: u64,
    pub(super) draws: Option<Draws>,
    /// A call that its handler let pass when there was no backend any more.
    pub(super) decided: Option<Decided>,
    /// The first one, until its request is there.
    pub(super) first: Option<FirstCall>,
}

/// A call whose first byte is still to go to the backend.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) handled: Box<Handled>,
    pub(super) expect: Expect,
    /// Bytes of its request that are held, and how many are still to come.
    pub(super) due: usize,
    pub(super) left: Option<u64>,
}

impl Framing {
    /// From the first call on.
    pub(crate) fn new(protocol: Protocol, first: FirstCall, draws: Option<Draws>) -> Self {
        Self::of(protocol, draws, Some(first))
    }

    /// After so many calls whose bytes were copied. `held` is what was read of the next, and `unsent` is still to reach the
    /// client.
    pub(super) fn after(
        calls: u64,
        first: Option<FirstCall>,
        protocol: Protocol,
        draws: Option<Draws>,
        held: BytesMut,
        unsent: Outgoing,
    ) -> Self {
        let framing = Self::of(protocol, draws, first);
        Self { calls: Calls { number: calls, ..framing.calls }, held, unsent }
    }

    fn of(protocol: Protocol, draws: Option<Draws>, first: Option<FirstCall>) -> Self {
        let calls = Calls { framer: protocol.requests(), number: 0, draws, decided: None, first };
        Self { calls, held: BytesMut::new(), unsent: Outgoing::default() }
    }

    /// Whether a call is here that needs a backend.
    pub(crate) fn has_call(&self) -> bool {
        self.calls.decided.is_some()
    }
}

/// Passes calls on until the connection, or the backend's part in it, ends.
pub(crate) async fn framed(
    link: &ConnectionContext<'_>,
    framing: &mut Framing,
    client: &mut TcpStream,
    backend: &mut TcpStream,
) -> End {
    let (from_client, to_client) = client.split();
    let (from_backend, to_backend) = backend.split();
    let (ends, exchange) = (Ends::default(), Mutex::new(OpenCalls::default()));
    let Framing { calls, held, unsent } = framing;
    let decided = calls.decided.take();
    let mut requests = Requests { link, exchange: &exchange, calls, lane: Lane::new(to_backend, held) };
    if let Some(Decided { handled, expect, due, left }) = decided {
        (requests.lane.due, requests.lane.left) = (due, left);
        if expect != Expect::Nothing {
            lock(&exchange).push(expect, ReplySource::Handled(handled));
        }
    }
    let mut requests = ToBackend::new(requests, &ends, from_client);
    let requests = pin!(requests.run());
    let (framer, mut held) = (link.settings.protocol.replies(), BytesMut::new());
    let mut lane = Lane::new(to_client, &mut held);
    lane.out = std::mem::take(unsent);
    let replies = Replies { link, exchange: &exchange, framer, lane };
    let mut replies = ToClient::new(replies, &ends, from_backend);
    let replies = pin!(replies.run());
    let busy = || !lock(&exchange).is_idle();
    let again = || lock(&exchange).take_queued();
    let stopped = pin!(link.stopped(busy));
    drive(requests, replies, stopped, &link.proxy.stop, again).await
}
