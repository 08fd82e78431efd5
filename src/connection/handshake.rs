//! TLS with the client, before its first call.

use std::io::{self, ErrorKind};

use super::lifecycle::dial;
use crate::net::stream::Stream;
use crate::net::tls::{Alpn, ClientTls, Hello, TlsFault, TlsStream};
use crate::protocol::Protocol;
use crate::pump::{ConnectionContext, Outcome};

/// HTTP/1, as ALPN calls it (RFC 7301, section 6), the one to prefer first.
const HTTP: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// What a backend is offered on behalf of a client.
pub(super) fn offer(context: &ConnectionContext<'_>, client: &Stream) -> Vec<Alpn> {
    match client.alpn() {
        Some(agreed) => vec![agreed],
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
    let is_known = hello.alpn.is_empty() || protocol.is_http();
    let backend = if is_known || !context.settings.backend.has_tls() {
        None
    } else {
        Some(dial(context, client, &hello.alpn).await?)
    };
    let alpn = backend.as_ref().map_or_else(|| guess(protocol, &hello), Stream::alpn);
    Ok(tls.answer(stream, hello, alpn).await.map(|()| backend))
}

/// What a client is told where the backend cannot be asked what it speaks. With `http`, one that speaks something else only is
/// refused.
fn guess(protocol: Protocol, hello: &Hello) -> Option<Alpn> {
    let http = HTTP.iter().find(|http| hello.alpn.iter().any(|alpn| alpn == *http)).map(|http| http.to_vec());
    match hello.alpn.as_slice() {
        [] => None,
        _ if protocol.is_http() => http.or_else(|| Some(HTTP[0].to_vec())),
        [only] => Some(only.clone()),
        _ => http,
    }
}
