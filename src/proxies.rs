//! The proxies of a daemon by name, and every change that is made to them while they serve.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::proxy::clash;
use crate::config::spec::Spec;
use crate::config::{Mistakes, ProxyConfig};
use crate::daemon::Shared;
use crate::handler::Registry;
use crate::journal::Journal;
use crate::listening::CannotListen;
use crate::metrics::{self, Format, ProcessFigures, Snapshot};
use crate::proxy::Proxy;
use crate::route::Route;

/// The proxies of a daemon.
#[derive(Debug)]
pub(crate) struct Proxies {
    shared: Arc<Shared>,
    named: Mutex<BTreeMap<String, Named>>,
    /// Changes of one proxy are made one after the other. Neither looking nor changes of others wait for them, as where a
    /// name has to be resolved.
    changes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// All are stopped, and so is whatever is added.
    stopped: AtomicBool,
    /// How many there were.
    changed: AtomicU64,
}

/// A proxy, and what it can go back to.
#[derive(Debug, Clone)]
struct Named {
    proxy: Arc<Proxy>,
    /// What the file said, or whoever added it.
    said: ProxyConfig,
    /// Where it is as it is only for a while.
    passing: Option<Passing>,
    /// The number of its last change, among those of all proxies: one that is added again has none of the one before it.
    changed: u64,
}

