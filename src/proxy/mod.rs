//! One proxy: what its connections share, and how it changes while it serves.

mod accept; // lets clients in
pub(crate) mod config; // what a proxy runs with
pub(crate) mod listeners; // where it listens now
pub(crate) mod options; // its settings as people write them
pub(crate) mod set; // the proxies of a daemon, and their changes
pub(crate) mod shared; // what they have in common
mod snapshot; // what it has counted

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::connection::table::Connections;
use crate::events::EventKind;
use crate::metrics::counters::Counters;
use crate::plan::Plan;
use crate::plan::mix::Mix;
use crate::pump::{ConnectionSettings, ProxyContext};
use crate::rng::ProxyStreams;
use crate::shutdown::ShutdownTrigger;
use config::ProxyConfig;
use listeners::{CannotListen, Listening};
use shared::Shared;

/// One proxy, from its creation to its end.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// What its connections share.
    pub(crate) context: ProxyContext,
    pub(crate) connections: Connections,
    shared: Arc<Shared>,
    /// How connections are made that begin now.
    settings: ArcSwap<ConnectionSettings>,
    shutdown: ShutdownTrigger,
    accepted: AtomicU64,
    /// What it runs with, and where it listens.
    shown: Mutex<(ProxyConfig, Vec<SocketAddr>)>,
    /// Whether clients are let in.
    open: AtomicBool,
    /// Locked while where it listens changes.
    listening: tokio::sync::Mutex<Listening>,
}

impl Proxy {
    /// It does not listen yet.
    pub(crate) fn new(config: &ProxyConfig, shared: Arc<Shared>) -> Arc<Self> {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let counters = Counters::default();
        let plan = Plan::new(&config.mix, |handler| counters.of(handler));
        let context = ProxyContext {
            name: config.name.as_str().into(),
            plan: ArcSwap::from_pointee(plan),
            counters,
            events: shared.events.clone(),
            call_log: shared.call_log.clone(),
            streams: ProxyStreams::new(shared.seed, &config.name),
            shutdown,
        };
        Arc::new(Self {
            context,
            connections: Connections::default(),
            shared,
            settings: ArcSwap::from_pointee(config.connection_settings()),
            shutdown: trigger,
            accepted: AtomicU64::new(0),
            shown: Mutex::new((config.clone(), Vec::new())),
            open: AtomicBool::new(false),
            listening: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.context.name
    }

    /// The number of a client that was accepted, from 1.
    fn next_number(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether clients are let in.
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// How connections are made now. A connection asks once.
    pub(crate) fn settings(&self) -> Arc<ConnectionSettings> {
        self.settings.load_full()
    }

    /// Becomes what `config` says. With a new plan, calls that begin from now on are drawn from its mix, and what handlers
    /// of the old one hold is released. The rest applies to connections that begin from now on.
    ///
    /// # Errors
    ///
    /// It cannot listen where it should. Then nothing has changed.
    pub(crate) async fn change(self: &Arc<Self>, config: &ProxyConfig, new_plan: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        self.apply(&mut listening, config, new_plan).await
    }

    async fn apply(
        self: &Arc<Self>,
        listening: &mut Listening,
        config: &ProxyConfig,
        new_plan: bool,
    ) -> Result<(), CannotListen> {
        let ready = || {
            let (changes, was_enabled) = {
                let now = &self.shown().0;
                (now.connection_changes(config), now.enabled)
            };
            if !changes.is_empty() {
                self.settings.store(Arc::new(config.connection_settings()));
            }
            if new_plan || was_enabled != config.enabled {
                // Before any call meets it.
                self.context.emit(|| EventKind::Plan { handler: config.mix.to_string(), enabled: config.enabled });
            }
            if new_plan {
                self.publish(&config.mix);
            }
            self.open.store(config.enabled, Ordering::Relaxed);
        };
        if config.enabled {
            listening.open(self, &config.listen, ready).await?;
        } else {
            listening.close().await;
            self.cut();
            ready();
        }
        let mut shown = self.shown();
        let mix = if new_plan { config.mix.clone() } else { shown.0.mix.clone() };
        *shown = (ProxyConfig { mix, ..config.clone() }, listening.addresses().to_vec());
        Ok(())
    }

    /// Replaces the mix alone.
    pub(crate) fn set_mix(&self, mix: Mix) {
        // Locked until the end, so that what is shown last is what was published last.
        let now = &mut self.shown().0;
        self.context.emit(|| EventKind::Plan { handler: mix.to_string(), enabled: now.enabled });
        self.publish(&mix);
        now.mix = mix;
    }

    /// Listens or not, and changes nothing else.
    ///
    /// # Errors
    ///
    /// Something else listens where it did.
    pub(crate) async fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        let config = ProxyConfig { enabled, ..self.config() };
        self.apply(&mut listening, &config, false).await
    }

    /// Calls are drawn from `mix` from now on.
    fn publish(&self, mix: &Mix) {
        let plan = Plan::new(mix, |handler| self.context.counters.of(handler));
        self.context.plan.swap(Arc::new(plan)).release();
        if self.shutdown.has_begun() {
            self.context.plan.load().release();
        }
    }

    /// Stops listening until it is told where, so that another proxy can listen there.
    pub(crate) async fn free_address(&self) {
        self.listening.lock().await.close().await;
    }

    /// Stops listening, and closes all connections at once.
    pub(crate) async fn close(&self) {
        self.listening.lock().await.close().await;
        self.cut();
        self.stop();
    }

    /// Stops listening, releases what its handlers hold, and gives the rest a grace period.
    pub(crate) async fn drain(&self) {
        self.listening.lock().await.close().await;
        self.stop();
    }

    /// Ends all connections at once, and those that are still to begin: before their handlers release anything.
    fn cut(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.connections.all().iter().for_each(|connection| connection.cut(false));
    }

    /// Accepts no more, releases what its handlers hold, and gives the rest a grace period.
    pub(crate) fn stop(&self) {
        self.shutdown.begin();
        self.context.plan.load().release();
    }

    /// What it runs with.
    pub(crate) fn config(&self) -> ProxyConfig {
        self.shown().0.clone()
    }

    /// Where it listens; nowhere while it is disabled.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.shown().1.clone()
    }

    fn shown(&self) -> MutexGuard<'_, (ProxyConfig, Vec<SocketAddr>)> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
