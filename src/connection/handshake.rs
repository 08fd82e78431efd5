//! TLS with the client, before its first call.

use std::io::{self, ErrorKind};

use super::lifecycle::dial;
use crate::net::stream::Stream;
use crate::net::tls::{Alpn, ClientTls, Hello, TlsFault, TlsStream};
use crate::protocol::{Protocol, http2};
use crate::pump::{ConnectionContext, Outcome};

/// HTTP/1, as ALPN calls it (RFC 7301, section 6), the one to prefer first.
const HTTP: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// What a backend is offered on behalf of a client.
pub(super) fn offer(context: &ConnectionContext<'_>, client: &Stream) -> Vec<Alpn> {
    match client.alpn() {
        Some(agreed) => vec![agreed],
        None if context.settings.protocol == Protocol::Grpc => vec![http2::ALPN.to_vec(), HTTP[0].to_vec()],
        None if context.settings.protocol.is_http() => vec![HTTP[0].to_vec()],
        None => Vec::new(),
    }
}

/// Speaks TLS with a client, if that is expected to; `fault` makes it go wrong. The backend, if that had to be asked what it
/// speaks.
pub(super) async fn handshake(
    context: &ConnectionContext<'_>,
    client: &Stream,
    fault: Option<TlsFault>,
) -> Result<Option<Stream>, Outcome> {
    let (Some(tls), Stream::Tls(stream)) = (&context.settings.tls, client) else { return Ok(None) };
    let answered = tokio::select! {
        answered = answer(context, tls, client, stream, fault) => answered?,
        () = context.stopped_quietly() => return Err(Outcome::Stopped),
    };
    match answered {
        Ok(backend) => Ok(backend),
        Err(error) => {
            if fault.is_none() {
                context.handshake_failed(&error);
            }
            // In order, so that the client reads why.
            Err(Outcome::Close)
        }
    }
}

/// The backend, if it was dialled, or why there is no session.
async fn answer(
    context: &ConnectionContext<'_>,
    tls: &ClientTls,
    client: &Stream,
    stream: &TlsStream,
    fault: Option<TlsFault>,
) -> Result<io::Result<Option<Stream>>, Outcome> {
    let hello = match stream.hello().await {
        Ok(hello) => hello,
        // It has connected and left, as a health check does.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Outcome::ClientLeft),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Outcome::ClientReset(error)),
        Err(error) => {
            // It did not come as far as the fault.
            context.handshake_failed(&error);
            return Err(Outcome::Close);
        }
    };
    let protocol = context.settings.protocol;
    if let Some(fault) = fault {
        let alpn = guess(protocol, &hello);
        return match fault {
            TlsFault::HandshakeReset => Err(Outcome::Reset),
            TlsFault::HandshakeStall => {
                client.peer().left().await;
                Err(Outcome::ClientLeft)
            }
            fault => Ok(tls.answer_wrongly(stream, hello, alpn, fault).await.map(|()| None)),
        };
    }
    let asked = ask(context, &hello);
    let backend = if asked.is_empty() { None } else { Some(dial(context, client, &asked).await?) };
    let alpn = backend.as_ref().map_or_else(|| guess(protocol, &hello), Stream::alpn);
    Ok(tls.answer(stream, hello, alpn).await.map(|()| backend))
}

/// What the backend is asked to choose from before the client is answered; nothing if that is not to be known, or cannot be.
fn ask(context: &ConnectionContext<'_>, hello: &Hello) -> Vec<Alpn> {
    let protocol = context.settings.protocol;
    if !context.settings.backend.has_tls() || protocol.is_http() && !offers(hello, http2::ALPN) {
        return Vec::new();
    }
    let is_ours = |alpn: &&Alpn| !protocol.is_http() || *alpn == http2::ALPN || HTTP.contains(&alpn.as_slice());
    hello.alpn.iter().filter(is_ours).cloned().collect()
}

fn offers(hello: &Hello, alpn: &[u8]) -> bool {
    hello.alpn.iter().any(|offered| offered == alpn)
}

/// What a client is told where the backend cannot be asked what it speaks: with `grpc` HTTP/2, with `http` HTTP/1 if it has a choice.
/// One that speaks something else only is refused.
fn guess(protocol: Protocol, hello: &Hello) -> Option<Alpn> {
    let http = HTTP.into_iter().find(|http| offers(hello, http));
    let http2 = Some(http2::ALPN).filter(|http2| offers(hello, http2));
    let alpn = match (protocol, hello.alpn.as_slice()) {
        (_, []) => None,
        (Protocol::Grpc, _) => http2.or(http).or(Some(HTTP[0])),
        (Protocol::Http, _) => http.or(http2).or(Some(HTTP[0])),
        (_, [only]) => Some(only.as_slice()),
        _ => http,
    };
    alpn.map(<[u8]>::to_vec)
}
