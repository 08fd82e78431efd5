//! A change of one proxy: what is asked for, checked, made whole, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::temporary::TemporaryChange;
use super::{Named, ProxySet, Refusal};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::events::EventKind;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::config::clash;

/// What a change has come to.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) proxy: Arc<Proxy>,
    /// It was added.
    pub(crate) created: bool,
    /// Keys whose new value holds from now on.
    pub(crate) now: Vec<&'static str>,
    /// Those whose new value holds for connections that begin from now on.
    pub(crate) new_connections: Vec<&'static str>,
}

/// Keys whose new value holds at once; that of all others holds for new connections.
const AT_ONCE: [&str; 3] = ["enabled", "handler", "handlers"];

/// A change of some keys of a proxy, the others left as they are.
pub(crate) struct Edit {
    /// The keys, as the file has them at its top.
    pub(crate) keys: Vec<String>,
    /// Makes the new configuration from the one before.
    pub(crate) apply: Box<dyn Fn(&ProxyConfig) -> Result<ProxyConfig, Diagnostics> + Send + Sync>,
}

impl Edit {
    fn names(&self, keys: &[&str]) -> bool {
        self.keys.iter().any(|key| keys.contains(&key.as_str()))
    }
}

/// What a proxy is to be.
pub(super) struct Wish<'a> {
    pub(super) config: ProxyConfig,
    /// Handlers start afresh even where they stay as they are.
    pub(super) anew: bool,
    pub(super) lasts: Lasts,
    /// Proxies that change together with this one: where they listen now does not matter.
    pub(super) others: &'a [ProxyConfig],
}

/// How long a change is to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    ForGood,
    For(Duration),
    /// What is there for a time goes on, and what it goes back to is changed as well.
    AsItWas,
}

impl From<Option<Duration>> for Lasts {
    fn from(time: Option<Duration>) -> Self {
        time.map_or(Self::ForGood, Self::For)
    }
}

impl ProxySet {
    /// Replaces the proxy of this name, or adds it.
    pub(crate) async fn put(self: &Arc<Self>, config: ProxyConfig, lasts: Option<Duration>) -> Result<Change, Refusal> {
        self.in_turn(&config.name.clone(), async move |proxies, name| {
            proxies.settle(&name, Wish { config, anew: true, lasts: lasts.into(), others: &[] }).await
        })
        .await
    }

    /// Changes some keys. A temporary change of other keys stays, and ends in its time.
    pub(crate) async fn patch(
        self: &Arc<Self>,
        name: &str,
        edit: Edit,
        lasts: Option<Duration>,
    ) -> Result<Change, Refusal> {
        self.in_turn(name, async move |proxies, name| proxies.edit(&name, &edit, lasts).await).await
    }

    /// Restores what the file says.
    pub(crate) async fn reset(self: &Arc<Self>, name: &str) -> Result<Change, Refusal> {
        self.in_turn(name, async |proxies, name| {
            let config = proxies.known(&name)?.said;
            proxies.settle(&name, Wish { config, anew: true, lasts: Lasts::ForGood, others: &[] }).await
        })
        .await
    }

    /// Stops it at once: it listens no more, and its connections are closed.
    pub(crate) async fn remove(self: &Arc<Self>, name: &str) -> Result<(), Refusal> {
        self.in_turn(name, async |proxies, name| {
            let proxy = proxies.known(&name)?.proxy;
            proxies.forget(&name);
            proxy.close().await;
            info!(proxy = name, "removed");
            Ok(())
        })
        .await
    }

