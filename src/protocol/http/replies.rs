//! Frames responses, which come in the order of their requests.

use httparse::Response;

use super::Expect;
use super::body::Body;
use super::head::{self, Coding, Fields, Search};
use crate::protocol::{Expect as AnyExpect, Step};

/// Frames what the backend sends.
#[derive(Debug, Default)]
pub struct Replies {
    search: Search,
    /// The rest of the current body.
    body: Option<Body>,
}

/// What a response's head says.
enum Head {
    /// An interim response, sent before the reply (RFC 9110, section 15.2).
    Interim,
    /// The reply, with this body.
    Final(Body),
}

impl Replies {
    /// Frames responses whose heads have at most `max_head` bytes. The default is [`MAX_HEAD`](crate::protocol::MAX_HEAD).
    #[must_use]
    pub fn with_max_head(max_head: usize) -> Self {
        Self { search: Search::new(max_head), ..Self::default() }
    }

    /// The next step; `expect` belongs to the oldest open call, `None` if no call is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Step {
        if let Some(body) = &mut self.body {
            return match body.take(bytes) {
                Ok((len, left)) => {
                    self.body.take_if(|_| left == Some(0));
                    Step::Part { len, left }
                }
                Err(why) => Step::Opaque(why),
            };
        }
        match expect {
            Some(AnyExpect::Http(expect)) => self.head(bytes, expect),
            Some(_) => self.head(bytes, Expect::Other),
            None => Step::Opaque("a reply while no request is open"),
        }
    }

    /// Whether the bytes passed on end inside a response.
    pub(in crate::protocol) fn is_within(&self) -> bool {
        self.body.is_some()
    }

    /// Whether the current response ends only when its connection ends.
    pub(in crate::protocol) fn ends_with_connection(&self) -> bool {
        matches!(self.body, Some(Body::UntilClose))
    }

    fn head(&mut self, bytes: &[u8], expect: Expect) -> Step {
        // Checked before a line is complete: waiting for the line end of another protocol could take forever.
        if !bytes.iter().zip(b"HTTP/1.").all(|(byte, wanted)| byte == wanted) {
            return Step::Opaque("not HTTP/1.0 or HTTP/1.1");
        }
        match self.search.find(bytes, |bytes| head::response(bytes, |response| read(response, expect))) {
            Ok(Some((head, Head::Interim))) => Step::Pass(head),
            Ok(Some((head, Head::Final(mut body)))) => {
                // If the first byte of the body is invalid, the next step returns the error.
                let (len, left) = body.take(&bytes[head..]).unwrap_or((0, None));
                self.body = (left != Some(0)).then_some(body);
                Step::Part { len: head + len, left }
            }
            Ok(None) => Step::More,
            Err(why) => Step::Opaque(why),
        }
    }
}

