//! Changing one proxy.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::temporary::TemporaryChange;
use super::{ChangeError, Entry, ProxySet};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::Renewal;
use crate::plan::rule::list::name_like;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::config::{address_conflicts, name_conflicts};

/// What a change did.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) proxy: Arc<Proxy>,
    /// The proxy was added.
    pub(crate) created: bool,
    /// Keys whose new value is in force now.
    pub(crate) now: Vec<&'static str>,
    /// Keys whose new value applies to new connections.
    pub(crate) new_connections: Vec<&'static str>,
}

/// Keys whose new value is in force at once. All others apply to new connections.
const AT_ONCE: [&str; 6] = ["enabled", "toxics", "profile", "rules", "handler", "handlers"];

/// Those of them that calls are not drawn from.
const NO_PLAN: [&str; 3] = ["enabled", "toxics", "profile"];

/// Those of them that start the mix afresh where a change names them, even if it stays the same.
const MIX: [&str; 2] = ["handler", "handlers"];

/// Makes a new configuration from the one before.
type Apply = Box<dyn Fn(&ProxyConfig) -> Result<ProxyConfig, Diagnostics> + Send + Sync>;

/// A change of some keys of a proxy.
pub(crate) struct Edit {
    /// The keys that it names, of the top level.
    pub(crate) keys: Vec<String>,
    pub(crate) apply: Apply,
}

impl Edit {
    fn names(&self, keys: &[&str]) -> bool {
        self.keys.iter().any(|key| keys.contains(&key.as_str()))
    }
}

/// What a change leads to.
pub(super) struct Target<'a> {
    pub(super) config: ProxyConfig,
    /// What starts afresh even if it stays the same.
    pub(super) renewal: Renewal,
    pub(super) lifetime: Lifetime,
    /// Configurations of proxies that change together with this one: their present addresses do not conflict.
    pub(super) others: &'a [ProxyConfig],
}

/// How long a change lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    Permanent,
    For(Duration),
    /// A temporary change stays in force until its end.
    Unchanged,
}

impl From<Option<Duration>> for Lifetime {
    fn from(time: Option<Duration>) -> Self {
        time.map_or(Self::Permanent, Self::For)
    }
}

impl ProxySet {
    /// Replaces the proxy of this name, or adds it. One of Toxiproxy's stays one.
    pub(crate) async fn put(
        self: &Arc<Self>,
        config: ProxyConfig,
        time: Option<Duration>,
    ) -> Result<Change, ChangeError> {
        self.run_locked(&config.name.clone(), async move |proxies, name| {
            let is_toxiproxys = proxies.get(&name).is_some_and(|known| known.config().is_toxiproxys);
            let config = ProxyConfig { is_toxiproxys, ..config };
            let target = Target { config, renewal: Renewal::All, lifetime: time.into(), others: &[] };
            let change = proxies.apply(&name, target).await?;
            if time.is_none() {
                proxies.make_parts_permanent(&name);
            }
            Ok(change)
        })
        .await
    }

    /// Changes some keys. A temporary change of other keys stays in force until its end.
    pub(crate) async fn patch(
        self: &Arc<Self>,
        name: &str,
        edit: Edit,
        time: Option<Duration>,
    ) -> Result<Change, ChangeError> {
        self.run_locked(name, async move |proxies, name| proxies.edit(&name, &edit, time).await).await
    }

    /// Restores the configuration of the file.
    pub(crate) async fn reset(self: &Arc<Self>, name: &str) -> Result<Change, ChangeError> {
        self.run_locked(name, async |proxies, name| {
            let config = proxies.entry(&name)?.base;
            let target = Target { config, renewal: Renewal::All, lifetime: Lifetime::Permanent, others: &[] };
            let change = proxies.apply(&name, target).await?;
            proxies.make_parts_permanent(&name);
            Ok(change)
        })
        .await
    }

    /// Stops the proxy and closes its connections at once.
    pub(crate) async fn remove(self: &Arc<Self>, name: &str) -> Result<(), ChangeError> {
        self.run_locked(name, async |proxies, name| {
            let proxy = proxies.entry(&name)?.proxy;
            proxies.unlist(&name);
            proxy.close().await;
            info!(proxy = name, "removed");
            Ok(())
        })
        .await
    }

