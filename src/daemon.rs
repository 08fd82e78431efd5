//! The daemon: it listens, serves until it is told to stop, and lets what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::call_log::CallLog;
use crate::events::Events;
use crate::metrics::summary::Summary;
use crate::net::connection_limit::ConnectionLimit;
use crate::plan::mix::Mix;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;
use crate::proxy::set::ProxySet;
use crate::proxy::shared::Shared;

/// Proxies that listen and serve, until this is dropped.
#[derive(Debug)]
pub struct Daemon {
    proxies: Arc<ProxySet>,
    addresses: Vec<SocketAddr>,
}

impl Daemon {
    /// One proxy. It listens and serves from now on.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved or listened on.
    pub async fn bind(config: &ProxyConfig, seed: u64) -> Result<Self, CannotListen> {
        Self::bind_all([config], seed).await
    }

    /// Several proxies, each with a name of its own.
    ///
    /// # Errors
    ///
    /// That of the first that cannot listen; then none does.
    pub async fn bind_all<'a>(
        configs: impl IntoIterator<Item = &'a ProxyConfig>,
        seed: u64,
    ) -> Result<Self, CannotListen> {
        Self::start(configs, Shared::new(seed, ConnectionLimit::left(0), Events::off(), CallLog::off())).await
    }

    pub(crate) async fn start<'a>(
        configs: impl IntoIterator<Item = &'a ProxyConfig>,
        shared: Shared,
    ) -> Result<Self, CannotListen> {
        let proxies = ProxySet::new(shared);
        let mut daemon = Self { proxies, addresses: Vec::new() };
        for config in configs {
            if daemon.proxies.get(&config.name).is_some() {
                let twice = format!("there is a proxy `{}` already, give another name", config.name);
                return Err(CannotListen::new(&config.listen, &io::Error::new(io::ErrorKind::InvalidInput, twice)));
            }
            let proxy = daemon.proxies.start(config).await?;
            daemon.addresses.extend(proxy.addresses());
        }
        Ok(daemon)
    }

    /// Where its proxies listen, in the order in which they were given.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The proxy of this name, to be looked at and changed while it serves. The name is `default` unless given another.
    #[must_use]
    pub fn proxy(&self, name: &str) -> Option<Control> {
        self.proxies.get(name).map(Control)
    }

    pub(crate) fn proxies(&self) -> &Arc<ProxySet> {
        &self.proxies
    }

    /// Serves until `stop` resolves. Then it listens no more, lets sleeping calls go on at once and resets hanging ones;
    /// the rest may finish within a grace period of 5 seconds. Answers what all proxies have done together.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Summary {
        stop.await;
        self.proxies.stop().await;
        self.proxies.all().iter().map(|proxy| proxy.snapshot().summary()).fold(Summary::default(), Summary::with)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.proxies.all().iter().for_each(|proxy| proxy.stop());
    }
}

/// One proxy of a daemon, while it serves.
#[derive(Debug, Clone)]
pub struct Control(Arc<Proxy>);

impl Control {
    /// Where it listens; nowhere while it is disabled.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.addresses()
    }

    /// What its calls are drawn from now.
    #[must_use]
    pub fn handler(&self) -> Mix {
        self.0.config().mix
    }

    /// Draws calls that begin from now on from `mix`. A call that sleeps in a handler goes on at once, and one that hangs
    /// has its connection reset.
    pub fn set_handler(&self, mix: Mix) {
        self.0.set_mix(mix);
    }

    /// Listens no more, so that connecting is refused, and closes all connections; or listens again, on the same port.
    ///
    /// # Errors
    ///
    /// Meanwhile something else listens there.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), CannotListen> {
        self.0.set_enabled(enabled).await
    }

    /// What it has done so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.0.snapshot().summary()
    }
}
