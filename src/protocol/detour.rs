//! Replies that send clients past the proxy: to other nodes of a cluster, or to the backend itself.

use std::str;

use super::http::detour as http_detour;
use super::{Protocol, redis};

/// Where a proxy's calls go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backend<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl Protocol {
    /// What the reply that begins with `bytes` sends the client past the proxy with, in words. No URL leads to a `backend` on a Unix
    /// socket.
    pub(crate) fn detour(self, bytes: &[u8], backend: Option<Backend<'_>>) -> Option<String> {
        match self {
            Self::Redis => redis::detour(bytes),
            Self::Http | Self::Grpc => http_detour(bytes, backend),
            Self::Tcp | Self::Memcache => None,
        }
    }

    /// Whether the reply that begins with `bytes`, the first of its connection or not, is worth a look for that: an error of
    /// `redis`; of `http` a redirection, or the first response, which has `Alt-Svc` if any has.
    pub(crate) fn may_detour(self, bytes: &[u8], is_first: bool) -> bool {
        match (self, bytes) {
            (Self::Redis, [first, ..]) => *first == b'-',
            (Self::Http | Self::Grpc, bytes) => {
                is_first || bytes.starts_with(b"HTTP/1.1 3") || bytes.starts_with(b"HTTP/1.0 3")
            }
            _ => false,
        }
    }
}

/// The host and the port of `host:port`, `[::1]:port` or a host alone.
pub(super) fn authority(text: &[u8]) -> Option<(&str, Option<u16>)> {
    let text = str::from_utf8(text).ok()?;
    let text = text.rsplit('@').next()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    Some((host.trim_start_matches('[').trim_end_matches(']'), port))
}
