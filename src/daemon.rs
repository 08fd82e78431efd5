//! The daemon: it listens, serves until it is told to stop, and lets what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::config::ProxyConfig;
use crate::counts::Summary;
use crate::listen::listen;
use crate::proxy::Proxy;
use crate::stop::Stopper;

/// A proxy that listens, and serves once it is told to.
#[derive(Debug)]
pub struct Daemon {
    proxy: Arc<Proxy>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    stopper: Stopper,
}

impl Daemon {
    /// Listens. Clients that connect from now on are served by [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// The address cannot be resolved or listened on.
    pub async fn bind(config: &ProxyConfig, seed: u64) -> io::Result<Self> {
        let listeners = listen(&config.listen).await?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let (stopper, stop) = Stopper::new();
        Ok(Self { proxy: Arc::new(Proxy::new(config, seed, stop)), listeners, addresses, stopper })
    }

    /// Where it listens, the first address first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop` resolves. Then it listens no more, lets sleeping calls go on at once and resets hanging ones;
    /// the rest may finish within a grace period of 5 seconds.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Summary {
        let (alive, mut all_ended) = mpsc::channel(1);
        for listener in self.listeners {
            tokio::spawn(self.proxy.clone().accept(listener, alive.clone()));
        }
        drop(alive);
        stop.await;
        self.stopper.stop();
        // Resolves when the last connection has dropped its sender.
        let _ = all_ended.recv().await;
        self.proxy.summary()
    }
}
