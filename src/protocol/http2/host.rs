//! The host that a request asks for, replaced by another.

use ::http::uri::{Authority, Uri};
use ::http::{HeaderValue, Method, Request, header};

/// Puts `host` where the request names its host: its authority, and its field `host`, if it has these.
///
/// As with HTTP/1, a request with several such fields stays as it is, for the backend to refuse; and so does CONNECT, whose authority
/// is the tunnel's other end, but for the extended one (RFC 8441), which has a path.
pub(crate) fn set_host(request: &mut Request<()>, host: &str) {
    let is_tunnel = *request.method() == Method::CONNECT && request.uri().path_and_query().is_none();
    let fields = request.headers().get_all(header::HOST).iter().count();
    let (Ok(authority), Ok(value)) = (host.parse::<Authority>(), HeaderValue::from_str(host)) else { return };
    if is_tunnel || fields > 1 {
        return;
    }
    if let Some(field) = request.headers_mut().get_mut(header::HOST) {
        *field = value;
    }
    if request.uri().authority().is_some() {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.authority = Some(authority);
        // The parts were those of an address, and still are.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(method: &str, uri: &str, fields: &[&str]) -> (String, Vec<String>) {
        let request = Request::builder().method(method).uri(uri);
        let request = fields.iter().fold(request, |request, value| request.header("host", *value));
        let mut request = request.body(()).unwrap();
        set_host(&mut request, "db.example:81");
        let fields = request.headers().get_all("host").iter().map(|value| value.to_str().unwrap().to_owned());
        (request.uri().to_string(), fields.collect())
    }

    #[test]
    fn it_stands_wherever_a_host_was_named() {
        for (method, uri, fields, expected, expected_fields) in [
            ("GET", "http://a:8000/x?y=a:8000", &[][..], "http://db.example:81/x?y=a:8000", &[][..]),
            ("GET", "https://a", &["a"], "https://db.example:81/", &["db.example:81"]),
            ("POST", "/x", &["a"], "/x", &["db.example:81"]),
            ("POST", "/x", &[], "/x", &[]),
            ("OPTIONS", "*", &["a"], "*", &["db.example:81"]),
            ("GET", "http://a/x", &["a", "b"], "http://a/x", &["a", "b"]),
            ("CONNECT", "a:443", &[], "a:443", &[]),
            ("CONNECT", "https://a/chat", &[], "https://db.example:81/chat", &[]),
        ] {
            let expected_fields = expected_fields.iter().map(|&field: &&str| field.to_owned()).collect();
            assert_eq!(set(method, uri, fields), (expected.to_owned(), expected_fields), "{method} {uri}");
        }
    }
}
