//! One client's life: its first turn, the dial, the calls, the end.

pub(crate) mod table;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use crate::call::{Accept, Call, CallState, Message, Verdict};
use crate::connection::table::{ConnectionHandle, State};
use crate::error::{Error, Result};
use crate::events::EventKind;
use crate::handler::Scope;
use crate::net::buffer::{ReadSize, poll_read};
use crate::net::disconnect::left;
use crate::plan::SelectedHandler;
use crate::protocol::Expect;
use crate::proxy::Proxy;
use crate::pump::context::ConnectionContext;
use crate::pump::{Copied, End, FirstCall, Framing, copy, framed};
use crate::rng::Draws;

/// How long a client whose connection was closed in order may take to notice. A socket that is let go with unread bytes
/// resets, so what still comes is read meanwhile.
const LINGER: Duration = Duration::from_secs(5);

/// Serves a client from its first byte to its last.
pub(crate) async fn serve(client: &mut TcpStream, live: &ConnectionHandle, proxy: &Proxy) {
    let settings = proxy.settings();
    let link = ConnectionContext::new(proxy, &settings, live);
    let end = traffic(&link, client).await;
    finish(end, client, &link).await;
}

/// All that passes between the client and its backend. Each phase is boxed, so that a connection is only as large as what
/// it does, and is cut where somebody asks for it.
async fn traffic(link: &ConnectionContext<'_>, client: &mut TcpStream) -> End {
    let ConnectionContext { proxy, settings, live, .. } = link;
    let mut backend = None;
    let framing = {
        let (dialled, first, mut draws) = match live.until_cut(Box::pin(begin(link, client))).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(end)) | Err(end) => return end,
        };
        let plan = proxy.plan().clone();
        if settings.copies(&plan) && !proxy.shared.call_log.is_on() {
            let copy = copy(link, &plan, &first, &mut draws, client, backend.insert(dialled));
            match live.until_cut(Box::pin(copy)).await {
                Ok(Copied::Replanned(framing)) => Ok(framing),
                Ok(Copied::Ended(end)) | Err(end) => Err(end),
            }
        } else {
            backend = Some(dialled);
            Ok(Box::new(Framing::new(settings.protocol, first, draws)))
        }
    };
    let end = match framing {
        Ok(framing) => {
            let called = live.until_cut(Box::pin(called(link, framing, client, &mut backend))).await;
            called.unwrap_or_else(|end| end)
        }
        Err(end) => end,
    };
    if let Some(backend) = backend {
        settings.backend.leave(backend, &end);
    }
    end
}

/// The first call's turn, and the dial.
async fn begin(
    link: &ConnectionContext<'_>,
    client: &mut TcpStream,
) -> Result<(TcpStream, FirstCall, Option<Draws>), End> {
    let mut draws = None;
    let first = link.proxy.plan().draw(link.streams, &mut draws, 1).clone();
    let is_counted = match first.scope {
        Scope::Nothing => false,
        Scope::Calls => Box::pin(accept(link, &first, client)).await?,
    };
    Ok((dial(link, client).await?, FirstCall { drawn: first, is_counted }, draws))
}

/// The first call's turn, before any byte is read and any backend is dialled. Whether the call was counted.
async fn accept(
    link: &ConnectionContext<'_>,
    first: &Arc<SelectedHandler>,
    client: &mut TcpStream,
) -> Result<bool, End> {
    tokio::select! {
        done = first_turn(link, first, client) => done,
        // A handler may wait for something that knows nothing of the daemon's end, and a client may take no answer.
        () = link.proxy.stop.grace_is_over() => Err(End::CutOff),
    }
}

async fn first_turn(
    link: &ConnectionContext<'_>,
    first: &Arc<SelectedHandler>,
    client: &mut TcpStream,
) -> Result<bool, End> {
    let mut about = CallState::new(link.settings.protocol, link.streams, CallState::ACCEPT, Bytes::new());
    let mut counted = false;
    let _at_work = link.live.works(first);
    let verdict = {
        let mut fresh = Fresh(client);
        let mut accept = Accept(Call::new(&mut about, &mut fresh, first, link.proxy));
        let mut turn = first.handler.accept(&mut accept);
        poll_fn(|cx| {
            let polled = turn.as_mut().poll(cx);
            // A handler that lets the client in at once has not taken the call yet: it will when the request is here.
            if !counted && !matches!(polled, Poll::Ready(Ok(Verdict::Pass))) {
                first.count(link.streams, 1);
                link.live.calls.set(1);
                if let Some(mut track) = link.track() {
                    track.begins(1, &first.name, link.settings.protocol, &[], Expect::Reply);
                }
                counted = true;
            }
            polled
        })
        .await?
    };
    if let Some(action) = verdict.action() {
        link.proxy.fault(first, &mut about, action);
    }
    match verdict {
        Verdict::Pass => Ok(counted),
        Verdict::Answer(answer) => {
            client.write_all(&answer.into_bytes(&mut about)).await.map_err(End::ClientReset)?;
            if let Some(mut track) = link.track() {
                track.replied();
            }
            Err(End::Close)
        }
        Verdict::Close => Err(End::Close),
        Verdict::Reset => Err(End::Reset),
        Verdict::Inject(_) => Err(End::Failed(Error::NoReplyYet)),
    }
}