/// A change that is taken back by itself.
#[derive(Debug, Clone)]
struct Passing {
    /// What there was before; nothing where the proxy was only added for a while.
    before: Option<ProxyConfig>,
    until: Instant,
}

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

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is none of this name.
    #[error("there is no proxy `{0}`")]
    Unknown(String),
    /// What was asked for is wrong.
    #[error(transparent)]
    Wrong(#[from] Mistakes),
    /// There it cannot listen.
    #[error(transparent)]
    CannotListen(#[from] CannotListen),
}

/// Keys whose new value holds at once; that of all others holds for new connections.
const AT_ONCE: [&str; 3] = ["enabled", "handler", "handlers"];

impl Proxies {
    pub(crate) fn new(shared: Shared) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(shared),
            named: Mutex::default(),
            changes: Mutex::default(),
            stopped: AtomicBool::new(false),
            changed: AtomicU64::new(0),
        })
    }

    /// The handlers that can be asked for by name.
    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// What all of them have done that their users may want to know of.
    pub(crate) fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Proxy>> {
        self.named().values().map(|named| named.proxy.clone()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Proxy>> {
        self.named().get(name).map(|named| named.proxy.clone())
    }

    /// The proxy that is meant where none is named: `default`, or the only one.
    pub(crate) fn the_one(&self) -> Option<Arc<Proxy>> {
        let named = self.named();
        let only = if named.len() == 1 { named.values().next() } else { None };
        named.get("default").or(only).map(|named| named.proxy.clone())
    }

    /// All figures, as metrics.
    pub(crate) fn metrics(&self, format: Format) -> Result<String, fmt::Error> {
        let proxies = self.all().iter().map(|proxy| proxy.figures()).collect();
        metrics::encode(Snapshot { proxies, process: ProcessFigures::now() }, format)
    }

    /// How long it takes until the proxy's last change is taken back.
    pub(crate) fn lasts(&self, name: &str) -> Option<Duration> {
        let until = self.named().get(name)?.passing.as_ref()?.until;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Adds a proxy, and lets it listen.
    pub(crate) async fn start(&self, config: &ProxyConfig) -> Result<Arc<Proxy>, CannotListen> {
        let proxy = Proxy::new(config, self.shared.clone());
        proxy.change(config, false).await?;
        let named = Named { proxy: proxy.clone(), said: config.clone(), passing: None, changed: 0 };
        self.named().insert(config.name.clone(), named);
        if self.stopped.load(Ordering::SeqCst) {
            proxy.stop();
        }
        Ok(proxy)
    }

    /// Lets the proxy of this name be what `keys` say, those of the file; adds it where there is none.
    pub(crate) async fn put(
        self: &Arc<Self>,
        name: &str,
        keys: Map<String, Value>,
        lasts: Option<Duration>,
    ) -> Result<Change, Refusal> {
        let _turn = self.turn(name).await;
        self.settle(name, &Spec::new(keys), lasts, true).await
    }

    /// Changes what `keys` name, and leaves the rest. Trouble that is there for a time goes on and ends in its time where
    /// they do not name it.
    pub(crate) async fn patch(
        self: &Arc<Self>,
        name: &str,
        keys: &Map<String, Value>,
        lasts: Option<Duration>,
    ) -> Result<Change, Refusal> {
        let _turn = self.turn(name).await;
        let Named { proxy, passing, changed, .. } = self.known(name)?;
        let patched = |config: &ProxyConfig| config.spec.patched(keys, &self.shared.registry);
        let new_plan = AT_ONCE[1..].iter().any(|key| keys.contains_key(*key));
        let change = self.settle(name, &patched(&proxy.config()), lasts, new_plan).await?;
        let names_trouble = AT_ONCE.iter().any(|key| keys.contains_key(*key));
        if let (Some(Passing { before, until }), false, None) = (passing, names_trouble, lasts) {
            // Where the two do not go together, what was there before is gone back to as it was.
            let before = before.map(|before| patched(&before).check(name, &self.shared.registry).unwrap_or(before));
            if let Some(named) = self.named().get_mut(name) {
                (named.passing, named.changed) = (Some(Passing { before, until }), changed);
            }
        }
        Ok(change)
    }

    /// Takes it back to what the file said.
    pub(crate) async fn reset(self: &Arc<Self>, name: &str) -> Result<Change, Refusal> {
        let _turn = self.turn(name).await;
        let said = self.known(name)?.said.spec;
        self.settle(name, &said, None, true).await
    }

    /// Stops it at once: it listens no more, and its connections are closed.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Refusal> {
        let _turn = self.turn(name).await;
        let proxy = self.known(name)?.proxy;
        self.named().remove(name);
        proxy.close().await;
        info!(proxy = name, "removed");
        Ok(())
    }

    /// Stops all of them, and waits for their connections to end.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|proxy| proxy.stop());
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Becomes what a file says that was read again: `said` before, `configs` now. Proxies that vanished from it are stopped,
    /// those that are as it says are left alone, and so are those that it never named.
    pub(crate) async fn reload(self: &Arc<Self>, said: &[ProxyConfig], configs: &[ProxyConfig]) {
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
        while !left.is_empty() {
            let mut refused = Vec::new();
            for &config in &left {
                if let Err(refusal) = self.follow(config).await {
                    refused.push((config, refusal));
                }
            }
            // One may wait for an address that another has left only now.
            if refused.len() == left.len() {
                for (config, refusal) in refused {
                    warn!(proxy = config.name, "stays as it is: {refusal}");
                }
                return;
            }
            left = refused.into_iter().map(|(config, _)| config).collect();
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

    /// Lets the proxy of this name be what `spec` says. Whether handlers start afresh that are to be as they are, `anew`
    /// decides.
    async fn settle(
        self: &Arc<Self>,
        name: &str,
        spec: &Spec,
        lasts: Option<Duration>,
        anew: bool,
    ) -> Result<Change, Refusal> {
        let registry = &self.shared.registry;
        let config = spec.check(name, registry)?;
        let others: Vec<_> = self.all().iter().map(|proxy| proxy.config()).filter(|other| other.name != name).collect();
        clash(&others.iter().chain([&config]).collect::<Vec<_>>()).none_or(())?;
        let known = self.known(name).ok();
        let before = known.as_ref().map(|named| named.proxy.config());
        let old = before.as_ref().map(|before| before.spec.complete(registry)).unwrap_or_default();
        let new = spec.complete(registry);
        let mut now: Vec<_> = AT_ONCE.into_iter().filter(|key| old.get(*key) != new.get(*key)).collect();
        let new_plan = anew || now.iter().any(|key| *key != "enabled");
        let new_connections = before.as_ref().map(|before| {
            let moves = (before.listen != config.listen).then_some("proxy");
            moves.into_iter().chain(Route::differences(before, &config)).collect()
        });
        let proxy = match &known {
            Some(named) => {
                named.proxy.change(&config, new_plan).await?;
                named.proxy.clone()
            }
            None => self.start(&config).await?,
        };
        if anew && !now.contains(&"handler") {
            now.push("handler");
        }
        info!(
            proxy = name,
            "now {} -> {}, protocol {}, handler {}{}",
            config.listen,
            config.backend,
            config.protocol,
            config.mix,
            if config.enabled { "" } else { ", disabled" }
        );
        self.pass(name, known.and_then(|named| named.passing).map_or(before, |passing| passing.before), lasts);
        Ok(Change {
            proxy,
            created: new_connections.is_none(),
            now,
            new_connections: new_connections.unwrap_or_default(),
        })
    }

    /// Notes that the proxy was changed, and takes the change back to `before` when it is over.
    fn pass(self: &Arc<Self>, name: &str, before: Option<ProxyConfig>, lasts: Option<Duration>) {
        let until = lasts.map(|lasts| Instant::now() + lasts);
        let changed = self.changed.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut named = self.named();
            let Some(named) = named.get_mut(name) else { return };
            named.passing = until.map(|until| Passing { before, until });
            named.changed = changed;
        }
        if let Some(until) = until {
            let (proxies, name) = (Arc::downgrade(self), name.to_owned());
            self.shared.runtime.spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(proxies) = proxies.upgrade() {
                    proxies.take_back(&name, changed).await;
                }
            });
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
            warn!(proxy = name, "cannot go back to what was before: {error}");
        }
        self.pass(name, None, None);
    }

    /// A turn to change the proxy of this name.
    async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let turns = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.retain(|_, turns| Arc::strong_count(turns) > 1);
            changes.entry(name.to_owned()).or_default().clone()
        };
        turns.lock_owned().await
    }

    fn known(&self, name: &str) -> Result<Named, Refusal> {
        self.named().get(name).cloned().ok_or_else(|| Refusal::Unknown(name.to_owned()))
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<String, Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
