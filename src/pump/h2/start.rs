//! How HTTP/2 begins: the client is offered what the backend offers.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{client, server};
use tokio::time::timeout;

use super::gate::Gate;
use super::late::Frames;
use super::side::{EndByToxic, First, Side};
use crate::fault::Direction;
use crate::net::stream::{ReadHalf, WriteHalf};
use crate::protocol::foreign::Foreign;
use crate::pump::context::ConnectionContext;
use crate::pump::outbound::{Outbound, Stage};
use crate::pump::outcome::Outcome;

/// How much of a stream may wait in the proxy, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// How much of all streams of a connection may, in bytes: streams that wait leave room for others.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// How much of a stream the library may keep until it is written, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// The longest list of fields that the library reads, in bytes: it cuts off longer trailers without a word. Heads are looked at by the
/// proxy itself.
const MAX_FIELDS: u32 = 2 * 1024 * 1024;

/// How many streams that were reset are remembered on each connection: what still comes for others ends the connection.
const RESET_STREAMS: usize = 10_000;

/// How many streams a client may open and reset before they are looked at.
const PENDING_RESETS: usize = 1_000;

/// How many streams a client may have reset by what it does wrong.
const CLIENT_ERRORS: usize = 100_000;

/// How many streams a client may have open, whatever the backend says.
const MAX_STREAMS: u32 = 10_000;

/// The number of streams before the backend has said how many it takes. No backend says this.
const UNKNOWN: usize = usize::MAX - 1;

/// Both sides of a connection, and what sends requests to the backend.
type Sides<'c> = (server::Connection<Side<'c>, Bytes>, client::Connection<Side<'c>, Bytes>, SendRequest<Bytes>);

/// Begins HTTP/2 with the backend, and then with the client. What was read of each comes first.
pub(super) async fn start<'c>(
    context: &'c ConnectionContext<'c>,
    (read, (from_client, to_client)): (Bytes, (ReadHalf<'c>, WriteHalf<'c>)),
    (said, (from_backend, to_backend)): (Bytes, (ReadHalf<'c>, WriteHalf<'c>)),
    (end, first): (&'c EndByToxic, &'c First),
    gates: (&'c Gate, &'c Gate),
) -> Result<Sides<'c>, Outcome> {
    let side = |direction, to, from, begin, moved, other, gate, first| {
        let frames = (direction == Direction::ToClient).then(|| Frames::begin(&begin));
        let outbound = Outbound::new(context, direction, to, Stage::default());
        Side { begin, from, frames, held: Vec::new(), first, moved, outbound, other, end, gate }
    };
    let (client_peer, backend_peer) = (from_client.peer(), from_backend.peer());
    let activity = context.activity;
    let to_backend = side(
        Direction::ToBackend,
        to_backend,
        from_backend,
        said,
        &activity.to_client,
        client_peer,
        gates.1,
        Some(first),
    );
    let to_client =
        side(Direction::ToClient, to_client, from_client, read, &activity.to_backend, backend_peer, gates.0, None);
    let (mut backend, requests) = tokio::select! {
        greeted = greet(context, to_backend, first) => greeted?,
        () = client_peer.left() => return Err(Outcome::ClientLeft),
        () = context.proxy.shutdown.grace_over() => return Err(Outcome::CutOff),
    };
    let mut builder = server::Builder::new();
    let limit = u32::try_from(requests.current_max_send_streams()).unwrap_or(u32::MAX);
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limit.min(MAX_STREAMS))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(CLIENT_ERRORS))
        .max_header_list_size(MAX_FIELDS);
    if requests.is_extended_connect_protocol_enabled() {
        builder.enable_connect_protocol();
    }
    let server = tokio::select! {
        server = builder.handshake(to_client) => server.map_err(|error| {
            if error.is_io() { Outcome::ClientReset(super::io_error(&error)) } else { Outcome::Close }
        })?,
        // It says no more, and nobody has asked it anything.
        _ = &mut backend => return Err(Outcome::Close),
        () = context.stopped_quietly() => return Err(Outcome::Stopped),
    };
    Ok((server, backend, requests))
}

/// Begins with the backend, and waits for its settings.
async fn greet<'c>(
    context: &ConnectionContext<'_>,
    io: Side<'c>,
    first: &First,
) -> Result<(client::Connection<Side<'c>, Bytes>, SendRequest<Bytes>), Outcome> {
    let greeted = timeout(context.settings.backend.connect_timeout(), async {
        let mut builder = client::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(UNKNOWN)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(None)
            .max_header_list_size(MAX_FIELDS)
            .enable_push(false);
        let (requests, mut connection) = builder.handshake(io).await?;
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            if requests.current_max_send_streams() != UNKNOWN {
                return Poll::Ready(Ok(()));
            }
            ended.map(|ended| ended.and(Err(h2::Reason::PROTOCOL_ERROR.into())))
        })
        .await?;
        Ok::<_, h2::Error>((connection, requests))
    });
    let why = match greeted.await {
        Ok(Ok(greeted)) => return Ok(greeted),
        Ok(Err(error)) if error.is_io() && Foreign::of_backend(&first.borrow()).is_none() => super::io_error(&error),
        Ok(Err(_)) => {
            let why = Foreign::instead_of_http2(&first.borrow(), context.settings.backend.is_tls());
            io::Error::new(io::ErrorKind::InvalidData, why)
        }
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not begin HTTP/2"),
    };
    Err(context.unreachable(why))
}
