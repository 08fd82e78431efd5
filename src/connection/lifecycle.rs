//! One client's life: its TLS handshake, its first turn, the dial, the calls, the end.

use std::io;
use std::pin::{Pin, pin};
use std::time::Instant;

use bytes::Bytes;

use super::close::{finish, leave};
use super::first_turn::first_turn;
use super::handshake::{handshake, offer};
use super::table::ConnectionHandle;
use crate::handler::Scope;
use crate::net::stream::Stream;
use crate::net::tls::Alpn;
use crate::plan::{ConnectionDraws, Foreseen};
use crate::protocol::{Protocol, http2};
use crate::pump::{
    Begin, ConnectionContext, ConnectionSettings, Copied, FirstCall, Framing, Outcome, ProxyContext, State, copy,
    framed, http2,
};

/// Serves a client from its first byte to its last.
pub(crate) fn serve<'c>(
    client: &'c mut Stream,
    handle: &'c ConnectionHandle,
    proxy: &'c ProxyContext,
    settings: &'c ConnectionSettings,
) -> impl Future<Output = ()> + 'c {
    let context = ConnectionContext::new(proxy, settings, &handle.activity).of(handle.client.map(|client| client.ip()));
    async move {
        let outcome = traffic(&context, handle, client).await;
        finish(outcome, client, &context).await;
    }
}

/// All that passes between the client and its backend. Each phase is boxed, so that a connection is only as large as what
/// it does, and ends where somebody cuts it.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps its arguments twice")]
fn traffic(
    context: &ConnectionContext<'_>,
    handle: &ConnectionHandle,
    client: &mut Stream,
) -> impl Future<Output = Outcome> {
    async move {
        let mut backend = None;
        let outcome = 'phases: {
            let (dialled, first, mut draws) = match handle.until_cut(Box::pin(begin(context, client))).await {
                Ok(Ok(begun)) => begun,
                Ok(Err(outcome)) | Err(outcome) => break 'phases outcome,
            };
            if context.settings.protocol.is_http() && speaks_http2(client) {
                let (begin, backend) =
                    (Begin { draws, first, read: Bytes::new(), said: Bytes::new() }, backend.insert(dialled));
                let http2 = Box::pin(http2(context, begin, client, backend));
                break 'phases handle.until_cut(http2).await.unwrap_or_else(|outcome| outcome);
            }
            let plan = context.proxy.plan.load_full();
            let framing = if context.settings.copies(&plan) {
                let copy = copy(context, &plan, first.as_ref(), &mut draws, client, backend.insert(dialled));
                match handle.until_cut(Box::pin(copy)).await {
                    Ok(Copied::Replanned(framing)) => framing,
                    Ok(Copied::Ended(outcome)) | Err(outcome) => break 'phases outcome,
                }
            } else {
                backend = Some(dialled);
                Box::new(Framing::new(context.settings, first, draws))
            };
            drop(plan);
            let calls = Box::pin(calls(context, framing, client, &mut backend));
            handle.until_cut(calls).await.unwrap_or_else(|outcome| outcome)
        };
        if let Some(backend) = backend {
            leave(backend, &outcome, context.settings);
        }
        outcome
    }
}

/// The TLS handshake, the first call's turn, and the dial.
async fn begin(
    context: &ConnectionContext<'_>,
    client: &mut Stream,
) -> Result<(Stream, Option<FirstCall>, ConnectionDraws), Outcome> {
    let mut draws = ConnectionDraws::default();
    let mut turn = drawn_first(context, &mut draws);
    let asked = if client.is_tls() { Box::pin(secure(context, &mut turn, &mut draws, client)).await? } else { None };
    // What happens to a stream is decided once it is here, and happens to it alone.
    let first = match turn {
        _ if is_of_streams(context.settings.protocol, client) => None,
        DrawnFirst::Certain(mut first) => {
            if first.handler.scope == Scope::Calls {
                first.taken = Box::pin(first_turn(context, &first.handler, client)).await?;
            }
            Some(first)
        }
        DrawnFirst::Counted => Box::pin(counted_turn(context, Scope::Calls, &mut draws, client)).await?,
        DrawnFirst::WithHead => None,
    };
    let backend = match asked {
        Some(backend) => backend,
        None => dial(context, client, &offer(context, client)).await?,
    };
    Ok((backend, first, draws))
}

/// Whether calls are streams of HTTP/2, as far as that is known before the first.
fn is_of_streams(protocol: Protocol, client: &Stream) -> bool {
    protocol == Protocol::Grpc || protocol.is_http() && speaks_http2(client)
}

/// Whether both sides have agreed on HTTP/2 within TLS.
fn speaks_http2(stream: &Stream) -> bool {
    stream.alpn().is_some_and(|alpn| alpn == http2::ALPN)
}

/// The turn of a first call's handler that acts in the TLS handshake, and the handshake. The backend, if that was asked what it
/// speaks.
async fn secure(
    context: &ConnectionContext<'_>,
    turn: &mut DrawnFirst,
    draws: &mut ConnectionDraws,
    client: &mut Stream,
) -> Result<Option<Stream>, Outcome> {
    match turn {
        DrawnFirst::Certain(first) if first.handler.scope == Scope::Handshake => {
            first.taken = first_turn(context, &first.handler, client).await?;
        }
        DrawnFirst::Counted => {
            if let Some(first) = counted_turn(context, Scope::Handshake, draws, client).await? {
                *turn = DrawnFirst::Certain(first);
            }
        }
        DrawnFirst::Certain(_) | DrawnFirst::WithHead => {}
    }
    let taken = if let DrawnFirst::Certain(first) = turn { first.taken.as_ref() } else { None };
    handshake(context, client, taken.and_then(|taken| taken.fault)).await
}

