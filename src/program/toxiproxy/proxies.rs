//! One proxy: shown, created, changed, removed.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;

use super::Server;
use super::answer::{Answer, Failure, json, nothing};
use super::toxics::warn_of;
use crate::net::host_port::HostPort;
use crate::net::listener::to_listen_on;
use crate::program::config::toxiproxy_file::{self, set_backend};
use crate::program::toxiproxy_json::json::Json;
use crate::program::toxiproxy_json::listen;
use crate::program::toxiproxy_json::proxy::{Body, upstream};
use crate::proxy::Proxy;
use crate::proxy::config::{ProxyConfig, check_any_name};
use crate::proxy::set::Revision;

/// By name, in the order of their bytes.
pub(super) fn list(server: &Server) -> Response {
    let proxies = server.proxies.all();
    let proxies: BTreeMap<&str, _> = proxies.iter().map(|proxy| (proxy.name(), server.shown(proxy))).collect();
    json(StatusCode::OK, &proxies)
}

pub(super) fn get(server: &Server, name: &str) -> Answer {
    Ok(json(StatusCode::OK, &server.shown(&*server.proxy(name)?)))
}

pub(super) async fn create(server: &Server, body: &Json) -> Answer {
    let body = Body::read(body)?;
    body.check_new()?;
    if server.proxies.get(&body.name).is_some() {
        return Err(Failure::proxy_exists());
    }
    let config = server.config_of(&body, false)?;
    let decide = move |known: Option<&_>| match known {
        Some(_) => Err(Failure::proxy_exists()),
        None => Ok(Revision::New(config)),
    };
    let proxy = server.proxies.revise(&body.name.clone(), decide).await?;
    server.remember(body);
    Ok(json(StatusCode::CREATED, &server.shown(&proxy)))
}

pub(super) async fn update(server: &Server, name: &str, body: &Json) -> Answer {
    let body = Body::read_update(body)?;
    let before = server.proxy(name)?;
    if body.upstream.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::body("upstream is empty"));
    }
    let to = match &body.listen {
        Some(text) => {
            let to = listen::read(text).map_err(|why| Failure::bad_listen(&why, true))?;
            (!listens_there(&before, &to).await).then_some(to)
        }
        None => None,
    };
    let backend = body.upstream.as_deref().filter(|text| *text != server.shown(&before).upstream).map(upstream);
    let (asked, spelled) = (body.enabled, backend.is_some().then_some(body.upstream).flatten());
    let text = spelled.clone();
    let decide = move |known: Option<&std::sync::Arc<Proxy>>| {
        let mut config = known.ok_or_else(Failure::no_proxy)?.config();
        let enabled = asked.unwrap_or(config.enabled);
        let (moves, restarts) = (to.is_some(), to.is_some() || backend.is_some());
        if !restarts && enabled == config.enabled {
            return Ok(Revision::Kept);
        }
        if let Some(to) = to {
            config.keys.set("proxy", to.to_string());
            config.listen = to.into();
        }
        if let (Some(backend), Some(text)) = (backend, text) {
            set_backend(&mut config, backend, &text);
        }
        config.keys.set("enabled", enabled);
        config.enabled = enabled;
        Ok(match () {
            () if moves => Revision::Moved(config),
            () if restarts => Revision::Restarted(config),
            () => Revision::Changed(config),
        })
    };
    let proxy = server.proxies.revise::<Failure>(name, decide).await?;
    warn_of(name, None, &body.doubts);
    server.spellings.addresses(name, body.listen, spelled);
    Ok(json(StatusCode::OK, &server.shown(&proxy)))
}

pub(super) async fn delete(server: &Server, name: &str) -> Answer {
    server.proxies.remove(name).await?;
    server.spellings.forget(name);
    Ok(nothing(StatusCode::NO_CONTENT))
}

/// Whether this is where the proxy listens, or does once it is enabled, in any spelling.
pub(super) async fn listens_there(proxy: &Proxy, at: &HostPort) -> bool {
    // Port 0 is another one.
    if at.port == 0 {
        return false;
    }
    if proxy.listens_at(&at.clone().into()) {
        return true;
    }
    let bound = proxy.last_addresses();
    let resolved = to_listen_on(at).await.unwrap_or_default();
    resolved.iter().any(|address| bound.contains(&(*address).into()))
}

impl Server {
    /// The proxy that a body asks for. `is_known`: there is one of this name.
    pub(super) fn config_of(&self, body: &Body, is_known: bool) -> Result<ProxyConfig, Failure> {
        check_any_name(&body.name).map_err(|wrong| Failure::body(wrong.what()))?;
        let at = listen::read(body.listen.as_deref().unwrap_or_default());
        let at = at.map_err(|why| Failure::bad_listen(&why, is_known))?;
        Ok(toxiproxy_file::proxy(body, &at, &self.registry)?)
    }

    /// Keeps what a client wrote of a new proxy.
    pub(super) fn remember(&self, body: Body) {
        let Body { name, listen, upstream, toxics, doubts, .. } = body;
        warn_of(&name, None, &doubts);
        self.spellings.forget(&name);
        self.spellings.addresses(&name, listen, upstream);
        for (toxic, stream) in toxics.into_iter().flatten() {
            self.spellings.stream(&name, &toxic, stream);
        }
    }
}
