//! All proxies at once: `populate` makes them what a list says, `reset` enables them and takes away all toxics.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Server;
use super::answer::{Answer, Failure, json, nothing};
use super::proxies::listens_there;
use super::shown::Shown;
use crate::program::toxiproxy_json::json::Json;
use crate::program::toxiproxy_json::listen;
use crate::program::toxiproxy_json::proxy::Body;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::set::Revision;

/// Clients read an answer without an error as a map of lists: it has no other key.
#[derive(Serialize)]
struct Populated {
    #[serde(flatten)]
    failure: Option<Failure>,
    /// None where nothing was tried.
    proxies: Option<Vec<Shown>>,
}

/// A list that is wrong has changed nothing.
pub(super) fn refused(failure: Failure) -> Response {
    json(failure.status(), &Populated { failure: Some(failure), proxies: None })
}

pub(super) async fn populate(server: &Server, body: &Json) -> Response {
    let asked = match server.read_all(body) {
        Ok(asked) => asked,
        Err(failure) => return refused(failure),
    };
    let mut done = Vec::new();
    for (body, config) in asked {
        match server.put(body, config).await {
            Ok(proxy) => done.push(server.shown(&proxy)),
            Err(failure) => {
                return json(failure.status(), &Populated { failure: Some(failure), proxies: Some(done) });
            }
        }
    }
    json(StatusCode::CREATED, &Populated { failure: None, proxies: Some(done) })
}

/// Resets all of them, and tells the first that could not be enabled.
pub(super) async fn reset(server: &Server) -> Answer {
    let mut failed = None;
    for proxy in server.proxies.all() {
        let name = proxy.name();
        let enable = |known: Option<&Arc<Proxy>>| {
            let mut config = known.ok_or_else(Failure::no_proxy)?.config();
            if config.enabled && config.toxics.is_empty() {
                return Ok(Revision::Kept);
            }
            config.enabled = true;
            config.keys.set("enabled", true);
            config.set_toxics(Vec::new());
            Ok(Revision::Changed(config))
        };
        match server.proxies.revise::<Failure>(name, enable).await {
            Ok(_) => {}
            // It was removed meanwhile.
            Err(failure) if failure == Failure::no_proxy() => {}
            Err(failure) => {
                // It stays disabled, without its toxics.
                let _ = server.proxies.remove_toxics(name).await;
                failed.get_or_insert(failure);
            }
        }
    }
    failed.map_or(Ok(nothing(StatusCode::NO_CONTENT)), Err)
}

impl Server {
    /// All proxies of a list, checked.
    fn read_all(&self, body: &Json) -> Result<Vec<(Body, ProxyConfig)>, Failure> {
        let mut names = HashSet::new();
        let checked = |body: Body| {
            if !names.insert(body.name.clone()) {
                return Err(Failure::new(StatusCode::BAD_REQUEST, format!("duplicate proxy name {:?}", body.name)));
            }
            let config = self.config_of(&body, self.proxies.get(&body.name).is_some())?;
            Ok((body, config))
        };
        Body::read_all(body)?.into_iter().map(checked).collect()
    }

    /// Makes a proxy what a list says. One that leads from and to the same addresses stays as it is, but for toxics that are given.
    async fn put(&self, body: Body, config: ProxyConfig) -> Result<Arc<Proxy>, Failure> {
        let known = self.proxies.get(&body.name);
        let is_same = match &known {
            Some(known) => {
                let at = listen::read(body.listen.as_deref().unwrap_or_default());
                let is_there = match at {
                    Ok(at) => listens_there(known, &at).await,
                    Err(_) => false,
                };
                is_there && Some(self.shown(known).upstream) == body.upstream
            }
            None => false,
        };
        let toxics = config.toxics.clone();
        let decide = move |known: Option<&Arc<Proxy>>| match known.filter(|_| is_same) {
            Some(_) if toxics.is_empty() => Ok(Revision::Kept),
            Some(known) => {
                let mut config = known.config();
                config.set_toxics(toxics);
                Ok(Revision::Changed(config))
            }
            None => Ok(Revision::New(config)),
        };
        let proxy = self.proxies.revise::<Failure>(&body.name.clone(), decide).await?;
        if !is_same {
            self.remember(body);
        }
        Ok(proxy)
    }
}
