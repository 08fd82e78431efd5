//! Heads of HTTP/2 in the form of HTTP/1.1, which rules, handlers and events read.

use ::http::{HeaderMap, Method, header, request, response};
use bytes::Bytes;

/// The head of a request: `POST /pkg.Service/Method HTTP/1.1`, the authority as the field `host`, the fields, and a blank line.
pub(crate) fn of_request(request: &request::Parts) -> Bytes {
    let request::Parts { method, uri, headers, .. } = request;
    let mut head = Vec::with_capacity(256);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = match uri.path_and_query() {
        // The target of CONNECT is its authority (RFC 9113, section 8.5).
        None if *method == Method::CONNECT => authority,
        path => path.map_or("/", |path| path.as_str()),
    };
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    if !authority.is_empty() && !headers.contains_key(header::HOST) {
        field(&mut head, b"host", authority.as_bytes());
    }
    end(head, headers)
}

/// The head of a response.
pub(crate) fn of_response(response: &response::Parts) -> Bytes {
    let mut head = format!("HTTP/1.1 {} \r\n", response.status.as_str()).into_bytes();
    head.reserve(256);
    end(head, &response.headers)
}

fn end(mut head: Vec<u8>, fields: &HeaderMap) -> Bytes {
    for (name, value) in fields {
        field(&mut head, name.as_str().as_bytes(), value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

fn field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use ::http::{Request, Response};

    use super::*;
    use crate::protocol::Protocol;

    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Bytes {
        let request = Request::builder().method(method).uri(uri);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        of_request(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_is_shown_as_one_of_http_1() {
        let post = head(
            "POST",
            "https://pay.local:50051/pkg.Pay/Charge?x=1",
            &[("te", "trailers"), ("x-a", "1"), ("x-a", "2")],
        );
        let expected =
            "POST /pkg.Pay/Charge?x=1 HTTP/1.1\r\nhost: pay.local:50051\r\nte: trailers\r\nx-a: 1\r\nx-a: 2\r\n\r\n";
        assert_eq!(str::from_utf8(&post), Ok(expected));
        assert_eq!(Protocol::Http.words(&post), (&b"POST"[..], &b"/pkg.Pay/Charge"[..]));
        assert_eq!(Protocol::Http.header(&post, "x-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(Protocol::Http.query(&post, "x").collect::<Vec<_>>(), [b"1"]);
    }

    #[test]
    fn every_request_has_a_target_and_one_host() {
        for (method, uri, fields, expected) in [
            ("CONNECT", "a:443", &[][..], "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"),
            ("OPTIONS", "*", &[], "OPTIONS * HTTP/1.1\r\n\r\n"),
            ("GET", "http://a", &[("host", "b")], "GET / HTTP/1.1\r\nhost: b\r\n\r\n"),
        ] {
            assert_eq!(str::from_utf8(&head(method, uri, fields)), Ok(expected));
        }
    }

    #[test]
    fn a_response_is_shown_as_one_of_http_1() {
        let response = Response::builder().status(302).header("location", "/a").body(()).unwrap().into_parts().0;
        assert_eq!(&of_response(&response)[..], b"HTTP/1.1 302 \r\nlocation: /a\r\n\r\n");
    }
}
