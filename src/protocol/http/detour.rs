//! Responses that send a client to the backend itself.

use httparse::Response;

use super::head;
use crate::protocol::detour::{Backend, authority};

/// What the response sends the client past the proxy with, in words: `Location` with the backend's own address (RFC 9110, section
/// 10.2.2), or `Alt-Svc` (RFC 7838, section 3).
pub(in crate::protocol) fn detour(bytes: &[u8], backend: Option<Backend<'_>>) -> Option<String> {
    let read = |response: &Response| {
        let value = |name: &str| {
            response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
        };
        let location =
            value("location").filter(|location| backend.is_some_and(|backend| is_backend(location, backend)));
        let service = value("alt-svc").filter(|value| !value.trim_ascii().eq_ignore_ascii_case(b"clear"));
        let told = location.map(|location| ("Location", location)).or(service.map(|service| ("Alt-Svc", service)));
        Ok(told.map(|(name, value)| format!("{name}: {}", value.escape_ascii())))
    };
    head::response(bytes, read).ok().flatten()?.1
}

/// Whether a URL has the address of the backend, or its host and another scheme's port.
fn is_backend(location: &[u8], backend: Backend<'_>) -> bool {
    let read = || {
        // Without a scheme, it is that of the request.
        let (scheme, rest) = if let Some(rest) = location.strip_prefix(b"//") {
            (&b"http"[..], rest)
        } else {
            let at = memchr::memmem::find(location, b"://")?;
            (&location[..at], &location[at + 3..])
        };
        let is_secure = scheme.eq_ignore_ascii_case(b"https");
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (host, port) = authority(&rest[..end])?;
        let port = port.unwrap_or(if is_secure { 443 } else { 80 });
        Some(host.eq_ignore_ascii_case(backend.host) && (port == backend.port || is_secure))
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_backends_own_address_is_past_the_proxy() {
        let backend = Some(Backend { host: "db.local", port: 8080 });
        for (fields, told) in [
            ("Location: http://db.local:8080/a", Some("Location: http://db.local:8080/a")),
            ("location: HTTPS://DB.local/", Some("location: HTTPS://DB.local/")),
            ("Location: http://db.local:8000/a", None),
            ("Location: /a", None),
            ("Location: //db.local:8080/a", Some("Location: //db.local:8080/a")),
            ("Location: //db.local/a", None),
            ("Location: //other:8080/http://db.local:8080/", None),
            ("Location: http://other:8080/", None),
            ("Alt-Svc: h3=\":443\"; ma=5", Some("Alt-Svc: h3=\":443\"; ma=5")),
            ("Alt-Svc: clear", None),
        ] {
            let head = format!("HTTP/1.1 302 Found\r\n{fields}\r\n\r\n");
            let told = told.map(|told| told.replace("location: ", "Location: ").replace('"', "\\\""));
            assert_eq!(detour(head.as_bytes(), backend), told, "{fields}");
        }
        let v6 = Some(Backend { host: "::1", port: 80 });
        assert!(detour(b"HTTP/1.1 301 x\r\nLocation: http://[::1]/\r\n\r\n", v6).is_some());
        assert_eq!(detour(b"HTTP/1.1 301 x\r\n", v6), None);
    }
}
