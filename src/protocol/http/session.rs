//! Which messages leave something behind on their connection, or end it.

use httparse::{Header, Request};

use super::answer::persists;
use super::head;
use crate::protocol::Session;

/// Credentials that hold for the request that carries them. Others, such as NTLM and Negotiate, log the connection in (RFC
/// 4559, section 6).
const OF_A_REQUEST: [&str; 5] = ["basic", "bearer", "digest", "token", "aws4-hmac-sha256"];

/// What is left behind after the request with this head.
pub(in crate::protocol) fn session_after_request(head: &[u8]) -> Session {
    match head::request(head, |request| Ok(leaves_nothing(request))) {
        Ok(Some((_, true))) => Session::Clean,
        _ => Session::Kept,
    }
}

fn leaves_nothing(request: &Request) -> bool {
    let is_connect = request.method.is_some_and(|method| method.eq_ignore_ascii_case("CONNECT"));
    persists(request.version, request.headers) && !is_connect && !request.headers.iter().any(leaves_something)
}

fn leaves_something(field: &Header) -> bool {
    let is = |name| field.name.eq_ignore_ascii_case(name);
    let scheme = || field.value.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_known = |scheme: &[u8]| OF_A_REQUEST.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    is("upgrade") || (is("authorization") || is("proxy-authorization")) && !is_known(scheme())
}

/// Whether the backend keeps its connection open after the response that begins with these bytes.
pub(in crate::protocol) fn reply_persists(bytes: &[u8]) -> bool {
    let read = head::response(bytes, |response| Ok(persists(response.version, response.headers)));
    matches!(read, Ok(Some((_, true))))
}