    /// Makes a change when its turn has come, and to its end, also where whoever asked for it is gone meanwhile.
    async fn in_turn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(Arc<Self>, String) -> F + Send + 'static,
    ) -> T {
        let (proxies, name) = (self.clone(), name.to_owned());
        let changed = tokio::spawn(async move {
            let _turn = proxies.turns.take(&name).await;
            change(proxies.clone(), name.clone()).await
        });
        match changed.await {
            Ok(changed) => changed,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it whoever waits here.
                Err(_) => std::future::pending().await,
            },
        }
    }

    async fn edit(self: &Arc<Self>, name: &str, edit: &Edit, lasts: Option<Duration>) -> Result<Change, Refusal> {
        let Named { proxy, temporary, .. } = self.known(name)?;
        let goes_on = temporary.filter(|_| !edit.names(&AT_ONCE));
        if goes_on.is_some() && lasts.is_some() {
            let what = "a change is there for a time already, name its `handler` to give it another";
            return Err(Diagnostics::from(Diagnostic::new("for", what)).into());
        }
        let wish = Wish {
            config: (edit.apply)(&proxy.config())?,
            anew: edit.names(&AT_ONCE[1..]),
            lasts: if goes_on.is_some() { Lasts::AsItWas } else { lasts.into() },
            others: &[],
        };
        let change = self.settle(name, wish).await?;
        if let Some(TemporaryChange { before: Some(before), .. }) = goes_on {
            // Where the edit does not fit the configuration before, that one is restored unchanged.
            if let Ok(before) = (edit.apply)(&before) {
                self.go_back_to(name, before);
            }
        }
        Ok(change)
    }

    /// Lets the proxy of this name be what is wished. Its turn has come.
    pub(super) async fn settle(self: &Arc<Self>, name: &str, wish: Wish<'_>) -> Result<Change, Refusal> {
        let config = wish.config;
        let known = self.known(name).ok();
        let before = known.as_ref().map(|named| named.proxy.config());
        if before.as_ref().is_none_or(|before| before.listen != config.listen) {
            self.check_others(&config, wish.others)?;
        }
        let old = before.as_ref().map(|before| &before.keys.all);
        let differs = |key: &&str| old.and_then(|old| old.get(*key)) != config.keys.all.get(*key);
        let mut now: Vec<_> = AT_ONCE.into_iter().filter(differs).collect();
        let new_plan = wish.anew || now.iter().any(|key| *key != "enabled");
        let new_connections = before.as_ref().map(|before| {
            let moves = (before.listen != config.listen).then_some("proxy");
            moves.into_iter().chain(before.connection_changes(&config)).collect()
        });
        let proxy = if let Some(named) = &known {
            named.proxy.change(&config, new_plan).await?;
            named.proxy.clone()
        } else {
            let proxy = self.start(&config).await?;
            proxy.context.emit(|| EventKind::Plan { handler: config.mix.to_string(), enabled: config.enabled });
            proxy
        };
        if wish.anew && !now.contains(&"handler") {
            now.push("handler");
        }
        info!(proxy = name, "{}", described(&config));
        // What a passing change goes back to is never another that passes.
        let lasting = known.and_then(|named| named.temporary).map_or(before, |temporary| temporary.before);
        match wish.lasts {
            Lasts::ForGood => self.stay(name),
            Lasts::For(time) => self.pass(name, lasting, time),
            Lasts::AsItWas => {}
        }
        Ok(Change {
            proxy,
            created: new_connections.is_none(),
            now,
            new_connections: new_connections.unwrap_or_default(),
        })
    }

    /// Whether no other proxy is to listen where `config` does, also one that is disabled.
    fn check_others(&self, config: &ProxyConfig, but: &[ProxyConfig]) -> Result<(), Refusal> {
        let is_other = |other: &ProxyConfig| other.name != config.name && but.iter().all(|but| but.name != other.name);
        let others: Vec<_> = self.all().iter().map(|proxy| proxy.config()).filter(is_other).collect();
        clash(&others.iter().chain([config]).collect::<Vec<_>>()).none_or(()).map_err(Refusal::Taken)
    }
}

/// What a proxy is, for the log.
pub(super) fn described(config: &ProxyConfig) -> String {
    let ProxyConfig { listen, backend, protocol, mix, enabled, .. } = config;
    let disabled = if *enabled { "" } else { ", disabled" };
    format!("now {listen} -> {backend}, protocol {protocol}, handler {mix}{disabled}")
}
