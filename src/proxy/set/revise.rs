//! Changes that leave it to the system which addresses are free, and end the connections of a proxy that leads elsewhere.

use std::sync::Arc;

use super::change::{Lifetime, Target};
use super::{ChangeError, ProxySet};
use crate::plan::Renewal;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;

/// What a proxy becomes.
#[derive(Debug)]
pub(crate) enum Revision {
    /// It stays what it is.
    Kept,
    /// It is changed; connections go on.
    Changed(ProxyConfig),
    /// It is changed, and its connections end.
    Restarted(ProxyConfig),
    /// The same, and port 0 is another port than it was.
    Moved(ProxyConfig),
    /// It is added, or takes the place of another one, which ends.
    New(ProxyConfig),
}

impl ProxySet {
    /// Asks `decide` what becomes of the proxy of this name, if there is one, and does that while no other changes it. Two disabled
    /// proxies may have the same address.
    pub(crate) async fn revise<E: From<ChangeError> + Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        decide: impl FnOnce(Option<&Arc<Proxy>>) -> Result<Revision, E> + Send + 'static,
    ) -> Result<Arc<Proxy>, E> {
        self.run_locked(name, async move |proxies, name| {
            let known = proxies.get(&name);
            let revision = decide(known.as_ref())?;
            let moves = matches!(revision, Revision::Moved(_) | Revision::New(_));
            let ends = moves || matches!(revision, Revision::Restarted(_));
            let (config, renewal) = match (revision, known) {
                (Revision::Kept, Some(proxy)) => return Ok(proxy),
                (Revision::Kept, None) => return Err(ChangeError::Unknown(name).into()),
                (Revision::Changed(config) | Revision::Restarted(config) | Revision::Moved(config), _) => {
                    (config, Renewal::Changed)
                }
                (Revision::New(config), _) => (config, Renewal::All),
            };
            if let Some(known) = proxies.get(&name).filter(|_| moves && config.listen.is_any_port()) {
                known.move_on().await;
            }
            let base = (renewal == Renewal::All).then(|| config.clone());
            let others: Vec<_> = proxies.all().iter().map(|proxy| proxy.config()).collect();
            let target = Target { config, renewal, lifetime: Lifetime::Permanent, others: &others };
            let change = proxies.apply(&name, target).await?;
            if ends && !change.created {
                change.proxy.cut_connections();
            }
            if let (Some(base), Some(entry)) = (base, proxies.entries().get_mut(&name)) {
                entry.base = base;
            }
            Ok(change.proxy)
        })
        .await
    }
}
