//! The daemon: listens, serves until it is stopped, and lets open calls finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::call_log::CallLog;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::events::Events;
use crate::metrics::summary::Summary;
use crate::net::bound::BoundAddress;
use crate::net::connection_limit::ConnectionLimit;
use crate::plan::mix::Mix;
use crate::plan::rule::list;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;
use crate::proxy::set::ProxySet;
use crate::proxy::shared::Shared;
use crate::toxic::{self, Toxic};

/// Proxies that listen and serve until this is dropped.
#[derive(Debug)]
pub struct Daemon {
    proxies: Arc<ProxySet>,
    addresses: Vec<SocketAddr>,
}

impl Daemon {
    /// Starts one proxy. The same `seed` and the same calls make the same choices.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved or listened on, or a handler or a rule cannot serve the protocol.
    pub async fn bind(config: &ProxyConfig, seed: u64) -> Result<Self, CannotListen> {
        Self::bind_all([config], seed).await
    }

    /// Starts several proxies, each with a name of its own.
    ///
    /// # Errors
    ///
    /// One cannot listen, two have the same name, or a handler, a rule or `rewrite_host` cannot serve the protocol of its proxy. Then
    /// none is started.
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
                let twice = format!("another proxy is named `{}`: give each its own name", config.name);
                return Err(CannotListen::new(
                    config,
                    &config.listen,
                    &io::Error::new(io::ErrorKind::InvalidInput, twice),
                ));
            }
            let of_rules = list::check(&config.rules, config.protocol).into_iter().map(|(_, why)| why);
            let of_tls =
                list::check_tls(&config.rules, &config.mix, config.tls.as_ref()).into_iter().map(|(_, why)| why);
            let of_host = config.check_rewrite_host().map(|why| format!("rewrite_host: {why}"));
            let of_proxy = config.mix.check(config.protocol).chain(of_tls).chain(of_host);
            if let Some(why) = of_rules.chain(of_proxy).next() {
                return Err(CannotListen::new(
                    config,
                    &config.listen,
                    &io::Error::new(io::ErrorKind::InvalidInput, why),
                ));
            }
            let proxy = daemon.proxies.start(config).await?;
            daemon.addresses.extend(ips(&proxy.addresses()));
        }
        Ok(daemon)
    }

    /// The addresses that its proxies listen on, in the order of the configurations. Those on Unix sockets have none.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The proxy of this name, to read and change it while it serves. The name is `default` unless it was set.
    #[must_use]
    pub fn proxy(&self, name: &str) -> Option<Control> {
        self.proxies.get(name).map(Control)
    }

    pub(crate) fn proxies(&self) -> &Arc<ProxySet> {
        &self.proxies
    }

    /// Serves until `stop` resolves, then shuts down: stops listening, ends the waits of sleeping calls and resets hanging
    /// ones. Other calls have a grace period of 5 seconds. Returns the sum over all proxies.
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

/// Those of `addresses` that are TCP's.
fn ips(addresses: &[BoundAddress]) -> impl Iterator<Item = SocketAddr> {
    addresses.iter().filter_map(BoundAddress::ip)
}

/// One proxy of a daemon, while it serves.
#[derive(Debug, Clone)]
pub struct Control(Arc<Proxy>);

impl Control {
    /// The addresses that it listens on; none while it is disabled, and none on a Unix socket.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        ips(&self.0.addresses()).collect()
    }

    /// The mix in force.
    #[must_use]
    pub fn handler(&self) -> Mix {
        self.0.config().mix
    }

    /// Replaces the mix. Calls that sleep in a handler go on at once; the connections of hanging ones are reset.
    pub fn set_handler(&self, mix: Mix) {
        self.0.set_mix(mix);
    }

    /// What happens to the bytes of connections.
    #[must_use]
    pub fn toxics(&self) -> Vec<Toxic> {
        self.0.config().toxics
    }

    /// Replaces what happens to the bytes of connections, open ones as well. What a toxic holds that is no longer there goes on at
    /// once.
    ///
    /// # Errors
    ///
    /// Two of them have one name.
    pub fn set_toxics(&self, toxics: impl IntoIterator<Item = Toxic>) -> Result<(), Diagnostics> {
        let toxics: Vec<_> = toxics.into_iter().collect();
        let wrong: Diagnostics = toxic::conflicts(&toxics).map(|what| Diagnostic::new("toxics", what)).collect();
        wrong.none_or(())?;
        self.0.set_toxics(toxics);
        Ok(())
    }

    /// Disabled: stops listening and closes all connections. Enabled: listens again, on the same port.
    ///
    /// # Errors
    ///
    /// Another program listens on the port.
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), CannotListen> {
        self.0.set_enabled(enabled).await
    }

    /// What it has done since it was created.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.0.snapshot().summary()
    }
}