/// A connection of calls. Its client may outlive the backend's connection.
async fn called(
    link: &ConnectionContext<'_>,
    mut framing: Box<Framing>,
    client: &mut TcpStream,
    backend: &mut Option<TcpStream>,
) -> End {
    loop {
        let stream = match backend {
            Some(stream) => stream,
            None => match Box::pin(dial(link, client)).await {
                Ok(dialled) => backend.insert(dialled),
                Err(end) => return end,
            },
        };
        match framed(link, &mut framing, client, stream).await {
            End::BackendLeft => *backend = None,
            End::ClientLeft => return client.take_error().ok().flatten().map_or(End::ClientLeft, End::ClientReset),
            end => return end,
        }
        if !framing.has_call() {
            tokio::select! {
                next = next_call(client) => match next {
                    Ok(true) => {}
                    Ok(false) => return End::Done,
                    Err(error) => return End::ClientReset(error),
                },
                () = link.proxy.stop.stopped() => return End::Stopped,
            }
        }
    }
}

/// Waits for the first byte of the next call; whether there is one.
async fn next_call(client: &TcpStream) -> io::Result<bool> {
    Ok(client.peek(&mut [0]).await? > 0)
}

/// Dials the backend, for as long as the client is there.
async fn dial(link: &ConnectionContext<'_>, client: &TcpStream) -> Result<TcpStream, End> {
    link.live.is(State::Dialling);
    let begun = Instant::now();
    let failed = tokio::select! {
        // A backend that has been reached is to learn how its client left.
        biased;
        dialled = link.settings.backend.connect() => match dialled {
            Ok(backend) => {
                link.live.is(State::Open);
                link.proxy.counters.dial.add(begun.elapsed());
                return Ok(backend);
            }
            Err(error) => error,
        },
        () = left(client) => return Err(End::ClientLeft),
        () = link.proxy.stop.grace_is_over() => return Err(End::CutOff),
    };
    link.proxy.counters.backend_failures.add(1);
    link.proxy.emit(|| EventKind::DialFailure { connection: link.live.number, error: failed.to_string() });
    Err(End::Unreachable(failed))
}

/// Ends the client's connection in the way that the traffic ended.
async fn finish(end: End, client: &mut TcpStream, link: &ConnectionContext<'_>) {
    link.live.is(State::Closing);
    if let Some(track) = link.track() {
        track.end();
    }
    let connection = link.live.number;
    match end {
        End::Unreachable(ref error) => {
            warn!(connection, "cannot reach the backend {}: {error}", link.settings.backend.address());
        }
        End::Failed(ref error) => warn!(connection, "{error}"),
        End::ClientReset(ref error) => debug!(connection, "the client reset: {error}"),
        End::BackendReset(ref error) => debug!(connection, "the backend reset: {error}"),
        ref end => debug!(connection, ?end, "the connection ended"),
    }
    match end {
        End::Done | End::Spare | End::BackendLeft | End::Stopped | End::ClientLeft | End::ClientReset(_) => {}
        End::Close => Box::pin(close_in_order(client, link.proxy)).await,
        End::Reset | End::BackendReset(_) | End::Unreachable(_) | End::Released | End::CutOff | End::Failed(_) => {
            reset(client);
        }
    }
}

/// Closes so that the client reads an end of file.
async fn close_in_order(client: &mut TcpStream, proxy: &Proxy) {
    if client.shutdown().await.is_err() {
        return;
    }
    let mut fresh = Fresh(client);
    tokio::select! {
        () = fresh.swallow() => {}
        () = tokio::time::sleep(LINGER) => {}
        () = proxy.stop.stopped() => {}
    }
}

/// Closes so that the peer reads a reset.
pub(crate) fn reset(peer: &TcpStream) {
    // It fails only for a peer that is gone already.
    let _ = peer.set_zero_linger();
}

/// A client without a backend: what it sends has nowhere to go.
struct Fresh<'a>(&'a mut TcpStream);

impl Message for Fresh<'_> {
    fn client(&self) -> &TcpStream {
        self.0
    }

    fn drain(&mut self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        // Nothing has been read, so there is no rest of it.
        Box::pin(std::future::ready(Ok(())))
    }

    fn swallow(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut size = ReadSize::new(None);
        Box::pin(poll_fn(move |cx| {
            loop {
                match ready!(poll_read(cx, self.0, &mut size, |_, bytes| bytes.len())) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                }
            }
        }))
    }
}
