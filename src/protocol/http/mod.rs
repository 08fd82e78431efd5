//! `http`: HTTP/1.0 and 1.1 (RFC 9110, RFC 9112). A call is one request and its final response.
//!
//! Where two readers of the same bytes could disagree about the end of a message (an invalid length, an unknown
//! transfer coding), the connection turns opaque: only the backend's reading counts, and the proxy cannot know it.

mod answer;
mod body;
mod detour;
mod fields;
mod head;
mod host;
mod payload;
mod replies;
mod requests;
mod session;

pub(crate) use answer::WITHOUT_BODY;
pub use answer::{Answer, BadField, CONTINUE, FAILURES, Response, answer, expects_continue, respond};
pub(super) use detour::detour;
pub(super) use fields::{header, query};
pub(crate) use host::with_host;
pub(super) use payload::payload;
pub use replies::Replies;
pub use requests::Requests;
pub(super) use session::{reply_persists, session_after_request};

/// What a request determines about its reply: whether it has a body, and whether it ends HTTP on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The reply to HEAD. It never has a body, whatever its headers say (RFC 9112, section 6.3).
    Head,
    /// The reply to CONNECT. If it is 2xx, a tunnel follows.
    Connect,
    /// Any other reply. Its own status and headers show where it ends.
    Other,
}

/// What `read` makes of the response that `bytes` begin with, and the length of its head; none if that is invalid or not complete.
pub(super) fn read_response<T>(bytes: &[u8], read: impl Fn(&httparse::Response) -> T) -> Option<(usize, T)> {
    head::response(bytes, |response| Ok(read(response))).ok().flatten()
}

/// The method and the path in a request's head. The path is without query, and without the scheme and host of the
/// absolute form (RFC 9112, section 3.2).
#[must_use]
pub fn words(head: &[u8]) -> (&[u8], &[u8]) {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    (method, path(words.next().unwrap_or_default()))
}

fn path(target: &[u8]) -> &[u8] {
    let target = target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if target.starts_with(b"/") {
        return target;
    }
    let Some(scheme) = memchr::memmem::find(target, b"://") else {
        return target; // `*`, and the `host:port` of CONNECT
    };
    let authority = &target[scheme + 3..];
    match memchr::memchr(b'/', authority) {
        Some(slash) => &authority[slash..],
        None => b"/",
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn the_words_are_the_method_and_the_path() {
        for (head, method, path) in [
            ("GET / HTTP/1.1\r\n\r\n", "GET", "/"),
            ("POST /a/b?c=/d HTTP/1.0\nHost: x\n\n", "POST", "/a/b"),
            ("GET /?to=http://x/y HTTP/1.1\r\n\r\n", "GET", "/"),
            ("GET http://host:80/a/b?c HTTP/1.1\r\n\r\n", "GET", "/a/b"),
            ("GET http://host?c HTTP/1.1\r\n\r\n", "GET", "/"),
            ("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS", "*"),
            ("CONNECT host:443 HTTP/1.1\r\n\r\n", "CONNECT", "host:443"),
            ("GET", "GET", ""),
            ("", "", ""),
        ] {
            assert_eq!(words(head.as_bytes()), (method.as_bytes(), path.as_bytes()), "{head:?}");
        }
    }
}
