//! Call by call: requests are found, handed to their handlers and answered in order.

use std::sync::Mutex;

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::ends::Ends;
use super::exchange::{Exchange, lock};
use super::to_backend::ToBackend;
use super::to_client::ToClient;
use super::{End, Link, drive};
use crate::plan::Drawn;
use crate::protocol::{Protocol, Requests};
use crate::seed::Draws;

/// What a connection knows of its client's requests. It outlives the backend's connection.
#[derive(Debug)]
pub(crate) struct Framing {
    pub(super) requests: Requests,
    /// Read, and not passed on yet: an incomplete head, or what stands behind a call that a handler has in hand.
    pub(super) held: BytesMut,
    /// Calls so far.
    pub(super) calls: u64,
    pub(super) draws: Option<Draws>,
    /// What the first call was drawn for when the client connected, and whether it was counted then.
    pub(super) first: Option<(Drawn, bool)>,
    /// Messages can no longer be told apart.
    pub(super) opaque: bool,
}

impl Framing {
    pub(crate) fn new(protocol: Protocol, draws: Option<Draws>, first: Drawn, counted: bool) -> Self {
        let (requests, held) = (protocol.requests(), BytesMut::new());
        Self { requests, held, calls: 0, draws, first: Some((first, counted)), opaque: false }
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
    let ends = Ends::default();
    let exchange = Mutex::new(Exchange::new(framing.opaque));
    let requests = ToBackend::new(link, &exchange, &ends, framing, from_client, to_backend).run();
    let replies = ToClient::new(link, &exchange, &ends, from_backend, to_client).run();
    let busy = || !lock(&exchange).is_idle();
    let again = || lock(&exchange).take_queued();
    drive(requests, replies, link.stopped(busy), again).await
}
