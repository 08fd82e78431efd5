//! Changes that are taken back by themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::change::described;
use super::{Named, ProxySet};
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;

/// A change that is taken back by itself.
#[derive(Debug, Clone)]
pub(super) struct TemporaryChange {
    /// What there was before; nothing where the proxy was only added for a while.
    pub(super) before: Option<ProxyConfig>,
    pub(super) until: Instant,
    /// Waits for that time, for as long as this is of interest.
    _timer: Arc<AbortOnDropHandle<()>>,
}

impl ProxySet {
    /// The proxy was changed for good.
    pub(super) fn stay(&self, name: &str) {
        let changed = self.changed.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(named) = self.named().get_mut(name) {
            (named.temporary, named.changed) = (None, changed);
        }
    }

    /// The proxy was changed for a time. Then the change is taken back to `before`.
    pub(super) fn pass(self: &Arc<Self>, name: &str, before: Option<ProxyConfig>, time: Duration) {
        let changed = self.changed.fetch_add(1, Ordering::Relaxed) + 1;
        let until = Instant::now() + time;
        let timer = {
            let (proxies, name) = (Arc::downgrade(self), name.to_owned());
            self.shared.runtime.spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(proxies) = proxies.upgrade() {
                    // In a task of its own, as this one is given up when there is nothing to wait for any more.
                    tokio::spawn(async move { proxies.take_back(&name, changed).await });
                }
            })
        };
        let temporary = TemporaryChange { before, until, _timer: Arc::new(AbortOnDropHandle::new(timer)) };
        if let Some(named) = self.named().get_mut(name) {
            (named.temporary, named.changed) = (Some(temporary), changed);
        }
    }

    /// When the proxy's change is over, it is to be this.
    pub(super) fn go_back_to(&self, name: &str, before: ProxyConfig) {
        if let Some(temporary) = self.named().get_mut(name).and_then(|named| named.temporary.as_mut()) {
            temporary.before = Some(before);
        }
    }

    /// The time of change number `changed` is over.
    async fn take_back(self: &Arc<Self>, name: &str, changed: u64) {
        let _turn = self.turns.take(name).await;
        let known = self.known(name).ok().filter(|named| named.changed == changed);
        let Some(Named { proxy, temporary: Some(temporary), .. }) = known else { return };
        let Some(before) = temporary.before else {
            self.forget(name);
            proxy.close().await;
            info!(proxy = name, "its `for` is over: removed");
            return;
        };
        let before = match proxy.change(&before, true).await {
            Ok(()) => before,
            Err(error) => {
                warn!(proxy = name, "cannot listen on its earlier address, keeps the present one: {error}");
                self.go_back_here(&proxy, before).await
            }
        };
        info!(proxy = name, "its `for` is over: {}", described(&before));
        self.stay(name);
    }

    /// Takes the proxy back to `before` in all but where it listens.
    async fn go_back_here(&self, proxy: &Arc<Proxy>, before: ProxyConfig) -> ProxyConfig {
        let ProxyConfig { listen, enabled, .. } = proxy.config();
        let mut before = ProxyConfig { listen, enabled, ..before };
        before.keys.set("proxy", before.listen.to_string());
        before.keys.set("enabled", enabled);
        if let Err(error) = proxy.change(&before, true).await {
            warn!(proxy = before.name, "{error}");
        }
        before
    }
}
