//! The proxies of a daemon by name, and every change that is made to them while they serve.

mod change;
mod keyed_lock;
mod reload;
mod revise;
mod rules;
mod temporary;
mod toxics;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::diagnostic::Diagnostics;
use crate::events::Events;
use crate::labels::Labels;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;
use crate::proxy::shared::Shared;
use crate::toxic::Toxic;
use keyed_lock::KeyedLock;
use rules::TemporaryRule;
use temporary::TemporaryChange;
use toxics::TemporaryToxics;

pub(crate) use change::{Change, Edit};
pub(crate) use revise::Revision;
pub(crate) use rules::{Action, Position, Rebuild, RuleChange, RuleEdit};
pub(crate) use toxics::{ToxicAction, ToxicChange, ToxicEdit};

/// How many removed proxies are remembered.
const REMOVED: usize = 256;

/// The proxies of a daemon.
#[derive(Debug)]
pub(crate) struct ProxySet {
    shared: Arc<Shared>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// The latest that were removed: the report needs their counts.
    removed: Mutex<VecDeque<Arc<Proxy>>>,
    locks: KeyedLock,
    /// Stopped: a proxy that is added now stops at once.
    stopped: AtomicBool,
    /// How many changes there were.
    changes: AtomicU64,
}

/// A proxy, and what it can return to.
#[derive(Debug, Clone)]
struct Entry {
    proxy: Arc<Proxy>,
    /// What `reset` restores: the configuration of the file, or the one that it was added with.
    base: ProxyConfig,
    /// The change that is in force for a time.
    temporary: Option<TemporaryChange>,
    /// The changes of single rules that are in force for a time, by the rule's name.
    temporary_rules: BTreeMap<String, TemporaryRule>,
    /// The changes of single toxics that are in force for a time.
    temporary_toxics: TemporaryToxics,
    /// The number of its last change, unique over all proxies: a timer of an earlier proxy of this name does not match.
    last_change: u64,
}

/// Until when temporary changes of a proxy are in force.
pub(crate) struct Times(Option<Entry>);

impl Times {
    /// The time until the temporary change that gave the proxy this configuration is reverted.
    pub(crate) fn proxy(&self, config: &ProxyConfig) -> Option<Duration> {
        let change = self.0.as_ref()?.temporary.as_ref()?;
        let is_reverted = change.before.as_ref().is_some_and(|before| before.keys == config.keys);
        (!is_reverted).then(|| change.until.saturating_duration_since(Instant::now()))
    }

    /// The time until a change that made this rule `text` is taken back.
    pub(crate) fn rule(&self, name: &str, text: &str) -> Option<Duration> {
        let change = self.0.as_ref()?.temporary_rules.get(name).filter(|change| change.now == text)?;
        Some(change.until.saturating_duration_since(Instant::now()))
    }

    /// The time until a change that made this `toxic` is taken back.
    pub(crate) fn toxic(&self, toxic: &Toxic) -> Option<Duration> {
        let change = self.0.as_ref()?.temporary_toxics.get(toxic.name()).filter(|change| change.now == *toxic)?;
        Some(change.until.saturating_duration_since(Instant::now()))
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is no proxy of this name.
    #[error("there is no proxy `{0}`")]
    Unknown(String),
    /// The proxy has no rule of this name.
    #[error("`{proxy}` has no rule `{rule}`{}", there_are(known))]
    UnknownRule { proxy: String, rule: String, known: Vec<String> },
    /// The proxy has no toxic of this name.
    #[error("`{proxy}` has no toxic `{toxic}`{}", there_are(known))]
    UnknownToxic { proxy: String, toxic: String, known: Vec<String> },
    /// The new configuration is invalid.
    #[error(transparent)]
    Wrong(#[from] Diagnostics),
    /// Another proxy has this address.
    #[error(transparent)]
    Taken(Diagnostics),
    /// It cannot listen there.
    #[error(transparent)]
    CannotListen(#[from] CannotListen),
}

/// What rules or toxics there are, after a message that one is not there.
fn there_are(names: &[String]) -> String {
    match names {
        [] => ", it has none".to_owned(),
        names => format!(" (there are: {})", names.join(", ")),
    }
}

impl ChangeError {
    /// Whether the address is in use.
    fn is_taken(&self) -> bool {
        matches!(self, Self::CannotListen(error) if error.kind() == io::ErrorKind::AddrInUse)
    }
}

impl ProxySet {
    pub(crate) fn new(shared: Shared) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(shared),
            entries: Mutex::default(),
            removed: Mutex::default(),
            locks: KeyedLock::default(),
            stopped: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        })
    }

    pub(crate) fn events(&self) -> &Events {
        &self.shared.events
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.shared.labels
    }

    /// Ordered by name.
    pub(crate) fn all(&self) -> Vec<Arc<Proxy>> {
        self.entries().values().map(|entry| entry.proxy.clone()).collect()
    }

    /// Removed ones first.
    pub(crate) fn all_and_removed(&self) -> Vec<Arc<Proxy>> {
        let removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let removed: Vec<_> = removed.iter().cloned().collect();
        removed.into_iter().chain(self.all()).collect()
    }

    /// Whether there may have been proxies that are not remembered.
    pub(crate) fn may_have_forgotten(&self) -> bool {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner).len() >= REMOVED
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Proxy>> {
        self.entries().get(name).map(|entry| entry.proxy.clone())
    }

    /// The proxy of calls that name none: `default`, or the only one.
    pub(crate) fn default_proxy(&self) -> Option<Arc<Proxy>> {
        let entries = self.entries();
        let only = if entries.len() == 1 { entries.values().next() } else { None };
        entries.get("default").or(only).map(|entry| entry.proxy.clone())
    }

    /// Until when temporary changes of a proxy are in force. It has to be read before what they have made: what is read behind it is
    /// that, or is as before already.
    pub(crate) fn times(&self, name: &str) -> Times {
        Times(self.entry(name).ok())
    }

    /// Adds a proxy, which listens from now on.
    pub(crate) async fn start(&self, config: &ProxyConfig) -> Result<Arc<Proxy>, CannotListen> {
        let proxy = Proxy::new(config, self.shared.clone());
        proxy.change(config, None).await?;
        let entry = Entry {
            proxy: proxy.clone(),
            base: config.clone(),
            temporary: None,
            temporary_rules: BTreeMap::new(),
            temporary_toxics: TemporaryToxics::new(),
            last_change: 0,
        };
        self.entries().insert(config.name.clone(), entry);
        if self.stopped.load(Ordering::SeqCst) {
            proxy.stop();
        }
        Ok(proxy)
    }

    /// Stops all of them, and waits for their connections to end.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|proxy| proxy.stop());
        for proxy in self.all() {
            // A client that a worker has just accepted is a connection by then.
            proxy.free_address().await;
        }
        self.shared.workers.finished().await;
    }

    /// Takes it out of the set. That does not stop it.
    fn unlist(&self, name: &str) -> Option<Arc<Proxy>> {
        let proxy = self.entries().remove(name)?.proxy;
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        if removed.len() == REMOVED {
            removed.pop_front();
        }
        removed.push_back(proxy.clone());
        Some(proxy)
    }

    fn entry(&self, name: &str) -> Result<Entry, ChangeError> {
        self.entries().get(name).cloned().ok_or_else(|| ChangeError::Unknown(name.to_owned()))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
