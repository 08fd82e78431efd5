//! The router without sockets: requests, with the status and body of each answer.

mod behavior;
mod document;
mod events;
mod guard;
mod serving;
mod toxics;
mod v1;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::guard::Local;
use super::{Access, Api, routes};
use crate::call_log::CallLog;
use crate::events::Events;
use crate::handler::Registry;
use crate::net::connection_limit::ConnectionLimit;
use crate::program::config::spec;
use crate::program::tls::Folder;
use crate::proxy::set::ProxySet;
use crate::proxy::shared::Shared;

struct World {
    router: Router,
    proxies: Arc<ProxySet>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The status and the body.
    fn is(&self) -> (u16, Value) {
        (self.status.as_u16(), self.json())
    }

    /// The names of what is wrong.
    fn wrong_names(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["name"].as_str().unwrap().to_owned()).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl World {
    async fn with(names: &[&str], access: Access) -> Self {
        let proxies = proxies();
        for name in names {
            let keys = keys(&json!({ "backend": "localhost:6379", "proxy": "127.0.0.1:0" }));
            let config = spec::check(name, &keys, &Registry::default(), &Folder::default()).unwrap();
            assert!(proxies.put(config, None).await.is_ok());
        }
        Self {
            router: routes::router(Api::new(proxies.clone(), Registry::default(), Folder::default(), access)),
            proxies,
        }
    }

    async fn new(names: &[&str]) -> Self {
        Self::with(names, Access::new("localhost", &[], None)).await
    }

    /// Connected to 127.0.0.1:8080.
    async fn begin(&self, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(Local(SocketAddr::from(([127, 0, 0, 1], 8080))));
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.begin(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send(request(method, path).body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }
}

fn proxies() -> Arc<ProxySet> {
    ProxySet::new(Shared::new(1, ConnectionLimit::left(0), Events::on(), CallLog::off()))
}

fn request(method: &str, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost:8080")
}

fn keys(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// An error of one entry.
fn wrong(status: u16, location: &str, name: &str, description: &str) -> (u16, Value) {
    let error = json!({ "location": location, "name": name, "description": description });
    (status, json!({ "status": "error", "errors": [error] }))
}