/// The handler of a first call of which nothing is here.
enum DrawnFirst {
    Certain(FirstCall),
    /// It depends on what rules have counted.
    Counted,
    /// A rule has to see its head.
    WithHead,
}

fn drawn_first(context: &ConnectionContext<'_>, draws: &mut ConnectionDraws) -> DrawnFirst {
    let plan = context.proxy.plan.load();
    match plan.foresee(&context.facts(None, 1), draws) {
        Foreseen::Certain(handler) => DrawnFirst::Certain(FirstCall::new(&plan, handler)),
        Foreseen::Counts => DrawnFirst::Counted,
        Foreseen::Head => DrawnFirst::WithHead,
    }
}

/// The turn of a first call that rules count, if its handler has this scope: unless that takes it now, it is drawn when its
/// request is here.
async fn counted_turn(
    context: &ConnectionContext<'_>,
    scope: Scope,
    draws: &mut ConnectionDraws,
    client: &mut Stream,
) -> Result<Option<FirstCall>, Outcome> {
    let plan = context.proxy.plan.load_full();
    let Some(reserved) = plan.reserve(&context.facts(None, 1), draws) else { return Ok(None) };
    let handler = reserved.handler.clone();
    if handler.scope == scope
        && let Some(taken) = first_turn(context, &handler, client).await?
    {
        return Ok(Some(FirstCall { taken: Some(taken), ..FirstCall::new(&plan, &handler) }));
    }
    // Nobody has waited meanwhile.
    plan.give_back(reserved, draws);
    Ok(None)
}

/// A connection of calls. Its client may outlive the backend's connection.
async fn calls(
    context: &ConnectionContext<'_>,
    mut framing: Box<Framing>,
    client: &mut Stream,
    backend: &mut Option<Stream>,
) -> Outcome {
    loop {
        let stream = match backend {
            Some(stream) => stream,
            None => match Box::pin(dial(context, client, &offer(context, client))).await {
                Ok(dialled) => backend.insert(dialled),
                Err(outcome) => return outcome,
            },
        };
        match framed(context, &mut framing, client, stream).await {
            Outcome::BackendLeft => *backend = None,
            Outcome::ClientLeft => return client.take_error().map_or(Outcome::ClientLeft, Outcome::ClientReset),
            Outcome::Http2 => return Box::pin(begin_http2(context, framing.into_http2(), client, backend)).await,
            outcome => return outcome,
        }
        if !framing.has_call() {
            let holds_head = framing.holds_head();
            tokio::select! {
                next = client.has_more() => match next {
                    Ok(false) if !holds_head => return Outcome::Done,
                    Ok(_) => {}
                    Err(error) => return Outcome::ClientReset(error),
                },
                () = tokio::time::sleep(context.settings.head_timeout), if holds_head => framing.give_up_head(),
                () = context.proxy.shutdown.begun() => return Outcome::Stopped,
            }
        }
    }
}

/// Goes on with HTTP/2 where the client has begun it. A backend that has agreed on something else, or that another client may have
/// used, is dialled anew.
async fn begin_http2(
    context: &ConnectionContext<'_>,
    mut begin: Begin,
    client: &mut Stream,
    backend: &mut Option<Stream>,
) -> Outcome {
    let own = context.proxy.listening.load_full();
    let is_fit = |stream: &Stream| !stream.is_tls() || speaks_http2(stream);
    let fit = backend.take().filter(|stream| is_fit(stream) && !context.settings.reuse_socket);
    let dialled = if let Some(stream) = fit {
        Ok(stream)
    } else {
        let alpn = [http2::ALPN.to_vec()];
        begin.said = Bytes::new();
        let mut connect = Box::pin(context.settings.backend.connect_anew(&own, &alpn));
        reach(context, client, connect.as_mut()).await
    };
    match dialled {
        Ok(stream) => http2(context, begin, client, backend.insert(stream)).await,
        Err(outcome) => outcome,
    }
}

/// Dials the backend, for as long as the client is there. Within TLS it is offered the protocols `alpn`.
pub(super) async fn dial(context: &ConnectionContext<'_>, client: &Stream, alpn: &[Alpn]) -> Result<Stream, Outcome> {
    let own = context.proxy.listening.load_full();
    // Pinned here, as an `async fn` keeps its arguments twice.
    let connect = pin!(context.settings.backend.connect(&own, alpn));
    reach(context, client, connect).await
}

async fn reach(
    context: &ConnectionContext<'_>,
    client: &Stream,
    connect: Pin<&mut impl Future<Output = io::Result<Stream>>>,
) -> Result<Stream, Outcome> {
    let ConnectionContext { proxy, activity, .. } = context;
    activity.set_state(State::Dialling);
    let begun = Instant::now();
    let failed = tokio::select! {
        // A backend that has been reached is to learn how its client left.
        biased;
        dialled = connect => match dialled {
            Ok(backend) => {
                activity.set_state(State::Open);
                proxy.counters.dial.add(begun.elapsed());
                return Ok(backend);
            }
            Err(error) => error,
        },
        () = client.peer().left() => return Err(Outcome::ClientLeft),
        () = proxy.shutdown.grace_over() => return Err(Outcome::CutOff),
    };
    Err(context.unreachable(failed))
}
