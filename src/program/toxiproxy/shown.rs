//! Proxies as answers have them, in the words of who made them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::Server;
use super::answer::Failure;
use crate::fault::Direction;
use crate::net::bound::BoundAddress;
use crate::program::toxiproxy_json::proxy::upstream;
use crate::program::toxiproxy_json::{listen, toxic};
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::toxic::Toxic;

/// What clients wrote, by the name of the proxy: it is echoed for as long as it is true.
#[derive(Debug, Default)]
pub(super) struct Spellings(Mutex<HashMap<String, Spelling>>);

/// What clients wrote of a proxy.
#[derive(Debug, Default, Clone)]
struct Spelling {
    listen: Option<String>,
    upstream: Option<String>,
    /// The streams of toxics, by their names, where they are not in lower case.
    streams: HashMap<String, String>,
}

impl Spellings {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Spelling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new proxy: nothing else was written of it.
    pub(super) fn forget(&self, proxy: &str) {
        self.all().remove(proxy);
    }

    pub(super) fn addresses(&self, proxy: &str, listen: Option<String>, upstream: Option<String>) {
        let mut all = self.all();
        let known = all.entry(proxy.to_owned()).or_default();
        known.listen = listen.or(known.listen.take());
        known.upstream = upstream.or(known.upstream.take());
    }

    pub(super) fn stream(&self, proxy: &str, toxic: &Toxic, stream: String) {
        if stream == crate::toxic::stream(toxic.direction) {
            self.forget_stream(proxy, toxic.name());
        } else {
            self.all().entry(proxy.to_owned()).or_default().streams.insert(toxic.name().to_owned(), stream);
        }
    }

    /// The toxic is gone, or written as usual.
    pub(super) fn forget_stream(&self, proxy: &str, toxic: &str) {
        if let Some(known) = self.all().get_mut(proxy) {
            known.streams.remove(toxic);
        }
    }

    fn of(&self, proxy: &str) -> Spelling {
        self.all().get(proxy).cloned().unwrap_or_default()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    enabled: bool,
    toxics: Vec<toxic::Shown>,
}

impl Server {
    pub(super) fn proxy(&self, name: &str) -> Result<Arc<Proxy>, Failure> {
        self.proxies.get(name).ok_or_else(Failure::no_proxy)
    }

    pub(super) fn shown(&self, proxy: &Proxy) -> Shown {
        let config = proxy.config();
        let spelling = self.spellings.of(&config.name);
        let bound: Vec<_> = proxy.last_addresses().iter().filter_map(BoundAddress::ip).collect();
        let bound = listen::shown(&bound).map(|address| address.to_string());
        let written = spelling.listen.filter(|text| listen::read(text).is_ok_and(|at| config.listen == at));
        let leads_there = spelling.upstream.filter(|text| config.backend == upstream(text));
        Shown {
            listen: bound.or(written).unwrap_or_else(|| config.listen.to_string()),
            upstream: leads_there.unwrap_or_else(|| upstream_of(&config)),
            enabled: config.enabled,
            toxics: self.shown_toxics(&config),
            name: config.name,
        }
    }

    /// Those towards the upstream first, each in the order in which they were added.
    pub(super) fn shown_toxics(&self, config: &ProxyConfig) -> Vec<toxic::Shown> {
        let of = |direction| config.toxics.iter().filter(move |toxic| toxic.direction == direction);
        let all = of(Direction::ToBackend).chain(of(Direction::ToClient));
        all.map(|toxic| self.shown_toxic(&config.name, toxic)).collect()
    }

    pub(super) fn shown_toxic(&self, proxy: &str, toxic: &Toxic) -> toxic::Shown {
        let spelled = self.spellings.of(proxy).streams.remove(toxic.name());
        let is_right = |text: &String| text.eq_ignore_ascii_case(crate::toxic::stream(toxic.direction));
        toxic::Shown::of(toxic, spelled.filter(is_right))
    }
}

/// The upstream; without the port that stands for one that is no address.
fn upstream_of(config: &ProxyConfig) -> String {
    let backend = &config.backend;
    if backend.is_any_port() { backend.host().to_owned() } else { backend.to_string() }
}
