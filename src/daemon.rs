//! The daemon: it listens, serves until it is told to stop, and lets what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::config::ProxyConfig;
use crate::counts::Summary;
use crate::handler::Registry;
use crate::journal::Journal;
use crate::listening::CannotListen;
use crate::mix::Mix;
use crate::proxies::Proxies;
use crate::proxy::Proxy;
use crate::recording::Recording;
use crate::room::Room;

/// What all proxies of a daemon share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    /// The handlers that can be asked for by name.
    pub(crate) registry: Registry,
    pub(crate) room: Room,
    pub(crate) journal: Journal,
    pub(crate) recording: Recording,
    /// The connections of all proxies, also of those that are no more.
    pub(crate) tasks: TaskTracker,
    /// What their connections run on.
    pub(crate) runtime: Handle,
}

/// Proxies that listen and serve, until this is dropped.
#[derive(Debug)]
pub struct Daemon {
    proxies: Arc<Proxies>,
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
        let (journal, recording) = (Journal::off(), Recording::off());
        Self::start(configs, Shared::new(seed, Registry::default(), Room::left(0), journal, recording)).await
    }

    pub(crate) async fn start<'a>(
        configs: impl IntoIterator<Item = &'a ProxyConfig>,
        shared: Shared,
    ) -> Result<Self, CannotListen> {
        let proxies = Proxies::new(shared);
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

    pub(crate) fn proxies(&self) -> &Arc<Proxies> {
        &self.proxies
    }

    /// Serves until `stop` resolves. Then it listens no more, lets sleeping calls go on at once and resets hanging ones;
    /// the rest may finish within a grace period of 5 seconds. Answers what all proxies have done together.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Summary {
        stop.await;
        self.proxies.stop().await;
        self.proxies.all().iter().map(|proxy| proxy.summary()).fold(Summary::default(), Summary::with)
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
        self.0.summary()
    }
}

impl Shared {
    pub(crate) fn new(seed: u64, registry: Registry, room: Room, journal: Journal, recording: Recording) -> Self {
        Self { seed, registry, room, journal, recording, tasks: TaskTracker::new(), runtime: Handle::current() }
    }
}
