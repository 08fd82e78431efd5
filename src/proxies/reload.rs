//! A file that is read again.

use std::sync::Arc;

use tracing::{info, warn};

use super::{Proxies, Refusal};
use crate::config::ProxyConfig;

impl Proxies {
    /// Becomes what a file says that was read again: `said` before, `configs` now. Proxies that vanished from it are stopped,
    /// those that are as it says are left alone, and so are those that it never named. Answers how many could not follow.
    pub(crate) async fn reload(self: &Arc<Self>, said: &[ProxyConfig], configs: &[ProxyConfig]) -> usize {
        for gone in said.iter().filter(|gone| configs.iter().all(|config| config.name != gone.name)) {
            let _turn = self.turn(&gone.name).await;
            let removed = self.named().remove(&gone.name);
            if let Some(named) = removed {
                // Another proxy may be about to listen where it did.
                named.proxy.end().await;
                info!(proxy = gone.name, "stopped, as the file has it no more");
            }
        }
        let mut left: Vec<_> = configs.iter().collect();
        let mut made_room = false;
        loop {
            let mut refused = Vec::new();
            for &config in &left {
                if let Err(refusal) = self.follow(config).await {
                    refused.push((config, refusal));
                }
            }
            if refused.is_empty() {
                return 0;
            }
            let progress = refused.len() < left.len();
            left = refused.iter().map(|(config, _)| *config).collect();
            if progress {
                // One may have waited for an address that another has left only now.
                continue;
            }
            let proxies = left.iter().filter_map(|config| self.get(&config.name));
            if !std::mem::replace(&mut made_room, true) {
                // They may wait for each other.
                for proxy in proxies {
                    proxy.make_room().await;
                }
                continue;
            }
            for proxy in proxies {
                let now = proxy.config();
                if let Err(error) = proxy.change(&now, false).await {
                    warn!(proxy = now.name, "{error}");
                }
            }
            for (config, refusal) in &refused {
                warn!(proxy = config.name, "stays as it is: {refusal}");
            }
            return refused.len();
        }
    }

    /// Lets one proxy be what the file says now.
    async fn follow(self: &Arc<Self>, config: &ProxyConfig) -> Result<(), Refusal> {
        let _turn = self.turn(&config.name).await;
        let is_so = self.known(&config.name).is_ok_and(|named| named.proxy.config().spec == config.spec);
        let settled = if is_so {
            // Where it was so only for a while, it stays.
            self.pass(&config.name, None, None);
            Ok(())
        } else {
            self.settle(&config.name, &config.spec, None, false).await.map(drop)
        };
        if let Some(named) = self.named().get_mut(&config.name) {
            named.said = config.clone();
        }
        settled
    }
}
