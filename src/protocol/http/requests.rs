//! Frames requests, pipelined or not.

use httparse::Request;

use super::Expect;
use super::body::Body;
use super::head::{self, Coding, Fields, Search};
use crate::protocol::{Expect as AnyExpect, Step};

/// Frames what the client sends.
#[derive(Debug, Default)]
pub struct Requests {
    search: Search,
    /// The rest of the current body.
    body: Option<Body>,
    /// Whether the last request asked for another protocol or a tunnel.
    leaves_http: bool,
}

/// What a request's head says about what follows it.
struct Head {
    expect: Expect,
    body: Body,
    leaves_http: bool,
}

impl Requests {
    /// Frames requests whose heads have at most `max_head` bytes. The default is [`MAX_HEAD`](crate::protocol::MAX_HEAD).
    #[must_use]
    pub fn with_max_head(max_head: usize) -> Self {
        Self { search: Search::new(max_head), ..Self::default() }
    }

    /// The next step; `open` is true while a call waits for its reply. Bytes after CONNECT or an upgrade request wait
    /// for the reply, which decides whether they are HTTP.
    pub fn step(&mut self, bytes: &[u8], open: bool) -> Step {
        if let Some(body) = &mut self.body {
            return match body.take(bytes) {
                Ok((len, left)) => {
                    self.body.take_if(|_| left == Some(0));
                    Step::Part { len, left }
                }
                Err(why) => Step::Opaque(why),
            };
        }
        if self.leaves_http && open {
            return Step::Wait;
        }
        match bytes {
            [b'\r' | b'\n', ..] => blank_lines(bytes),
            _ => self.head(bytes),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Step {
        if bytes.starts_with(b"PRI * HTTP/2.0") {
            return Step::Opaque("HTTP/2"); // RFC 9113, section 3.4
        }
        match self.search.find(bytes, |bytes| head::request(bytes, read)) {
            Ok(Some((head, Head { expect, mut body, leaves_http }))) => {
                // If the first byte of the body is invalid, the next step returns the error.
                let (len, left) = body.take(&bytes[head..]).unwrap_or((0, None));
                self.body = (left != Some(0)).then_some(body);
                self.leaves_http = leaves_http;
                Step::Call { len: head + len, head, left, expect: AnyExpect::Http(expect) }
            }
            Ok(None) => Step::More,
            Err(why) => Step::Opaque(why),
        }
    }
}

/// Passes blank lines before a request, which old clients send after a body (RFC 9112, section 2.2).
fn blank_lines(bytes: &[u8]) -> Step {
    let mut rest = bytes;
    while let [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] = rest {
        rest = behind;
    }
    match (bytes.len() - rest.len(), rest) {
        (0, [b'\r']) => Step::More,
        (0, _) => Step::Opaque("a lone carriage return"),
        (len, _) => Step::Pass(len),
    }
}

fn read(request: &Request) -> Result<Head, &'static str> {
    let Fields { length, coding, upgrade } = Fields::read(request.version, request.headers)?;
    let body = match (coding, length) {
        (Coding::None, length) => Body::Length(length.unwrap_or(0)),
        (Coding::Chunked, _) => Body::CHUNKED,
        (Coding::Compressed | Coding::Unknown, _) => return Err("a request whose last transfer coding is not chunked"),
    };
    let expect = match request.method {
        Some("HEAD") => Expect::Head,
        Some("CONNECT") if body == Body::NONE => Expect::Connect,
        // Ambiguous: one reader takes the bytes for the tunnel, another for a body (RFC 9110, section 9.3.6).
        Some("CONNECT") => return Err("CONNECT with a body"),
        // Methods are case-sensitive (RFC 9110, section 9.1), but not every backend treats them so.
        Some(other) if ["head", "connect"].iter().any(|name| other.eq_ignore_ascii_case(name)) => {
            return Err("HEAD or CONNECT with lower-case letters");
        }
        _ => Expect::Other,
    };
    Ok(Head { expect, body, leaves_http: upgrade || expect == Expect::Connect })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MAX_HEAD;

    fn call(len: usize, head: usize, left: Option<u64>, expect: Expect) -> Step {
        Step::Call { len, head, left, expect: AnyExpect::Http(expect) }
    }

    fn first(request: &str) -> Step {
        Requests::default().step(request.as_bytes(), false)
    }

    #[test]
    fn a_small_request_is_one_call() {
        let head = "POST / HTTP/1.1\r\nhost: x\r\n";
        for (fields, body, expect) in [
            ("\r\n", "", Expect::Other),
            ("Content-Length: 5\r\n\r\n", "hello", Expect::Other),
            ("content-length: 5\r\nCONTENT-LENGTH: 05, 5\r\n\r\n", "hello", Expect::Other),
            ("Transfer-Encoding: gzip, Chunked\r\n\r\n", "5\r\nhello\r\n0\r\nX: y\r\n\r\n", Expect::Other),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", Expect::Other),
            ("Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", Expect::Other),
            ("X-Bare-Line-Ends: yes\n\n", "", Expect::Other),
        ] {
            let head_len = head.len() + fields.len();
            let request = [head, fields, body, "GET /more"].concat();
            assert_eq!(first(&request), call(head_len + body.len(), head_len, Some(0), expect), "{fields:?}");
        }
        assert_eq!(first("HEAD / HTTP/1.0\r\n\r\n"), call(19, 19, Some(0), Expect::Head));
    }

    #[test]
    fn a_target_may_have_any_encoding() {
        for target in [&b"/caf\xe9"[..], b"/\xf0\x9f\x92\xa5?q=\xff", "/\u{e9}".as_bytes()] {
            let request = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            for cut in 1..request.len() {
                let mut requests = Requests::default();
                assert_eq!(requests.step(&request[..cut], false), Step::More, "{cut}");
                let len = request.len();
                assert_eq!(requests.step(&request, false), call(len, len, Some(0), Expect::Other));
            }
        }
        assert!(matches!(first("G\u{e9}T / HTTP/1.1\r\n\r\n"), Step::Opaque(_)), "a method has no such letters");
    }

    #[test]
    fn bodies_stream() {
        let mut requests = Requests::default();
        let head = b"PUT / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n";
        assert_eq!(requests.step(head, false), call(head.len(), head.len(), Some(u64::MAX), Expect::Other));
        assert_eq!(requests.step(b"GET / HTTP/1.1\r\n\r\n", true), Step::Part { len: 18, left: Some(u64::MAX - 18) });

        let mut requests = Requests::default();
        let head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(requests.step(head, false), call(head.len(), head.len(), None, Expect::Other));
        assert_eq!(requests.step(b"5\r\nhel", true), Step::Part { len: 6, left: None });
        assert_eq!(requests.step(b"lo\r\n0\r\n\r\n\r\n", true), Step::Part { len: 9, left: Some(0) });
        assert_eq!(requests.step(b"\r\n", true), Step::Pass(2));
    }

    #[test]
    fn bytes_after_connect_or_upgrade_wait_for_the_reply() {
        for request in [
            "CONNECT x:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nUPGRADE: h2c\r\nContent-Length: 2\r\n\r\nhi",
        ] {
            let mut requests = Requests::default();
            assert!(matches!(requests.step(request.as_bytes(), true), Step::Call { left: Some(0), .. }), "{request:?}");
            for bytes in ["\r\n", "GET / HTTP/1.1\r\n\r\n", "\0"] {
                assert_eq!(requests.step(bytes.as_bytes(), true), Step::Wait, "{request:?}");
            }
            let next = b"GET / HTTP/1.1\r\n\r\n";
            assert_eq!(requests.step(next, false), call(18, 18, Some(0), Expect::Other), "{request:?}");
            assert_eq!(requests.step(next, true), call(18, 18, Some(0), Expect::Other), "{request:?}");
        }
    }

    #[test]
    fn an_upgrade_with_a_body_waits_after_the_body() {
        let mut requests = Requests::default();
        let head = b"POST / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(requests.step(head, false), call(head.len(), head.len(), Some(2), Expect::Other));
        assert_eq!(requests.step(b"hi!", true), Step::Part { len: 2, left: Some(0) });
        assert_eq!(requests.step(b"!", true), Step::Wait);
    }

    #[test]
    fn blank_lines_before_a_request_belong_to_no_call() {
        assert_eq!(first("\r\n\n\r\nGET"), Step::Pass(5));
        assert_eq!(first("\n\r"), Step::Pass(1));
        assert_eq!(first("\r"), Step::More);
        assert!(matches!(first("\rGET"), Step::Opaque(_)));
    }

    #[test]
    fn ambiguous_requests_are_opaque() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 6",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 5,",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Content-Length: x\r\nTransfer-Encoding: chunked",
            "Content-Length : 5",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding: ,",
            "X: y\r\n Transfer-Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked",
        ] {
            let request = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert!(matches!(first(&request), Step::Opaque(_)), "{fields:?}");
        }
        for request in [
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "CONNECT x:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "CONNECT x:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "head / HTTP/1.1\r\n\r\n",
            "Connect x:1 HTTP/1.1\r\n\r\n",
            "GET /\r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/2.0\r\n",
            "PRI * HTTP/2.0",
            "HELLO\r\n",
            "\x16\x03\x01",
        ] {
            assert!(matches!(first(request), Step::Opaque(_)), "{request:?}");
        }
    }

    #[test]
    fn heads_are_limited() {
        let head = |len: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(len - 23));
        assert_eq!(first(&head(MAX_HEAD)), call(MAX_HEAD, MAX_HEAD, Some(0), Expect::Other));
        assert!(matches!(first(&head(MAX_HEAD + 1)), Step::Opaque(_)));

        let mut requests = Requests::default();
        let long = head(MAX_HEAD + 1);
        assert_eq!(requests.step(&long.as_bytes()[..MAX_HEAD], false), Step::More);
        assert!(matches!(requests.step(long.as_bytes(), false), Step::Opaque(_)));

        let mut requests = Requests::with_max_head(MAX_HEAD + 1);
        assert!(matches!(requests.step(long.as_bytes(), false), Step::Call { .. }));
        let mut requests = Requests::with_max_head(1024);
        assert_eq!(requests.step(&long.as_bytes()[..1024], false), Step::More);
        assert!(matches!(requests.step(&long.as_bytes()[..1025], false), Step::Opaque(_)));

        let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert!(matches!(first(&fields(512)), Step::Call { .. }));
        assert!(matches!(first(&fields(513)), Step::Opaque(_)));
    }
}