    /// Runs a change while no other changes this proxy. It runs to its end even if the caller is dropped.
    pub(super) async fn run_locked<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(Arc<Self>, String) -> F + Send + 'static,
    ) -> T {
        let (proxies, name) = (self.clone(), name.to_owned());
        let changed = tokio::spawn(async move {
            let _lock = proxies.locks.lock(&name).await;
            change(proxies.clone(), name.clone()).await
        });
        match changed.await {
            Ok(changed) => changed,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it this task.
                Err(_) => std::future::pending().await,
            },
        }
    }

    async fn edit(self: &Arc<Self>, name: &str, edit: &Edit, time: Option<Duration>) -> Result<Change, ChangeError> {
        let Entry { proxy, temporary, .. } = self.entry(name)?;
        let kept = temporary.filter(|_| !edit.names(&AT_ONCE));
        if kept.is_some() && time.is_some() {
            let what = "a temporary change is in force: name its `handler` or its `rules` to replace it";
            return Err(Diagnostics::from(Diagnostic::new("for", what)).into());
        }
        let target = Target {
            config: (edit.apply)(&proxy.config())?,
            renewal: if edit.names(&MIX) { Renewal::Mix } else { Renewal::Changed },
            lifetime: if kept.is_some() { Lifetime::Unchanged } else { time.into() },
            others: &[],
        };
        let change = self.apply(name, target).await?;
        if let Some(TemporaryChange { before: Some(before), .. }) = kept {
            // If the edit does not fit the configuration before, that one is restored unedited.
            if let Ok(mut edited) = (edit.apply)(&before) {
                name_like(&before.rules, &mut edited.rules);
                self.set_before(name, edited);
            }
        }
        if edit.names(&["rules", "toxics", "profile"]) && time.is_none() {
            self.make_parts_permanent(name);
        }
        Ok(change)
    }

    /// Whether a rule of `config` has the name of a proxy, or a rule of another proxy that of `config`.
    fn check_names(&self, config: &ProxyConfig) -> Result<(), ChangeError> {
        let mut configs: Vec<_> = self.all().iter().map(|proxy| proxy.config()).collect();
        configs.retain(|other| other.name != config.name);
        let new = std::slice::from_ref(config);
        let ours = name_conflicts(config, configs.iter().chain(new));
        let theirs = configs.iter().flat_map(|other| name_conflicts(other, new));
        let wrong = ours.into_iter().map(|what| ("rules", what)).chain(theirs.map(|what| ("name", what)));
        let wrong = wrong.map(|(place, what)| Diagnostic::new(place, what)).collect::<Diagnostics>();
        Ok(wrong.none_or(())?)
    }

    /// Makes the change. The caller holds the lock of this name.
    pub(super) async fn apply(self: &Arc<Self>, name: &str, target: Target<'_>) -> Result<Change, ChangeError> {
        let mut config = target.config;
        let known = self.entry(name).ok();
        let before = known.as_ref().map(|entry| entry.proxy.config());
        name_like(before.as_ref().map_or(&[], |before| &before.rules), &mut config.rules);
        self.check_names(&config)?;
        if before.as_ref().is_none_or(|before| before.listen != config.listen) {
            self.check_address(&config, target.others)?;
        }
        let old = before.as_ref().map(|before| &before.keys.all);
        let differs = |key: &&str| old.and_then(|old| old.get(*key)) != config.keys.all.get(*key);
        let mut now: Vec<_> = AT_ONCE.into_iter().filter(differs).collect();
        let mix_differs = || {
            let built = |config: &ProxyConfig| (config.mix.to_string(), config.keys.of_mix.clone());
            before.as_ref().is_none_or(|before| built(before) != built(&config))
        };
        let renewal = match target.renewal {
            Renewal::Changed if mix_differs() => Renewal::Mix,
            renewal => renewal,
        };
        // Some conditions of rules depend on it.
        let speaks_other = before.as_ref().is_some_and(|before| before.protocol != config.protocol);
        let new_plan = speaks_other || renewal != Renewal::Changed || now.iter().any(|key| !NO_PLAN.contains(key));
        let new_plan = new_plan.then_some(renewal);
        let new_connections = before.as_ref().map(|before| {
            let moves = (before.listen != config.listen).then_some("proxy");
            moves.into_iter().chain(before.connection_changes(&config)).collect()
        });
        let proxy = if let Some(entry) = &known {
            entry.proxy.change(&config, new_plan).await?;
            entry.proxy.clone()
        } else {
            let proxy = self.start(&config).await?;
            proxy.tell(&config);
            proxy
        };
        if target.renewal != Renewal::Changed && !now.contains(&"handler") {
            now.push("handler");
        }
        info!(proxy = name, "{}", described(&proxy));
        // A temporary change never reverts to another temporary change.
        let lasting = known.and_then(|entry| entry.temporary).map_or(before, |temporary| temporary.before);
        match target.lifetime {
            Lifetime::Permanent => self.make_permanent(name),
            Lifetime::For(time) => self.make_temporary(name, lasting, time),
            Lifetime::Unchanged => {}
        }
        Ok(Change {
            proxy,
            created: new_connections.is_none(),
            now,
            new_connections: new_connections.unwrap_or_default(),
        })
    }

    /// Whether another proxy, even a disabled one, has the address of `config`.
    fn check_address(&self, config: &ProxyConfig, changing: &[ProxyConfig]) -> Result<(), ChangeError> {
        let is_other = |other: &ProxyConfig| {
            other.name != config.name && changing.iter().all(|changing| changing.name != other.name)
        };
        let others: Vec<_> = self.all().iter().map(|proxy| proxy.config()).filter(is_other).collect();
        address_conflicts(&others.iter().chain([config]).collect::<Vec<_>>()).none_or(()).map_err(ChangeError::Taken)
    }
}

/// A proxy in a line of the log, as it is now.
pub(super) fn described(proxy: &Proxy) -> String {
    let (config, addresses) = (proxy.config(), proxy.addresses());
    let listening = match addresses.as_slice() {
        [] => config.listen.to_string(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
    };
    format!("now {}", config.line(&listening, &config.backend.to_string()))
}
