//! One proxy: what its connections share, and how it becomes another.

mod accept;
pub mod config;
pub(crate) mod listeners;
pub(crate) mod options;
pub(crate) mod set;
pub(crate) mod shared;
mod snapshot;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::call::CallState;
use crate::connection::table::Connections;
use crate::events::{Action, EventKind};
use crate::metrics::counters::Counters;
use crate::plan::mix::Mix;
use crate::plan::{Plan, SelectedHandler};
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::{CannotListen, Listening};
use crate::proxy::shared::Shared;
use crate::pump::settings::ConnectionSettings;
use crate::shutdown::{Shutdown, ShutdownTrigger};

/// What the connections of one proxy share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Counters,
    pub(crate) connections: Connections,
    pub(crate) stop: Shutdown,
    /// The plan of the calls that begin now.
    plan: ArcSwap<Plan>,
    /// That of the connections that begin now.
    settings: ArcSwap<ConnectionSettings>,
    stopper: ShutdownTrigger,
    accepted: AtomicU64,
    /// What it runs with and where it listens, for those who ask.
    shown: Mutex<(ProxyConfig, Vec<SocketAddr>)>,
    /// Whether clients are let in.
    open: AtomicBool,
    /// Held by whoever changes where it listens.
    listening: tokio::sync::Mutex<Listening>,
}

impl Proxy {
    /// It does not listen yet.
    pub(crate) fn new(config: &ProxyConfig, shared: Arc<Shared>) -> Arc<Self> {
        let (stopper, stop) = ShutdownTrigger::new();
        let counters = Counters::default();
        let plan = Plan::new(&config.mix, |handler| counters.of(handler));
        Arc::new(Self {
            name: config.name.as_str().into(),
            shared,
            counters,
            connections: Connections::default(),
            stop,
            plan: ArcSwap::from_pointee(plan),
            settings: ArcSwap::from_pointee(config.connection_settings()),
            stopper,
            accepted: AtomicU64::new(0),
            shown: Mutex::new((config.clone(), Vec::new())),
            open: AtomicBool::new(false),
            listening: tokio::sync::Mutex::default(),
        })
    }

    /// Its clients are counted as they are accepted.
    pub(crate) fn next_number(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether clients are let in.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The plan now. A call asks once, and keeps what it is given.
    pub(crate) fn plan(&self) -> Guard<Arc<Plan>> {
        self.plan.load()
    }

    /// How connections are made now. A connection asks once.
    pub(crate) fn settings(&self) -> Arc<ConnectionSettings> {
        self.settings.load_full()
    }

    /// Becomes what `config` says. With a new plan, calls that begin from now on are drawn from its mix, and what handlers
    /// of the old one hold back is let go. The rest holds for connections that begin from now on.
    ///
    /// # Errors
    ///
    /// It cannot listen where it should. Then nothing has changed.
    pub(crate) async fn change(self: &Arc<Self>, config: &ProxyConfig, new_plan: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        self.follow(&mut listening, config, new_plan).await
    }

    async fn follow(
        self: &Arc<Self>,
        listening: &mut Listening,
        config: &ProxyConfig,
        new_plan: bool,
    ) -> Result<(), CannotListen> {
        let ready = || {
            let (differences, was_enabled) = {
                let now = &self.shown().0;
                (now.connection_changes(config), now.enabled)
            };
            if !differences.is_empty() {
                self.settings.store(Arc::new(config.connection_settings()));
            }
            if new_plan || was_enabled != config.enabled {
                // Before any call meets it.
                self.emit(|| EventKind::Plan { handler: config.mix.to_string(), enabled: config.enabled });
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

    /// As [`change`](Self::change), where only the mix is another.
    pub(crate) fn set_mix(&self, mix: Mix) {
        // What is shown last is what was published last.
        let now = &mut self.shown().0;
        self.emit(|| EventKind::Plan { handler: mix.to_string(), enabled: now.enabled });
        self.publish(&mix);
        now.mix = mix;
    }

    /// As [`change`](Self::change), where only that is another.
    ///
    /// # Errors
    ///
    /// Something else listens where it did.
    pub(crate) async fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        let config = ProxyConfig { enabled, ..self.config() };
        self.follow(&mut listening, &config, false).await
    }

    /// Listens nowhere until it is told where, for another to listen there.
    pub(crate) async fn make_room(&self) {
        self.listening.lock().await.close().await;
    }

    /// Listens no more, and closes all connections.
    pub(crate) async fn close(&self) {
        self.listening.lock().await.close().await;
        self.cut();
        self.stop();
    }

    /// Ends all connections at once, and those that are still to begin: before their handlers let anything go.
    fn cut(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.connections.all().iter().for_each(|live| live.cut(false));
    }

    /// Listens no more, lets go what its handlers hold back, and gives the rest a grace period.
    pub(crate) async fn end(&self) {
        self.listening.lock().await.close().await;
        self.stop();
    }

    /// From now on calls are drawn from `mix`.
    fn publish(&self, mix: &Mix) {
        let plan = Plan::new(mix, |handler| self.counters.of(handler));
        self.plan.swap(Arc::new(plan)).released();
        if self.stop.is_given() {
            self.plan().released();
        }
    }

    /// A handler did something to a call.
    pub(crate) fn fault(&self, drawn: &SelectedHandler, about: &mut CallState, action: Action) {
        if !std::mem::replace(&mut about.is_fault, true) {
            drawn.counts.faults.add(1);
        }
        self.emit(|| about.fault(&drawn.name, action));
        if let Some(mut track) = self.shared.call_log.track(&self.name, about.streams.connection()) {
            track.fault(about.call(), &drawn.name, about.protocol, action);
        }
    }

    /// Tells those who listen to it.
    pub(crate) fn emit(&self, kind: impl FnOnce() -> EventKind) {
        self.shared.events.emit(&self.name, kind);
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

    /// It accepts no more, lets go what its handlers hold back, and gives the rest a grace period.
    pub(crate) fn stop(&self) {
        self.stopper.stop();
        self.plan().released();
    }
}
