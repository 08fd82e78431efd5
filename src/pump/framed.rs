//! Call by call: requests are found, handed to their handlers and answered in order.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::ends::Ends;
use super::exchange::{Exchange, Fate, Handled, lock};
use super::lane::Lane;
use super::replies::Replies;
use super::requests::Requests;
use super::to_backend::ToBackend;
use super::to_client::ToClient;
use super::{End, Link, drive};
use crate::buffer::Outgoing;
use crate::plan::{Drawn, Plan};
use crate::protocol::{self, Expect, Protocol};
use crate::seed::Draws;

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
    /// What the first call was drawn for when the client connected, and whether it was counted then.
    pub(super) first: Option<(Arc<Drawn>, bool)>,
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
    pub(crate) fn new(protocol: Protocol, draws: Option<Draws>, first: Arc<Drawn>, counted: bool) -> Self {
        let calls =
            Calls { framer: protocol.requests(), number: 0, draws, decided: None, first: Some((first, counted)) };
        Self { calls, held: BytesMut::new(), unsent: Outgoing::default() }
    }

    /// The handler that has all calls of a connection whose bytes are copied, and whether its first call is counted.
    pub(super) fn copied(&mut self, link: &Link<'_>, plan: &Plan) -> (Arc<Drawn>, bool) {
        match &self.calls.first {
            Some((drawn, was_counted)) if *was_counted || !drawn.let_go.is_given() => (drawn.clone(), *was_counted),
            _ => (plan.draw(link.streams, &mut self.calls.draws, 1).clone(), false),
        }
    }

    /// Bytes were copied up to here: this many calls, and `unsent` is still to reach the client.
    pub(super) fn begin_after(&mut self, calls: u64, unsent: Outgoing) {
        if calls > 0 {
            self.calls.first = None;
        }
        (self.calls.number, self.unsent) = (calls, unsent);
    }

    /// Whether a call is here that needs a backend.
    pub(crate) fn has_call(&self) -> bool {
        self.calls.decided.is_some()
    }
}

/// Passes calls on until the connection, or the backend's part in it, ends.
pub(crate) async fn framed(
    link: &Link<'_>,
    framing: &mut Framing,
    client: &mut TcpStream,
    backend: &mut TcpStream,
) -> End {
    let (from_client, to_client) = client.split();
    let (from_backend, to_backend) = backend.split();
    let (ends, exchange) = (Ends::default(), Mutex::new(Exchange::default()));
    let Framing { calls, held, unsent } = framing;
    let decided = calls.decided.take();
    let mut requests = Requests { link, exchange: &exchange, calls, lane: Lane::new(to_backend, held) };
    if let Some(Decided { handled, expect, due, left }) = decided {
        (requests.lane.due, requests.lane.left) = (due, left);
        if expect != Expect::Nothing {
            lock(&exchange).push(expect, Fate::Handled(handled));
        }
    }
    let mut requests = ToBackend::new(requests, &ends, from_client);
    let requests = pin!(requests.run());
    let (framer, mut held) = (link.route.protocol.replies(), BytesMut::new());
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
