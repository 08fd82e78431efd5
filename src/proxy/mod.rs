//! One proxy: what its connections share, and how it changes while it serves.

mod accept; // lets clients in
pub(crate) mod config; // what a proxy runs with
pub(crate) mod listeners; // where it listens now
pub(crate) mod options; // its settings as people write them
pub(crate) mod set; // the proxies of a daemon, and their changes
pub(crate) mod shared; // what they have in common
mod snapshot; // what it has counted

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::connection::table::Connections;
use crate::metrics::counters::Counters;
use crate::net::address::Address;
use crate::net::bound::BoundAddress;
use crate::plan::current::CurrentPlan;
use crate::plan::mix::Mix;
use crate::plan::rule::list::name_like;
use crate::plan::{Parts, Plan, Renewal};
use crate::pump::{ConnectionSettings, ProxyContext};
use crate::recorder::Recorder;
use crate::rng::ProxyStreams;
use crate::shutdown::ShutdownTrigger;
use crate::toxic::{ActiveToxics, Toxic};
use config::{ProxyConfig, Told};
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
    /// The number of the last client that was accepted. Locked while a worker accepts one, so that they are numbered in the
    /// order in which they connected.
    accepted: Mutex<u64>,
    /// The clients that cannot be accepted.
    waiting: accept::Waiting,
    /// What it runs with.
    config: Mutex<ProxyConfig>,
    /// What the latest event has.
    told: Mutex<Told>,
    /// Whether clients are let in.
    open: AtomicBool,
    /// Where it listens, or listened last, and for which configured address.
    last: ArcSwap<(Option<Address>, Vec<BoundAddress>)>,
    /// Locked while where it listens changes.
    listening: tokio::sync::Mutex<Listening>,
}

impl Proxy {
    /// It does not listen yet.
    pub(crate) fn new(config: &ProxyConfig, shared: Arc<Shared>) -> Arc<Self> {
        let (trigger, shutdown) = ShutdownTrigger::new();
        let counters = Counters::default();
        let parts = Parts::new(&config.mix, &config.rules, config.protocol, None, Renewal::All);
        let plan = CurrentPlan::new(|| Plan::of(&parts, None, |rule, handler| counters.of(rule, handler)));
        let context = ProxyContext {
            name: config.name.as_str().into(),
            plan,
            toxics: ActiveToxics::default(),
            listening: ArcSwap::default(),
            counters,
            events: shared.events.clone(),
            call_log: shared.call_log.clone(),
            recorder: Recorder::new(shared.records),
            labels: shared.labels.clone(),
            streams: ProxyStreams::new(shared.seed, &config.name),
            shaped: shared.shaped.clone(),
            shutdown,
        };
        context.toxics.replace(&config.toxics, |name| context.counters.toxic(name));
        let mut named = config.clone();
        name_like(&[], &mut named.rules);
        Arc::new(Self {
            context,
            connections: Connections::default(),
            shared,
            settings: ArcSwap::from_pointee(config.connection_settings()),
            shutdown: trigger,
            accepted: Mutex::new(0),
            waiting: accept::Waiting::default(),
            config: Mutex::new(named),
            told: Mutex::default(),
            open: AtomicBool::new(false),
            last: ArcSwap::default(),
            listening: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.context.name
    }

    /// Whether clients are let in.
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// How connections are made now. A connection asks once.
    pub(crate) fn settings(&self) -> Arc<ConnectionSettings> {
        self.settings.load_full()
    }

    /// Becomes what `config` says. With a new plan, calls that begin from now on are drawn from its rules and its mix, and what
    /// handlers of the old one hold is released, but for those that go on. The rest applies to connections that begin from now
    /// on.
    ///
    /// # Errors
    ///
    /// It cannot listen where it should. Then nothing has changed.
    pub(crate) async fn change(
        self: &Arc<Self>,
        config: &ProxyConfig,
        new_plan: Option<Renewal>,
    ) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        let mut config = config.clone();
        name_like(&self.locked_config().rules, &mut config.rules);
        self.apply(&mut listening, &config, new_plan).await
    }

    async fn apply(
        self: &Arc<Self>,
        listening: &mut Listening,
        config: &ProxyConfig,
        new_plan: Option<Renewal>,
    ) -> Result<(), CannotListen> {
        let ready = || {
            let (connects_as_before, was_enabled, keeps_toxics) = {
                let now = self.locked_config();
                let connects_as_before =
                    now.connection_changes(config).is_empty() && now.is_toxiproxys == config.is_toxiproxys;
                (connects_as_before, now.enabled, now.toxics == config.toxics)
            };
            if !connects_as_before {
                self.settings.store(Arc::new(config.connection_settings()));
            }
            if new_plan.is_some() || was_enabled != config.enabled || !keeps_toxics {
                // Before anything meets it.
                self.tell(config);
            }
            if !keeps_toxics {
                self.activate(&config.toxics);
            }
            if let Some(renewal) = new_plan {
                self.publish(config, renewal);
            }
            self.open.store(config.enabled, Ordering::Relaxed);
        };
        if config.enabled {
            let opened = listening.open(self, config, ready).await;
            // Even where it failed: it may listen nowhere now.
            self.show(listening);
            opened?;
        } else {
            self.close_listeners(listening).await;
            self.cut();
            ready();
        }
        let mut now = self.locked_config();
        let in_force = if new_plan.is_some() { config } else { &*now };
        let (rules, mix) = (in_force.rules.clone(), in_force.mix.clone());
        *now = ProxyConfig { rules, mix, ..config.clone() };
        Ok(())
    }

    /// Replaces the mix alone.
    pub(crate) fn set_mix(&self, mix: Mix) {
        // Locked until the end, so that what is shown last is what was published last.
        let mut now = self.locked_config();
        now.mix = mix;
        self.tell(&now);
        self.publish(&now, Renewal::Mix);
    }

    /// Replaces the toxics alone.
    pub(crate) fn set_toxics(&self, toxics: Vec<Toxic>) {
        // Locked until the end, so that what is shown last is what is in force.
        let mut now = self.locked_config();
        now.set_toxics(toxics);
        self.tell(&now);
        self.activate(&now.toxics);
    }

    /// Open connections and new ones have these toxics from now on.
    fn activate(&self, toxics: &[Toxic]) {
        self.context.toxics.replace(toxics, |name| self.context.counters.toxic(name));
        self.context.counters.forget_toxics();
        self.connections.wake();
    }

    /// Listens or not, and changes nothing else.
    ///
    /// # Errors
    ///
    /// Something else listens where it did.
    pub(crate) async fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        let config = ProxyConfig { enabled, ..self.config() };
        self.apply(&mut listening, &config, None).await
    }

