//! The proxies of a daemon by name, and every change that is made to them while they serve.

mod passing;
mod reload;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::info;

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
use passing::Passing;

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
    /// Another proxy listens there, or is to.
    #[error(transparent)]
    Taken(Mistakes),
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
        let spec = Spec::new(keys);
        self.whole(name, async move |proxies, name| {
            proxies.check_others(&name, &spec)?;
            proxies.settle(&name, &spec, lasts, true).await
        })
        .await
    }

    /// Changes what `keys` name, and leaves the rest. Trouble that is there for a time goes on and ends in its time where
    /// they do not name it.
    pub(crate) async fn patch(
        self: &Arc<Self>,
        name: &str,
        keys: Map<String, Value>,
        lasts: Option<Duration>,
    ) -> Result<Change, Refusal> {
        self.whole(name, async move |proxies, name| proxies.merge(&name, &keys, lasts).await).await
    }

    /// Takes it back to what the file said.
    pub(crate) async fn reset(self: &Arc<Self>, name: &str) -> Result<Change, Refusal> {
        self.whole(name, async |proxies, name| {
            let said = proxies.known(&name)?.said.spec;
            proxies.settle(&name, &said, None, true).await
        })
        .await
    }

    /// Stops it at once: it listens no more, and its connections are closed.
    pub(crate) async fn remove(self: &Arc<Self>, name: &str) -> Result<(), Refusal> {
        self.whole(name, async |proxies, name| {
            let proxy = proxies.known(&name)?.proxy;
            proxies.named().remove(&name);
            proxy.close().await;
            info!(proxy = name, "removed");
            Ok(())
        })
        .await
    }

    /// Makes a change to its end when its turn has come, also where whoever asked for it is gone meanwhile.
    async fn whole<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(Arc<Self>, String) -> F + Send + 'static,
    ) -> T {
        let (proxies, name) = (self.clone(), name.to_owned());
        let changed = tokio::spawn(async move {
            let _turn = proxies.turn(&name).await;
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

    async fn merge(
        self: &Arc<Self>,
        name: &str,
        keys: &Map<String, Value>,
        lasts: Option<Duration>,
    ) -> Result<Change, Refusal> {
        let Named { proxy, passing, changed, .. } = self.known(name)?;
        let patched = |config: &ProxyConfig| config.spec.patched(keys, &self.shared.registry);
        let new_plan = AT_ONCE[1..].iter().any(|key| keys.contains_key(*key));
        let spec = patched(&proxy.config());
        self.check_others(name, &spec)?;
        let change = self.settle(name, &spec, lasts, new_plan).await?;
        let names_trouble = AT_ONCE.iter().any(|key| keys.contains_key(*key));
        if let (Some(mut passing), false, None) = (passing, names_trouble, lasts) {
            // Where the two do not go together, what was there before is gone back to as it was.
            let patch = |before: ProxyConfig| patched(&before).check(name, &self.shared.registry).unwrap_or(before);
            passing.before = passing.before.map(patch);
            if let Some(named) = self.named().get_mut(name) {
                (named.passing, named.changed) = (Some(passing), changed);
            }
        }
        Ok(change)
    }

    /// Stops all of them, and waits for their connections to end.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|proxy| proxy.stop());
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Whether no other proxy is to listen where this one is, also one that is disabled.
    fn check_others(&self, name: &str, spec: &Spec) -> Result<(), Refusal> {
        let config = spec.check(name, &self.shared.registry)?;
        let others: Vec<_> = self.all().iter().map(|proxy| proxy.config()).filter(|other| other.name != name).collect();
        clash(&others.iter().chain([&config]).collect::<Vec<_>>()).none_or(()).map_err(Refusal::Taken)
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
