//! The proxies of a daemon by name, and every change that is made to them while they serve.

mod change;
mod keyed_lock;
mod reload;
mod temporary;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::diagnostic::Diagnostics;
use crate::events::Events;
use crate::proxy::Proxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;
use crate::proxy::shared::Shared;
use keyed_lock::KeyedLock;
use temporary::TemporaryChange;

pub(crate) use change::{Change, Edit};

/// As many that were removed are remembered.
const REMOVED: usize = 256;

/// The proxies of a daemon.
#[derive(Debug)]
pub(crate) struct ProxySet {
    shared: Arc<Shared>,
    named: Mutex<BTreeMap<String, Named>>,
    /// The latest that were removed: what they did belongs to the report.
    removed: Mutex<VecDeque<Arc<Proxy>>>,
    turns: KeyedLock,
    /// All are stopped, and so is whatever is added.
    stopped: AtomicBool,
    /// How many changes there were.
    changed: AtomicU64,
}

/// A proxy, and what it can go back to.
#[derive(Debug, Clone)]
struct Named {
    proxy: Arc<Proxy>,
    /// What the file said, or whoever added it.
    said: ProxyConfig,
    /// Where it is as it is only for a while.
    temporary: Option<TemporaryChange>,
    /// The number of its last change, among those of all proxies: one that is added again has none of the one before it.
    changed: u64,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is none of this name.
    #[error("there is no proxy `{0}`")]
    Unknown(String),
    /// What was asked for is wrong.
    #[error(transparent)]
    Wrong(#[from] Diagnostics),
    /// Another proxy listens there, or is to.
    #[error(transparent)]
    Taken(Diagnostics),
    /// There it cannot listen.
    #[error(transparent)]
    CannotListen(#[from] CannotListen),
}

impl Refusal {
    /// Whether only somebody else listens where it should.
    fn is_taken(&self) -> bool {
        matches!(self, Self::CannotListen(error) if error.kind() == io::ErrorKind::AddrInUse)
    }
}

impl ProxySet {
    pub(crate) fn new(shared: Shared) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(shared),
            named: Mutex::default(),
            removed: Mutex::default(),
            turns: KeyedLock::default(),
            stopped: AtomicBool::new(false),
            changed: AtomicU64::new(0),
        })
    }

    /// What all of them have done that their users may want to know of.
    pub(crate) fn events(&self) -> &Events {
        &self.shared.events
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Proxy>> {
        self.named().values().map(|named| named.proxy.clone()).collect()
    }

    /// Those that were there, and then all that are.
    pub(crate) fn all_ever(&self) -> Vec<Arc<Proxy>> {
        let removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let removed: Vec<_> = removed.iter().cloned().collect();
        removed.into_iter().chain(self.all()).collect()
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

    /// How long it takes until the proxy's last change is taken back.
    pub(crate) fn lasts(&self, name: &str) -> Option<Duration> {
        let until = self.named().get(name)?.temporary.as_ref()?.until;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Adds a proxy, and lets it listen.
    pub(crate) async fn start(&self, config: &ProxyConfig) -> Result<Arc<Proxy>, CannotListen> {
        let proxy = Proxy::new(config, self.shared.clone());
        proxy.change(config, false).await?;
        let named = Named { proxy: proxy.clone(), said: config.clone(), temporary: None, changed: 0 };
        self.named().insert(config.name.clone(), named);
        if self.stopped.load(Ordering::SeqCst) {
            proxy.stop();
        }
        Ok(proxy)
    }

    /// Stops all of them, and waits for their connections to end.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.all().iter().for_each(|proxy| proxy.stop());
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Takes it from among the others, which does not stop it.
    fn forget(&self, name: &str) -> Option<Arc<Proxy>> {
        let proxy = self.named().remove(name)?.proxy;
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        if removed.len() == REMOVED {
            removed.pop_front();
        }
        removed.push_back(proxy.clone());
        Some(proxy)
    }

    fn known(&self, name: &str) -> Result<Named, Refusal> {
        self.named().get(name).cloned().ok_or_else(|| Refusal::Unknown(name.to_owned()))
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<String, Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
