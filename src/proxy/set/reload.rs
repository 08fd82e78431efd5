//! Reloading the file.

use std::sync::Arc;

use tracing::{info, warn};

use super::change::{Lifetime, Target};
use super::temporary::RETRY;
use super::{ChangeError, ProxySet};
use crate::plan::Renewal;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;

impl ProxySet {
    /// Applies the file, which had `before` and has `configs` now. Proxies that are no longer in it are stopped; unchanged ones
    /// and those that were never in it are left alone. Returns how many proxies could not be changed.
    pub(crate) async fn reload(self: &Arc<Self>, before: &[ProxyConfig], configs: &[ProxyConfig]) -> usize {
        for gone in before.iter().filter(|gone| configs.iter().all(|config| config.name != gone.name)) {
            let _lock = self.locks.lock(&gone.name).await;
            if let Some(proxy) = self.unlist(&gone.name) {
                // Another proxy may need its address.
                proxy.drain().await;
                info!(proxy = gone.name, "stopped: no longer in the file");
            }
        }
        let mut left: Vec<_> = configs.iter().collect();
        let mut freed = false;
        loop {
            let mut failed = Vec::new();
            for &config in &left {
                if let Err(error) = self.reload_one(config, configs).await {
                    failed.push((config, error));
                }
            }
            if failed.is_empty() {
                return 0;
            }
            let is_stuck = failed.len() == left.len();
            if is_stuck && (freed || !failed.iter().any(|(_, error)| error.is_taken())) {
                for (config, error) in &failed {
                    self.listen_again(&config.name).await;
                    warn!(proxy = config.name, "not reloaded: {error}");
                }
                return failed.len();
            }
            if is_stuck {
                freed = true;
                // They may need each other's addresses.
                for (config, _) in failed.iter().filter(|(_, error)| error.is_taken()) {
                    self.free_address(&config.name).await;
                }
            }
            // An address may be free only now.
            left = failed.into_iter().map(|(config, _)| config).collect();
        }
    }

    /// Stops listening until the proxy is changed.
    async fn free_address(&self, name: &str) {
        let _lock = self.locks.lock(name).await;
        if let Some(proxy) = self.get(name) {
            proxy.free_address().await;
        }
    }

    /// Listens again where the proxy did before, as soon as it can.
    async fn listen_again(self: &Arc<Self>, name: &str) {
        let Err(error) = self.listen(name).await else { return };
        warn!(proxy = name, "does not listen until it can: {error}");
        let (proxies, name) = (Arc::downgrade(self), name.to_owned());
        self.shared.runtime.spawn(async move {
            loop {
                tokio::time::sleep(RETRY).await;
                let Some(proxies) = proxies.upgrade() else { return };
                if proxies.listen(&name).await.is_ok() {
                    info!(proxy = name, "listens again");
                    return;
                }
            }
        });
    }

    /// Listens where the proxy is to, if it is to and does not.
    async fn listen(&self, name: &str) -> Result<(), CannotListen> {
        let _lock = self.locks.lock(name).await;
        match self.get(name) {
            Some(proxy) => proxy.change(&proxy.config(), None).await,
            None => Ok(()),
        }
    }

    /// Applies the file to one proxy.
    async fn reload_one(self: &Arc<Self>, config: &ProxyConfig, others: &[ProxyConfig]) -> Result<(), ChangeError> {
        let _lock = self.locks.lock(&config.name).await;
        // A certificate that was renewed has the same path.
        let same = |other: &ProxyConfig| {
            other.keys.given == config.keys.given && other.tls == config.tls && other.backend_tls == config.backend_tls
        };
        let is_so = self.entry(&config.name).is_ok_and(|entry| same(&entry.proxy.config()));
        let settled = if is_so {
            // A temporary change to the same becomes permanent.
            self.make_permanent(&config.name);
            Ok(())
        } else {
            let target =
                Target { config: config.clone(), renewal: Renewal::Changed, lifetime: Lifetime::Permanent, others };
            self.apply(&config.name, target).await.map(drop)
        };
        if let Some(entry) = self.entries().get_mut(&config.name) {
            entry.base = config.clone();
            if settled.is_ok() {
                entry.temporary_rules.clear();
                entry.temporary_toxics.clear();
            }
        }
        settled
    }
}
