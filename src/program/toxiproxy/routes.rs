//! Paths and methods. Names in a path are percent-encoded, so they may have any character.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::answer::{Answer, nothing, text, with_type};
use super::{Server, lists, metrics, proxies, read, toxics};
use crate::program::toxiproxy_json::VERSION;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Proxies,
    Proxy(String),
    Toxics(String),
    Toxic(String, String),
    Populate,
    Reset,
    Version,
    Metrics,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let name = |text: &str| {
            let name = percent_decode_str(text).decode_utf8_lossy().into_owned();
            (!name.is_empty()).then_some(name)
        };
        match segments[..] {
            ["proxies"] => Some(Self::Proxies),
            ["proxies", proxy] => Some(Self::Proxy(name(proxy)?)),
            ["proxies", proxy, "toxics"] => Some(Self::Toxics(name(proxy)?)),
            ["proxies", proxy, "toxics", toxic] => Some(Self::Toxic(name(proxy)?, name(toxic)?)),
            ["populate"] => Some(Self::Populate),
            ["reset"] => Some(Self::Reset),
            ["version"] => Some(Self::Version),
            ["metrics"] => Some(Self::Metrics),
            _ => None,
        }
    }

    fn allows(&self, method: &Method) -> bool {
        self.methods().is_empty() || self.methods().contains(&method.as_str())
    }

    /// None for all.
    fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Proxies | Self::Toxics(_) => &["GET", "POST"],
            Self::Proxy(_) | Self::Toxic(..) => &["GET", "POST", "PATCH", "DELETE"],
            Self::Populate | Self::Reset => &["POST"],
            Self::Version => &["GET"],
            Self::Metrics => &[],
        }
    }
}

/// A path without `//`, `.` and `..`.
fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let path = request.uri().path();
    let cleaned = clean(path);
    if cleaned != path {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut moved = nothing(StatusCode::MOVED_PERMANENTLY);
        if let Ok(to) = HeaderValue::from_str(&(cleaned + &query)) {
            moved.headers_mut().insert(header::LOCATION, to);
        }
        return moved;
    }
    let place = Place::of(path).filter(|place| *place != Place::Metrics || server.config.has_metrics());
    let Some(place) = place else { return text(StatusCode::NOT_FOUND, "404 page not found\n") };
    if !place.allows(request.method()) {
        let mut refused = nothing(StatusCode::METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(
            header::ALLOW,
            HeaderValue::try_from(place.methods().join(", ")).unwrap_or(HeaderValue::from_static("")),
        );
        return refused;
    }
    let refused = server.access.refuse(request.headers(), request.uri().authority());
    let mut response = match refused {
        Some(refused) => refused,
        None => go(server, place, request).await.unwrap_or_else(IntoResponse::into_response),
    };
    if let Ok(id) = HeaderValue::try_from(request_id()) {
        response.headers_mut().insert("x-toxiproxy-request-id", id);
    }
    response
}

async fn go(server: Arc<Server>, place: Place, request: Request) -> Answer {
    let method = request.method().as_str().to_owned();
    match (place, method.as_str()) {
        (Place::Proxies, "GET") => Ok(proxies::list(&server)),
        (Place::Proxies, _) => proxies::create(&server, &read::body(request).await?).await,
        (Place::Proxy(name), "GET") => proxies::get(&server, &name),
        (Place::Proxy(name), "DELETE") => proxies::delete(&server, &name).await,
        (Place::Proxy(name), _) => {
            server.proxy(&name)?;
            proxies::update(&server, &name, &read::body(request).await?).await
        }
        (Place::Toxics(name), "GET") => toxics::list(&server, &name),
        (Place::Toxics(name), _) => {
            server.proxy(&name)?;
            toxics::create(&server, &name, &read::body(request).await?).await
        }
        (Place::Toxic(name, toxic), "GET") => toxics::get(&server, &name, &toxic),
        (Place::Toxic(name, toxic), "DELETE") => toxics::delete(&server, &name, &toxic).await,
        (Place::Toxic(name, toxic), _) => {
            toxics::get(&server, &name, &toxic)?;
            toxics::update(&server, &name, &toxic, &read::body(request).await?).await
        }
        (Place::Populate, _) => Ok(match read::body(request).await {
            Ok(body) => lists::populate(&server, &body).await,
            Err(failure) => lists::refused(failure),
        }),
        (Place::Reset, _) => lists::reset(&server).await,
        (Place::Version, _) => {
            let version = format!("{{\"version\": \"{VERSION}\"}}\n");
            Ok(with_type(StatusCode::OK, "application/json;charset=utf-8", version))
        }
        (Place::Metrics, _) => Ok(metrics::answer(&server)),
    }
}

/// The digits of a request's number.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// 20 characters that no other request has: the time, the process, and a number.
fn request_id() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = (u128::from(seconds & 0xffff_ffff) << 68)
        | (u128::from(process::id()) << 36)
        | (u128::from(NUMBER.fetch_add(1, Ordering::Relaxed)) << 4);
    (0..20).rev().map(|place| char::from(DIGITS[(id >> (place * 5)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_may_have_any_character() {
        let proxy = |name: &str| Some(Place::Proxy(name.to_owned()));
        assert_eq!(Place::of("/proxies/redis:6379"), proxy("redis:6379"));
        assert_eq!(Place::of("/proxies/a%2Fb%20%C3%A9"), proxy("a/b é"));
        assert_eq!(Place::of("/proxies/a/toxics/b"), Some(Place::Toxic("a".to_owned(), "b".to_owned())));
        for path in ["/proxies/", "/proxies/a/", "/proxies/a/toxics/", "/", "/nothing", "/v1/proxies"] {
            assert_eq!(Place::of(path), None, "{path}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [
            ("/proxies", "/proxies"),
            ("//proxies", "/proxies"),
            ("/a/../proxies/./x/", "/proxies/x/"),
            ("/..", "/"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn requests_have_numbers() {
        let (one, other) = (request_id(), request_id());
        assert!(one.len() == 20 && one < other, "{one} {other}");
    }
}
