//! Responses that the proxy sends in place of the backend.

use std::time::{Duration, SystemTime};

use ::http::StatusCode;
use bytes::Bytes;
use httparse::Header;

use super::head::{self, tokens};

/// The statuses of server errors, from which `error` draws.
pub const FAILURES: [u16; 4] = [500, 501, 502, 503];

/// Tells a waiting client to send its body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The last second of the year 9999, since 1970: an HTTP date has a four-digit year.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// Fields that the program writes itself: they delimit the body, or say whether the connection persists.
const OWN: [&str; 5] = ["content-length", "transfer-encoding", "connection", "trailer", "upgrade"];

/// The statuses of responses without a body.
pub(crate) const WITHOUT_BODY: [u16; 3] = [204, 205, 304];

/// A response in place of the backend's.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The complete response.
    pub bytes: Vec<u8>,
    /// Whether the connection closes after it.
    pub close: bool,
}

/// What a response says. The rest (`Date`, `Content-Length`, whether there is a body, whether the connection persists) follows
/// from its request.
///
/// ```
/// use vaurien::Answer;
/// use vaurien::protocol::http::Response;
///
/// let busy = Response::new(429).header("Retry-After", "2")?.body(r#"{"error": "slow down"}"#);
/// let answer = Answer::response(busy);
/// # drop(answer);
/// # Ok::<(), vaurien::protocol::http::BadField>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: Vec<(String, String)>,
    body: Option<Bytes>,
    /// The type of the body, if that does not show it.
    kind: Option<&'static str>,
}

/// What is wrong with a header field of a [`Response`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// No name of a field.
    #[error("`{0}` is no header name, write `Name: value`")]
    Name(String),
    /// A value with a line end or another control character.
    #[error("the value of `{0}` has a control character")]
    Value(String),
    /// A field that follows from the request and the body.
    #[error("`{0}` is written by vaurien itself")]
    Own(String),
}

impl Response {
    /// With a page that says that vaurien injected it.
    ///
    /// # Panics
    ///
    /// If `status` is not 200 to 599.
    #[must_use]
    pub fn new(status: u16) -> Self {
        assert!((200..600).contains(&status), "{status} is no status of a final response: 200 to 599");
        Self { status, fields: Vec::new(), body: None, kind: None }
    }

    /// With this header field as well. `Date` and `Content-Type` replace the ones that a response has otherwise.
    ///
    /// # Errors
    ///
    /// The name is no token (RFC 9110, section 5.1), the value has control characters, or the field delimits the body.
    pub fn header(self, name: &str, value: &str) -> Result<Self, BadField> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(BadField::Name(name.to_owned()));
        }
        if value.chars().any(|char| char.is_control() && char != '\t') {
            return Err(BadField::Value(name.to_owned()));
        }
        if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(BadField::Own(name.to_owned()));
        }
        Ok(self.with_field(name, value))
    }

    /// With this header field, which is known to be valid.
    pub(crate) fn with_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body. Without a `Content-Type` it is JSON if it begins with `{` or `[`, else plain text.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// With this type of its body, unless a field says otherwise.
    pub(crate) fn of_type(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// What it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        fields + self.body.as_ref().map_or(0, Bytes::len)
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The body, and its type.
    fn content(&self, title: &str) -> (Bytes, &'static str) {
        let Some(body) = &self.body else {
            let cause = if self.status == 200 { "" } else { "<p>Injected by vaurien.</p>\n" };
            let page = format!("<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n{cause}");
            return (page.into(), "text/html");
        };
        let is_json = matches!(body.trim_ascii_start(), [b'{' | b'[', ..]);
        let guess = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        (body.clone(), self.kind.unwrap_or(guess))
    }
}

/// The response with `status` to the request that begins with `head`; `now` is its date.
///
/// # Panics
///
/// As [`Response::new`].
#[must_use]
pub fn answer(head: &[u8], status: u16, now: SystemTime) -> Answer {
    respond(head, &Response::new(status), now)
}

/// `response` to the request that begins with `head`; `now` is its date.
///
/// The request decides whether the connection persists (RFC 9112, section 9.3). A response to HEAD has no body (RFC
/// 9110, section 9.3.2), nor has a 204, a 205 or a 304 (sections 15.3.5, 15.3.6 and 15.4.5).
#[must_use]
pub fn respond(head: &[u8], response: &Response, now: SystemTime) -> Answer {
    let read =
        head::request(head, |request| Ok((persists(request.version, request.headers), request.method == Some("HEAD"))));
    let (persists, headers_only) = read.ok().flatten().map_or((false, false), |(_, read)| read);
    let status = response.status;
    // The phrase may be empty (RFC 9112, section 4).
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let title = format!("{status} {phrase}");
    let (body, kind) = response.content(&title);
    let has_no_body = WITHOUT_BODY.contains(&status);

    let mut written = format!("HTTP/1.1 {title}\r\n");
    let mut field = |name: &str, value: &str| written.extend([name, ": ", value, "\r\n"]);
    if !response.has("date") {
        let now = now.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_DATE);
        field("Date", &httpdate::fmt_http_date(now));
    }
    if !response.has("content-type") && !has_no_body {
        field("Content-Type", kind);
    }
    response.fields.iter().for_each(|(name, value)| field(name, value));
    if !has_no_body {
        field("Content-Length", &body.len().to_string());
    } else if status == 205 {
        // It has a body as far as a client can tell: an empty one.
        field("Content-Length", "0");
    }
    field("Connection", if persists { "keep-alive" } else { "close" });
    written.push_str("\r\n");
    let mut bytes = written.into_bytes();
    if !headers_only && !has_no_body {
        bytes.extend_from_slice(&body);
    }
    Answer { bytes, close: !persists }
}