    /// Tells that its plan and its toxics are those of `config`.
    fn tell(&self, config: &ProxyConfig) {
        self.context.emit(|| config.event(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    /// Calls are drawn from the rules and the mix of `config` from now on.
    fn publish(&self, config: &ProxyConfig, renewal: Renewal) {
        let ProxyConfig { mix, rules, protocol, .. } = config;
        let parts = Parts::new(mix, rules, *protocol, Some(&self.context.plan.load()), renewal);
        let counters = |rule: Option<&str>, handler: &str| self.context.counters.of(rule, handler);
        self.context.plan.replace(|before| Plan::of(&parts, Some(before), counters));
        self.context.counters.forget_unused();
        if self.shutdown.has_begun() {
            self.context.plan.release();
        }
    }

    /// Stops listening until it is told where, so that another proxy can listen there.
    pub(crate) async fn free_address(&self) {
        self.close_listeners(&mut *self.listening.lock().await).await;
    }

    /// Stops listening, and closes all connections at once.
    pub(crate) async fn close(&self) {
        self.close_listeners(&mut *self.listening.lock().await).await;
        self.cut();
        self.stop();
    }

    /// Stops listening, releases what its handlers hold, and gives the rest a grace period.
    pub(crate) async fn drain(&self) {
        self.close_listeners(&mut *self.listening.lock().await).await;
        self.stop();
    }

    async fn close_listeners(&self, listening: &mut Listening) {
        listening.close().await;
        self.show(listening);
    }

    /// Lets others know where it listens.
    fn show(&self, listening: &Listening) {
        self.context.listening.store(Arc::new(listening.addresses().to_vec()));
        self.last.store(Arc::new(listening.last()));
    }

    /// Ends all connections at once, and those that are still to begin: before their handlers release anything.
    fn cut(&self) {
        self.open.store(false, Ordering::Relaxed);
        self.cut_connections();
    }

    /// Ends all connections at once.
    pub(crate) fn cut_connections(&self) {
        self.connections.all().iter().for_each(|connection| connection.cut(false));
    }

    /// Accepts no more, releases what its handlers and toxics hold, and gives the rest a grace period.
    pub(crate) fn stop(&self) {
        // Where it is locked, whoever has it closes it.
        if let Ok(mut listening) = self.listening.try_lock() {
            listening.remove_file();
        }
        self.shutdown.begin();
        self.context.plan.release();
        self.context.toxics.release();
        self.connections.wake();
    }

    /// What it runs with.
    pub(crate) fn config(&self) -> ProxyConfig {
        self.locked_config().clone()
    }

    /// Where it listens; nowhere while it is disabled.
    pub(crate) fn addresses(&self) -> Vec<BoundAddress> {
        self.context.listening.load().to_vec()
    }

    /// Whether this is where it was told to listen.
    pub(crate) fn listens_at(&self, address: &Address) -> bool {
        self.locked_config().listen == *address
    }

    /// Takes another port for port 0 at the next change.
    pub(crate) async fn move_on(&self) {
        self.listening.lock().await.move_on();
    }

    /// Where it listens, or where it will again once it is enabled; nowhere if that is not known yet.
    pub(crate) fn last_addresses(&self) -> Vec<BoundAddress> {
        let last = self.last.load();
        let (configured, addresses) = &**last;
        if configured.as_ref() == Some(&self.locked_config().listen) { addresses.clone() } else { Vec::new() }
    }

    fn locked_config(&self) -> MutexGuard<'_, ProxyConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
