//! A file that is read again.

use std::sync::Arc;

use tracing::{info, warn};

use super::change::{Lasts, Wish};
use super::{ProxySet, Refusal};
use crate::proxy::config::ProxyConfig;

impl ProxySet {
    /// Becomes what a file says that was read again: `said` before, `configs` now. Proxies that vanished from it are stopped,
    /// those that are as it says are left alone, and so are those that it never named. Answers how many could not follow.
    pub(crate) async fn reload(self: &Arc<Self>, said: &[ProxyConfig], configs: &[ProxyConfig]) -> usize {
        for gone in said.iter().filter(|gone| configs.iter().all(|config| config.name != gone.name)) {
            let _turn = self.turns.take(&gone.name).await;
            if let Some(proxy) = self.forget(&gone.name) {
                // Another proxy may be about to listen where it did.
                proxy.drain().await;
                info!(proxy = gone.name, "stopped, as the file has it no more");
            }
        }
        let mut left: Vec<_> = configs.iter().collect();
        let mut freed = false;
        loop {
            let mut refused = Vec::new();
            for &config in &left {
                if let Err(refusal) = self.follow(config, configs).await {
                    refused.push((config, refusal));
                }
            }
            if refused.is_empty() {
                return 0;
            }
            let is_stuck = refused.len() == left.len();
            if is_stuck && (freed || !refused.iter().any(|(_, refusal)| refusal.is_taken())) {
                for (config, refusal) in &refused {
                    self.listen_again(&config.name).await;
                    warn!(proxy = config.name, "stays as it is: {refusal}");
                }
                return refused.len();
            }
            if is_stuck {
                freed = true;
                // They may wait for each other's addresses.
                for (config, _) in refused.iter().filter(|(_, refusal)| refusal.is_taken()) {
                    self.free_address(&config.name).await;
                }
            }
            // And one may have waited for an address that another has left only now.
            left = refused.into_iter().map(|(config, _)| config).collect();
        }
    }

    /// Lets the proxy listen nowhere for a moment.
    async fn free_address(&self, name: &str) {
        let _turn = self.turns.take(name).await;
        if let Some(proxy) = self.get(name) {
            proxy.free_address().await;
        }
    }

    /// Lets the proxy listen where it did before it made room.
    async fn listen_again(&self, name: &str) {
        let _turn = self.turns.take(name).await;
        if let Some(proxy) = self.get(name) {
            let now = proxy.config();
            if let Err(error) = proxy.change(&now, false).await {
                warn!(proxy = name, "{error}");
            }
        }
    }

    /// Lets one proxy be what the file says now.
    async fn follow(self: &Arc<Self>, config: &ProxyConfig, others: &[ProxyConfig]) -> Result<(), Refusal> {
        let _turn = self.turns.take(&config.name).await;
        let is_so = self.known(&config.name).is_ok_and(|named| named.proxy.config().keys.given == config.keys.given);
        let settled = if is_so {
            // Where it was so only for a while, it stays.
            self.stay(&config.name);
            Ok(())
        } else {
            let wish = Wish { config: config.clone(), anew: false, lasts: Lasts::ForGood, others };
            self.settle(&config.name, wish).await.map(drop)
        };
        if let Some(named) = self.named().get_mut(&config.name) {
            named.said = config.clone();
        }
        settled
    }
}
