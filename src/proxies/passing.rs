//! Changes that are taken back by themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::{Named, Proxies, Refusal};
use crate::config::ProxyConfig;

/// A change that is taken back by itself.
#[derive(Debug, Clone)]
pub(super) struct Passing {
    /// What there was before; nothing where the proxy was only added for a while.
    pub(super) before: Option<ProxyConfig>,
    pub(super) until: Instant,
    /// Waits for that time, for as long as this is of interest.
    _timer: Arc<AbortOnDropHandle<()>>,
}

impl Proxies {
    /// Notes that the proxy was changed, and takes the change back to `before` when it is over.
    pub(super) fn pass(self: &Arc<Self>, name: &str, before: Option<ProxyConfig>, lasts: Option<Duration>) {
        let changed = self.changed.fetch_add(1, Ordering::Relaxed) + 1;
        let passing = lasts.map(|lasts| {
            let (proxies, name, until) = (Arc::downgrade(self), name.to_owned(), Instant::now() + lasts);
            let timer = self.shared.runtime.spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(proxies) = proxies.upgrade() {
                    // In a task of its own, as this one is given up when there is nothing to wait for any more.
                    tokio::spawn(async move { proxies.take_back(&name, changed).await });
                }
            });
            Passing { before, until, _timer: Arc::new(AbortOnDropHandle::new(timer)) }
        });
        if let Some(named) = self.named().get_mut(name) {
            (named.passing, named.changed) = (passing, changed);
        }
    }

    /// The time of change number `changed` is over.
    async fn take_back(self: &Arc<Self>, name: &str, changed: u64) {
        let _turn = self.turn(name).await;
        let Ok(Named { proxy, passing: Some(passing), .. }) = self.known(name).and_then(|named| {
            if named.changed == changed { Ok(named) } else { Err(Refusal::Unknown(name.to_owned())) }
        }) else {
            return;
        };
        let Some(before) = passing.before else {
            self.named().remove(name);
            proxy.close().await;
            return;
        };
        if let Err(error) = proxy.change(&before, true).await {
            let ProxyConfig { listen, enabled, .. } = proxy.config();
            warn!(proxy = name, "goes back to what was before, but listens where it does now: {error}");
            let keys = [("proxy", listen.to_string().into()), ("enabled", enabled.into())];
            let keys = keys.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
            let spec = before.spec.patched(&keys, &self.shared.registry);
            // It listens there already.
            let _ = proxy.change(&ProxyConfig { listen, enabled, spec, ..before }, true).await;
        }
        self.pass(name, None, None);
    }
}
