//! Refuses requests of other sites' pages (DNS rebinding, foreign origins), and requests without the token if there is one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::Api;
use super::answer::{Failure, Location};
use super::label;
use crate::program::config::Host;

/// Need no token: health checks have none, and the page asks for it.
pub(super) const HEALTH: &str = "/healthz";
pub(super) const PAGE: &str = "/";

/// Headers, as errors spell them.
const HOST: &str = "Host";
const ORIGIN: &str = "Origin";
const SEC_FETCH_SITE: &str = "Sec-Fetch-Site";
const AUTHORIZATION: &str = "Authorization";

/// Which requests are allowed.
#[derive(Debug)]
pub(crate) struct Access {
    /// The host that the program was told to listen on.
    own: String,
    /// Further hosts. One without a port allows any: ports may be mapped.
    allowed: Vec<Host>,
    token: Option<String>,
}

/// The local address that the client connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local(pub(crate) SocketAddr);

impl Access {
    /// Allows requests to `host`, to localhost and to those of `allowed`, with `token` if there is one.
    pub(crate) fn new(host: &str, allowed: &[Host], token: Option<&str>) -> Self {
        Self { own: host.to_owned(), allowed: allowed.to_vec(), token: token.map(str::to_owned) }
    }

    /// Whether requests need a token.
    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    fn admits(&self, (host, port): (&str, Option<u16>), local: SocketAddr) -> bool {
        let ip = bare(host).parse::<IpAddr>().ok();
        // An IPv6 address has several spellings.
        let is = |name: &str| name.eq_ignore_ascii_case(host) || (ip.is_some() && name.parse().ok() == ip);
        // Any port, as ports may be mapped. No other site can have an address for its name, which a container does not know of itself.
        let ours = match ip {
            Some(ip) => {
                ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST || !local.ip().to_canonical().is_loopback()
            }
            None => is("localhost") || is(&self.own),
        };
        ours || self.allowed.iter().any(|Host { name, port: only }| is(name) && (only.is_none() || *only == port))
    }

    fn check_host<'a>(&self, request: &'a Request, local: SocketAddr) -> Result<(&'a str, Option<u16>), Failure> {
        let text = only(request.headers(), HOST)?.ok_or_else(|| {
            let what = "the header Host is missing, send `Host: localhost`";
            Failure::of(StatusCode::BAD_REQUEST, Location::Header, HOST, what)
        })?;
        // A host in the request line takes precedence.
        let named = request.uri().authority().map_or(text, Authority::as_str);
        for text in [text, named] {
            if !split(text).is_some_and(|host| self.admits(host, local)) {
                let what = format!(
                    "`{text}` is not a host of this program: use localhost, or allow it with `--http-allow-host`"
                );
                return Err(forbidden(HOST, what));
            }
        }
        Ok(split(named).unwrap_or_default())
    }

    /// A browser names the page that sends the request; it has to be of the same host.
    fn check_origin(headers: &HeaderMap, (host, port): (&str, Option<u16>)) -> Result<(), Failure> {
        let Some(text) = only(headers, ORIGIN)? else { return Ok(()) };
        let of_page = text.split_once("://").and_then(|(scheme, rest)| {
            let usual = match scheme {
                "http" => 80,
                "https" => 443,
                _ => return None,
            };
            Some((usual, split(rest)?))
        });
        match of_page {
            Some((usual, (page, at)))
                if page.eq_ignore_ascii_case(host) && at.unwrap_or(usual) == port.unwrap_or(usual) =>
            {
                Ok(())
            }
            _ => Err(another_site(ORIGIN, text)),
        }
    }

    /// A browser names no page for some requests, such as those for pictures, but how near the page is.
    fn check_site(headers: &HeaderMap) -> Result<(), Failure> {
        match only(headers, SEC_FETCH_SITE)? {
            // `none`: the user typed the address.
            None | Some("same-origin" | "none") => Ok(()),
            Some(text) => Err(another_site(SEC_FETCH_SITE, text)),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = only(headers, AUTHORIZATION)?.and_then(|given| {
            let (scheme, rest) = given.split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case("Bearer ").then_some(rest.trim_ascii())
        });
        // Constant time, but for the length.
        if given.is_some_and(|given| given.as_bytes().ct_eq(token.as_bytes()).into()) {
            return Ok(());
        }
        let what = if given.is_some() { "the token is wrong" } else { "the token is missing" };
        let what = format!("{what}, send `Authorization: Bearer TOKEN` with that of `--http-token`");
        Err(Failure::of(StatusCode::UNAUTHORIZED, Location::Header, AUTHORIZATION, what))
    }
}

/// Passes a request on, or answers why not.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Result<Response, Failure> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let Local(local) = request.extensions().get().copied().unwrap_or(Local(nowhere));
    let host = api.access.check_host(&request, local)?;
    Access::check_origin(request.headers(), host)?;
    Access::check_site(request.headers())?;
    // Whoever sets a label changes something.
    if !is_open(request.uri().path()) || request.headers().contains_key(label::HEADER) {
        api.access.check_token(request.headers())?;
    }
    Ok(next.run(request).await)
}

/// Whether requests for this path need no token.
pub(super) fn is_open(path: &str) -> bool {
    [HEALTH, PAGE].contains(&path)
}

fn forbidden(name: &str, what: String) -> Failure {
    Failure::of(StatusCode::FORBIDDEN, Location::Header, name, what)
}

fn another_site(name: &str, text: &str) -> Failure {
    forbidden(name, format!("`{text}` is another site: only pages of this host may send requests"))
}

/// The header, which must not be repeated.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let wrong = |what| Failure::of(StatusCode::BAD_REQUEST, Location::Header, name, what);
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(wrong("the header is repeated, send it once"));
    }
    first.map(|value| value.to_str().map_err(|_| wrong("the header is not plain text"))).transpose()
}

/// The host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// `name`, `name:port`, `[::1]:port`.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let host = text.get(..authority.host().len()).filter(|host| *host == authority.host())?;
    match text.get(host.len()..)? {
        "" => Some((host, None)),
        rest => Some((host, Some(rest.strip_prefix(':')?.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_an_address_is_no_other_sites() {
        let access = Access::new("0.0.0.0", &[], None);
        let admits = |host: &str, local: &str| access.admits(split(host).unwrap(), local.parse().unwrap());
        for host in ["172.17.0.2:8080", "192.0.2.1:32768", "[2001:db8::1]:1", "localhost:32768"] {
            assert!(admits(host, "172.17.0.2:8080"), "{host}");
        }
        assert!(!admits("evil.example:8080", "172.17.0.2:8080"));
        assert!(!admits("192.0.2.1:8080", "127.0.0.1:8080"), "on loopback alone it names another machine");
    }
}
