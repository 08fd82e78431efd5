//! Changes that are reverted after a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::change::described;
use super::{Entry, ProxySet};
use crate::plan::Renewal;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;

/// A proxy that cannot listen tries again after this time.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// A change that is reverted after a time.
#[derive(Debug, Clone)]
pub(super) struct TemporaryChange {
    /// What it is reverted to; none if the proxy itself was added for a time.
    pub(super) before: Option<ProxyConfig>,
    pub(super) until: Instant,
    /// Ends with the last clone of this change.
    _timer: Arc<AbortOnDropHandle<()>>,
}

impl ProxySet {
    /// The proxy was changed permanently.
    pub(super) fn make_permanent(&self, name: &str) {
        let change = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(entry) = self.entries().get_mut(name) {
            (entry.temporary, entry.last_change) = (None, change);
        }
    }

    /// The proxy was changed for a time, after which it is reverted to `before`.
    pub(super) fn make_temporary(self: &Arc<Self>, name: &str, before: Option<ProxyConfig>, time: Duration) {
        let change = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let until = Instant::now() + time;
        let timer = {
            let (proxies, name) = (Arc::downgrade(self), name.to_owned());
            self.shared.runtime.spawn(async move {
                tokio::time::sleep_until(until).await;
                let mut is_first = true;
                while let Some(proxies) = proxies.upgrade() {
                    let name = name.clone();
                    // In a task of its own: reverting drops the change, and with it this task.
                    let done = tokio::spawn(async move { proxies.revert(&name, change, is_first).await });
                    if done.await.is_ok_and(|is_done| is_done) {
                        return;
                    }
                    is_first = false;
                    tokio::time::sleep(RETRY).await;
                }
            })
        };
        let temporary = TemporaryChange { before, until, _timer: Arc::new(AbortOnDropHandle::new(timer)) };
        if let Some(entry) = self.entries().get_mut(name) {
            (entry.temporary, entry.last_change) = (Some(temporary), change);
        }
    }

    /// Replaces what the temporary change is reverted to.
    pub(super) fn set_before(&self, name: &str, before: ProxyConfig) {
        if let Some(temporary) = self.entries().get_mut(name).and_then(|entry| entry.temporary.as_mut()) {
            temporary.before = Some(before);
        }
    }

    /// The time of change number `change` is over. Returns false if that is to be tried again, as the proxy cannot listen.
    async fn revert(self: &Arc<Self>, name: &str, change: u64, is_first: bool) -> bool {
        let _lock = self.locks.lock(name).await;
        let known = self.entry(name).ok().filter(|entry| entry.last_change == change);
        let Some(Entry { proxy, temporary: Some(temporary), .. }) = known else { return true };
        let Some(before) = temporary.before else {
            self.unlist(name);
            proxy.close().await;
            info!(proxy = name, "its `for` is over: removed");
            return true;
        };
        match proxy.change(&before, Some(Renewal::Mix)).await {
            Ok(()) => {}
            Err(_) if proxy.context.shutdown.has_begun() => return true,
            // It serves nobody, so nothing else of the change matters until it can listen.
            Err(error) if !proxy.config().enabled => {
                if is_first {
                    warn!(proxy = name, "its `for` is over, but it stays disabled until it can listen: {error}");
                }
                return false;
            }
            Err(error) => {
                if is_first {
                    warn!(
                        proxy = name,
                        "its `for` is over, but it keeps its address until it can listen on the earlier one: {error}"
                    );
                    revert_in_place(&proxy, before).await;
                }
                return false;
            }
        }
        self.make_permanent(name);
        info!(proxy = name, "its `for` is over: {}", described(&proxy));
        true
    }
}

/// Reverts the proxy to `before`, but keeps its address.
async fn revert_in_place(proxy: &Arc<Proxy>, before: ProxyConfig) {
    let ProxyConfig { listen, enabled, .. } = proxy.config();
    let mut before = ProxyConfig { listen, enabled, ..before };
    before.keys.set("proxy", before.listen.to_string());
    before.keys.set("enabled", enabled);
    if let Err(error) = proxy.change(&before, Some(Renewal::Mix)).await {
        warn!(proxy = before.name, "{error}");
    }
}