/// Applies the rules of RFC 9112, section 6.3, in their order.
fn read(response: &Response, expect: Expect) -> Result<Head, &'static str> {
    match (response.code, expect) {
        (Some(101), _) => return Err("a switch to another protocol"),
        (Some(100..=199), _) => return Ok(Head::Interim),
        (Some(200..=299), Expect::Connect) => return Err("a CONNECT tunnel"),
        (Some(204 | 304), _) | (_, Expect::Head) => return Ok(Head::Final(Body::NONE)),
        _ => {}
    }
    let Fields { length, coding, .. } = Fields::read(response.version, response.headers)?;
    Ok(Head::Final(match (coding, length) {
        (Coding::Chunked, _) => Body::CHUNKED,
        (Coding::None, Some(length)) => Body::Length(length),
        (Coding::None, None) | (Coding::Compressed, _) => Body::UntilClose,
        (Coding::Unknown, _) => return Err("an unknown transfer coding"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(reply: &str, expect: Expect) -> Step {
        Replies::default().step(reply.as_bytes(), Some(AnyExpect::Http(expect)))
    }

    #[test]
    fn a_small_reply_is_one_part() {
        for (head, body, expect) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", Expect::Other),
            ("HTTP/1.0 200\ncontent-length: 5\n\n", "hello", Expect::Other),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n0\r\nA: b\r\n\r\n", Expect::Other),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", Expect::Other),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", Expect::Other),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", Expect::Other),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", "", Expect::Other),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", Expect::Head),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", Expect::Head),
            ("HTTP/1.1 200 OK\r\n\r\n", "", Expect::Head),
            ("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\n", "no", Expect::Connect),
        ] {
            let len = head.len() + body.len();
            assert_eq!(first(&[head, body, "HTTP"].concat(), expect), Step::Part { len, left: Some(0) }, "{head:?}");
        }
    }

    #[test]
    fn odd_fields_that_do_not_delimit_the_body_are_framed() {
        for fields in
            ["X: a\r\n b\r\n\tc\r\n", "X : a\r\n", "X: Content-Length : 9\r\n", "X-Content-Length: 1\r\nY:\r\n a\r\n"]
        {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n");
            for cut in 1..head.len() {
                let mut replies = Replies::default();
                let expect = Some(AnyExpect::Http(Expect::Other));
                assert_eq!(replies.step(&head.as_bytes()[..cut], expect), Step::More, "{fields:?} {cut}");
                let whole = format!("{head}ok");
                let step = Step::Part { len: whole.len(), left: Some(0) };
                assert_eq!(replies.step(whole.as_bytes(), expect), step, "{fields:?} {cut}");
            }
        }
        for fields in [
            "Content-Length : 2\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "X: a\r\n Content-Length: 2\r\n",
            "X: a\r\n transfer-encoding : chunked\r\n",
            "Content-Length:\r\n 2\r\n",
            "Transfer-Encoding: gzip,\r\n chunked\r\n",
        ] {
            let reply = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert!(matches!(first(&reply, Expect::Other), Step::Opaque(_)), "{fields:?}");
        }
    }

    #[test]
    fn a_reply_without_a_length_ends_with_the_connection() {
        for head in
            ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n"]
        {
            let mut replies = Replies::default();
            let expect = Some(AnyExpect::Http(Expect::Other));
            assert_eq!(replies.step(head.as_bytes(), expect), Step::Part { len: head.len(), left: None }, "{head:?}");
            for _ in 0..3 {
                assert_eq!(replies.step(b"HTTP/1.1 200 OK\r\n\r\n", expect), Step::Part { len: 19, left: None });
            }
        }
    }

    #[test]
    fn interim_responses_belong_to_no_call() {
        for interim in
            ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\n"]
        {
            for expect in [Expect::Other, Expect::Head, Expect::Connect] {
                let bytes = [interim, "HTTP/1.1 200 OK\r\n\r\n"].concat();
                assert_eq!(first(&bytes, expect), Step::Pass(interim.len()));
            }
        }
    }

    #[test]
    fn a_reply_that_leaves_http_is_opaque_from_its_first_byte() {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        for expect in [Expect::Other, Expect::Head, Expect::Connect] {
            assert!(matches!(first(switch, expect), Step::Opaque(_)), "{expect:?}");
        }
        for code in [200, 204, 299] {
            let agreed = format!("HTTP/1.1 {code} OK\r\n\r\n");
            assert!(matches!(first(&agreed, Expect::Connect), Step::Opaque(_)), "{code}");
        }
        assert_eq!(first(&switch[..20], Expect::Other), Step::More);
    }

    #[test]
    fn a_reply_without_a_request_is_opaque() {
        let timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
        for bytes in [&timeout[..], &timeout[..1], b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"] {
            assert!(matches!(Replies::default().step(bytes, None), Step::Opaque(_)));
        }
    }

    #[test]
    fn ambiguous_replies_are_opaque() {
        for reply in [
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "SSH-2.0",
            "HTTP/2",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5;\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(matches!(first(reply, Expect::Other), Step::Opaque(_)), "{reply:?}");
        }
    }

    #[test]
    fn the_longest_head_can_be_set() {
        let reply = format!("HTTP/1.1 204 No Content\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        let expect = Some(AnyExpect::Http(Expect::Other));
        assert!(matches!(Replies::default().step(reply.as_bytes(), expect), Step::Opaque(_)));
        let part = Step::Part { len: reply.len(), left: Some(0) };
        assert_eq!(Replies::with_max_head(reply.len()).step(reply.as_bytes(), expect), part);
    }
}