/// Whether the client waits for [`CONTINUE`] before it sends its body. HTTP/1.0 has no such expectation (RFC 9110,
/// section 10.1.1).
#[must_use]
pub fn expects_continue(head: &[u8]) -> bool {
    let read = head::request(head, |request| {
        Ok(request.version == Some(1) && lists(request.headers, "expect", "100-continue"))
    });
    matches!(read, Ok(Some((_, true))))
}

/// Whether the connection lasts after a message with these fields (RFC 9112, section 9.3).
pub(super) fn persists(version: Option<u8>, headers: &[Header]) -> bool {
    !lists(headers, "connection", "close") && (version == Some(1) || lists(headers, "connection", "keep-alive"))
}

/// Whether a header field called `name` lists `wanted`.
fn lists(headers: &[Header], name: &str, wanted: &str) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| tokens(header.value))
        .any(|token| token.eq_ignore_ascii_case(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.bytes).expect("answers are ascii")
    }

    #[test]
    fn an_answer_is_a_whole_response() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let got = answer(b"GET / HTTP/1.1\r\n\r\n", 503, now);
        let body = "<!DOCTYPE html>\n<title>503 Service Unavailable</title>\n<h1>503 Service Unavailable</h1>\n\
            <p>Injected by vaurien.</p>\n";
        let wanted = format!(
            "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html\r\n\
             Content-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(text(&got), wanted);
        assert!(!got.close);
        let headers = answer(b"HEAD / HTTP/1.1\r\n\r\n", 503, now);
        assert_eq!(Some(text(&headers)), wanted.strip_suffix(body));
    }

    #[test]
    fn a_response_says_what_it_was_given() {
        let json = Response::new(429).header("Retry-After", "2").unwrap().body(r#" {"slow": "down"}"#);
        let got = respond(b"GET / HTTP/1.1\r\n\r\n", &json, SystemTime::UNIX_EPOCH);
        assert_eq!(
            text(&got),
            "HTTP/1.1 429 Too Many Requests\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: application/json\r\n\
             Retry-After: 2\r\nContent-Length: 17\r\nConnection: keep-alive\r\n\r\n {\"slow\": \"down\"}"
        );
        let plain = Response::new(529).header("content-type", "text/x").unwrap().body("no");
        let got = respond(b"GET / HTTP/1.1\r\n\r\n", &plain, SystemTime::UNIX_EPOCH);
        assert!(text(&got).starts_with("HTTP/1.1 529 \r\n") && text(&got).matches("ontent-").count() == 2, "{got:?}");
        let none = respond(b"GET / HTTP/1.1\r\n\r\n", &Response::new(204).body("no"), SystemTime::UNIX_EPOCH);
        assert_eq!(
            text(&none),
            "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: keep-alive\r\n\r\n"
        );
        let reset = respond(b"GET / HTTP/1.1\r\n\r\n", &Response::new(205), SystemTime::UNIX_EPOCH);
        assert_eq!(
            text(&reset),
            "HTTP/1.1 205 Reset Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
        );
        for (name, value) in
            [("", "x"), ("a b", "x"), ("a", "x\r\ny: z"), ("Content-Length", "1"), ("connection", "close")]
        {
            assert!(Response::new(500).header(name, value).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn a_failure_names_its_cause() {
        let names_vaurien =
            |status| text(&answer(b"GET / HTTP/1.1\r\n\r\n", status, SystemTime::UNIX_EPOCH)).contains("vaurien");
        assert!(FAILURES.into_iter().all(names_vaurien));
        assert!(!names_vaurien(200));
    }

    #[test]
    fn every_failure_has_a_phrase_and_every_time_a_date() {
        for status in FAILURES {
            for now in [SystemTime::UNIX_EPOCH - LAST_DATE, SystemTime::UNIX_EPOCH + 2 * LAST_DATE] {
                let got = answer(b"GET / HTTP/1.1\r\n\r\n", status, now);
                let mut lines = text(&got).lines();
                assert!(lines.next().is_some_and(|line| line.len() > "HTTP/1.1 500 ".len()), "{got:?}");
                assert!(lines.next().is_some_and(|line| line.len() == "Date: Sun, 06 Nov 1994 08:49:37 GMT".len()));
            }
        }
    }

    #[test]
    fn the_request_says_whether_the_connection_lasts() {
        for (head, close) in [
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nconnection: x , CLOSE\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: x\r\nConnection: Close\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: closed\r\nX: close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true),
            ("GET / HTTP/1.1\r\n", true),
            ("nonsense\r\n\r\n", true),
        ] {
            let got = answer(head.as_bytes(), 500, SystemTime::UNIX_EPOCH);
            assert_eq!(got.close, close, "{head:?}");
            let said = if close { "\r\nConnection: close\r\n" } else { "\r\nConnection: keep-alive\r\n" };
            assert!(text(&got).contains(said), "{head:?}");
        }
    }

    #[test]
    fn only_a_1_1_client_waits_to_continue() {
        for (head, waits) in [
            ("PUT / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", true),
            ("PUT / HTTP/1.1\r\nEXPECT: x, 100-Continue\r\n\r\n", true),
            ("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false),
            ("PUT / HTTP/1.1\r\nExpect: 100\r\nX: 100-continue\r\n\r\n", false),
            ("PUT / HTTP/1.1\r\n\r\n", false),
            ("PUT", false),
        ] {
            assert_eq!(expects_continue(head.as_bytes()), waits, "{head:?}");
        }
    }
}
