//! Refuses requests of pages in browsers.
//!
//! As Toxiproxy does by the program's name. But a script chooses that name: so a page of another site, and a name that another
//! site has made to mean this machine (DNS rebinding), are refused as well.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Failure, text};

/// Which requests are allowed.
#[derive(Debug)]
pub(super) struct Access {
    /// The program was told to listen on this machine alone. Beyond, names are those of containers and hosts.
    is_local: bool,
}

impl Access {
    /// For the host that the program was told to listen on.
    pub(super) fn new(host: &str) -> Self {
        Self { is_local: is_of_this_machine(host) }
    }

    /// Why a request with these headers is refused, if it is.
    pub(super) fn refuse(&self, headers: &HeaderMap, authority: Option<&Authority>) -> Option<Response> {
        let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let forbidden = |what: String| Some(Failure::new(StatusCode::FORBIDDEN, what).into_response());
        if value(header::USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/")) {
            return Some(text(StatusCode::FORBIDDEN, "User agent not allowed\n"));
        }
        let host = authority.map(Authority::as_str).or_else(|| value(header::HOST));
        // Any port: ports may be mapped. What is no browser may leave the header out.
        if let Some(host) = host.filter(|host| self.is_local && !is_of_this_machine(without_port(host))) {
            return forbidden(format!("host {host} is not this machine: use localhost, or listen on 0.0.0.0"));
        }
        if let Some(origin) = value(header::ORIGIN) {
            let page = origin.split_once("://").map(|(_, page)| page);
            if page.is_none() || page != host {
                return forbidden(format!("origin {origin} is another site"));
            }
        }
        let site = value(header::HeaderName::from_static("sec-fetch-site"));
        if let Some(site) = site.filter(|site| !matches!(*site, "same-origin" | "none")) {
            return forbidden(format!("a page of a {site} must not send requests"));
        }
        None
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

/// `localhost`, `127.0.0.1`, `[::1]`.
fn is_of_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn is_allowed(listens: &str, headers: &[(&'static str, &str)]) -> bool {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        Access::new(listens).refuse(&pairs.collect(), None).is_none()
    }

    #[test]
    fn on_loopback_the_host_is_this_machine_with_any_port() {
        for host in ["localhost", "localhost:1", "LOCALHOST:8474", "127.0.0.1:9", "127.9.9.9", "[::1]:8474", "[::1]"] {
            assert!(is_allowed("localhost", &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "evil.example:8474", "10.0.0.1:8474", "localhost.evil.example", ""] {
            assert!(!is_allowed("127.0.0.1", &[("host", host)]), "{host}");
            assert!(is_allowed("0.0.0.0", &[("host", host)]), "{host}");
        }
        assert!(is_allowed("localhost", &[]));
    }

    #[test]
    fn pages_are_refused() {
        let host = ("host", "localhost:8474");
        assert!(is_allowed("localhost", &[host, ("user-agent", "mozilla/5.0")]));
        assert!(!is_allowed("localhost", &[host, ("user-agent", "Mozilla/5.0 (X11)")]));
        assert!(is_allowed(
            "localhost",
            &[host, ("origin", "http://localhost:8474"), ("sec-fetch-site", "same-origin")]
        ));
        for other in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
            assert!(!is_allowed("localhost", &[host, other]), "{other:?}");
            assert!(!is_allowed("0.0.0.0", &[("host", "toxiproxy:8474"), other]), "{other:?}");
        }
    }
}
