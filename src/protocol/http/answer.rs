//! Responses that the proxy sends in place of the backend.

use std::time::{Duration, SystemTime};

use httparse::Header;

use super::head::{self, tokens};

/// The statuses of server errors, from which `error` draws.
pub const FAILURES: [u16; 4] = [500, 501, 502, 503];

/// Tells a waiting client to send its body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The last second of the year 9999, since 1970: an HTTP date has a four-digit year.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// A response in place of the backend's.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The complete response.
    pub bytes: Vec<u8>,
    /// Whether the connection closes after it.
    pub close: bool,
}

/// The response with `status` to the request that begins with `head`; `now` is its date.
///
/// The request decides whether the connection persists (RFC 9112, section 9.3). A response to HEAD has no body (RFC
/// 9110, section 9.3.2).
#[must_use]
pub fn answer(head: &[u8], status: u16, now: SystemTime) -> Answer {
    let read =
        head::request(head, |request| Ok((persists(request.version, request.headers), request.method == Some("HEAD"))));
    let (persists, headers_only) = read.ok().flatten().map_or((false, false), |(_, read)| read);
    let phrase = match status {
        200 => "OK",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "", // the phrase may be empty (RFC 9112, section 4)
    };
    let title = format!("{status} {phrase}");
    let cause = if FAILURES.contains(&status) { "<p>Injected by vaurien.</p>\n" } else { "" };
    let body = format!("<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n{cause}");
    let date = httpdate::fmt_http_date(now.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_DATE));
    let connection = if persists { "keep-alive" } else { "close" };
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 {title}\r\nDate: {date}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n"
    );
    if !headers_only {
        response.push_str(&body);
    }
    Answer { bytes: response.into_bytes(), close: !persists }
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
