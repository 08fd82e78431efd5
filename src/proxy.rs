//! One proxy: what its connections share, and the loop that accepts them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::call::About;
use crate::config::ProxyConfig;
use crate::connection::serve;
use crate::connections::{Connections, Live, Totals};
use crate::counts::{Counts, HandlerCounts, Summary};
use crate::daemon::Shared;
use crate::journal::{Act, What};
use crate::listening::{CannotListen, Listening};
use crate::metrics::{HandlerFigures, ProxyFigures};
use crate::mix::Mix;
use crate::plan::{Drawn, Plan};
use crate::protocol::Protocol;
use crate::room::Place;
use crate::route::Route;
use crate::statsd;
use crate::stop::{Stop, Stopper};

/// The pause after a failed accept, such as one without a free descriptor.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What the connections of one proxy share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: Arc<str>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) counts: Counts,
    pub(crate) connections: Connections,
    pub(crate) stop: Stop,
    /// The plan of the calls that begin now.
    plan: ArcSwap<Plan>,
    /// That of the connections that begin now.
    route: ArcSwap<Route>,
    stopper: Stopper,
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
        let (stopper, stop) = Stopper::new();
        let counts = Counts::default();
        let plan = Plan::new(&config.mix, |handler| counts.of(handler));
        Arc::new(Self {
            name: config.name.as_str().into(),
            shared,
            counts,
            connections: Connections::default(),
            stop,
            plan: ArcSwap::from_pointee(plan),
            route: ArcSwap::from_pointee(Route::new(config)),
            stopper,
            accepted: AtomicU64::new(0),
            shown: Mutex::new((config.clone(), Vec::new())),
            open: AtomicBool::new(false),
            listening: tokio::sync::Mutex::default(),
        })
    }

    /// The plan now. A call asks once, and keeps what it is given.
    pub(crate) fn plan(&self) -> Guard<Arc<Plan>> {
        self.plan.load()
    }

    /// The route now. A connection asks once.
    pub(crate) fn route(&self) -> Arc<Route> {
        self.route.load_full()
    }

    /// Becomes what `config` says. With a new plan, calls that begin from now on are drawn from its mix, and what handlers
    /// of the old one hold back is let go. The rest holds for connections that begin from now on.
    ///
    /// # Errors
    ///
    /// It cannot listen where it should. Then nothing has changed.
    pub(crate) async fn change(self: &Arc<Self>, config: &ProxyConfig, new_plan: bool) -> Result<(), CannotListen> {
        let mut listening = self.listening.lock().await;
        let ready = || {
            if !Route::is_the_same(&self.shown().0, config) {
                self.route.store(Arc::new(Route::new(config)));
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
            ready();
            self.connections.all().iter().for_each(|live| live.cut(false));
        }
        let was_enabled = self.shown().0.enabled;
        if new_plan || was_enabled != config.enabled {
            self.tell(|| What::Plan { handler: config.mix.to_string(), enabled: config.enabled });
        }
        *self.shown() = (config.clone(), listening.addresses().to_vec());
        Ok(())
    }

    /// As [`change`](Self::change), where only the mix is another.
    pub(crate) fn set_mix(&self, mix: Mix) {
        self.publish(&mix);
        self.tell(|| What::Plan { handler: mix.to_string(), enabled: self.shown().0.enabled });
        self.shown().0.mix = mix;
    }

    /// As [`change`](Self::change), where only that is another.
    ///
    /// # Errors
    ///
    /// Something else listens where it did.
    pub(crate) async fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<(), CannotListen> {
        let config = ProxyConfig { enabled, ..self.config() };
        self.change(&config, false).await
    }

    /// Listens no more, and closes all connections.
    pub(crate) async fn close(&self) {
        self.listening.lock().await.close().await;
        self.open.store(false, Ordering::Relaxed);
        self.stop();
        self.connections.all().iter().for_each(|live| live.cut(false));
    }

    /// Listens no more, lets go what its handlers hold back, and gives the rest a grace period.
    pub(crate) async fn end(&self) {
        self.listening.lock().await.close().await;
        self.stop();
    }

    /// From now on calls are drawn from `mix`.
    fn publish(&self, mix: &Mix) {
        let plan = Plan::new(mix, |handler| self.counts.of(handler));
        self.plan.swap(Arc::new(plan)).let_go();
        if self.stop.is_given() {
            self.plan().let_go();
        }
    }

    /// A handler did something to a call.
    pub(crate) fn fault(&self, drawn: &Drawn, about: &mut About, act: Act) {
        if !std::mem::replace(&mut about.is_fault, true) {
            drawn.counts.faults.add(1);
        }
        self.tell(|| about.fault(&drawn.name, act));
    }

    /// Tells those who listen to it.
    pub(crate) fn tell(&self, what: impl FnOnce() -> What) {
        self.shared.journal.tell(&self.name, what);
    }

    /// What it runs with.
    pub(crate) fn config(&self) -> ProxyConfig {
        self.shown().0.clone()
    }

    /// The same in the keys of the file, each with its value.
    pub(crate) fn describe(&self) -> Map<String, Value> {
        self.config().spec.complete(&self.shared.registry)
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
        self.plan().let_go();
    }

    /// What it has done so far.
    pub(crate) fn summary(&self) -> Summary {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let plan = self.plan();
        let mut handlers: Vec<(String, Arc<HandlerCounts>)> =
            plan.handlers().map(|drawn| (drawn.name.to_string(), drawn.counts.clone())).collect();
        let current = handlers.len();
        // Those of earlier plans that have done something.
        let earlier = self.counts.by_handler().into_iter().filter(|(name, counts)| {
            counts.calls.get() > 0 && handlers[..current].iter().all(|(known, _)| known != name)
        });
        let earlier: Vec<_> = earlier.collect();
        handlers.extend(earlier);
        Summary {
            calls: handlers.iter().map(|(name, counts)| (name.clone(), counts.calls.get())).collect(),
            faults: handlers.iter().map(|(name, counts)| (name.clone(), counts.faults.get())).collect(),
            connections,
            open,
            to_backend: to_backend.0,
            to_client: to_client.0,
            opaque: self.counts.opaque.get(),
            backend_failures: self.counts.backend_failures.get(),
        }
    }

    /// The same as metrics have it.
    pub(crate) fn figures(&self) -> ProxyFigures {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let Counts { opaque, backend_failures, refused, dial, pass, .. } = &self.counts;
        let handler = |(name, counts): (String, Arc<HandlerCounts>)| HandlerFigures {
            name,
            calls: counts.calls.get(),
            faults: counts.faults.get(),
            delay: counts.delay(),
        };
        ProxyFigures {
            name: self.name.to_string(),
            enabled: self.shown().0.enabled,
            connections_total: connections,
            connections_open: open,
            connections_refused: refused.get(),
            connections_opaque: opaque.get(),
            to_backend: to_backend.0,
            to_client: to_client.0,
            handlers: self.counts.by_handler().into_iter().map(handler).collect(),
            dial_failures: backend_failures.get(),
            dial: dial.clone(),
            pass: pass.clone(),
        }
    }

    /// The same as statsd has it, with the protocol that it has now.
    pub(crate) fn reads(&self) -> (Arc<str>, Protocol, statsd::Totals) {
        let Totals { connections, open, to_backend, to_client } = self.connections.totals();
        let totals = statsd::Totals {
            start: connections,
            end: connections - open,
            to_backend: to_backend.1,
            to_client: to_client.1,
        };
        (self.name.clone(), self.route().protocol, totals)
    }

    /// Accepts clients until the proxy stops. It waits for nothing else but room for them.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        tokio::select! {
            () = self.clone().let_in(&listener) => {}
            () = self.stop.stopped() => {}
        }
    }

    async fn let_in(self: Arc<Self>, listener: &TcpListener) {
        let room = &self.shared.room;
        let mut refused = false;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = std::future::ready(()), if refused => {
                    info!("accepting again: nobody waits");
                    refused = false;
                    continue;
                }
            };
            let (client, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_the_clients(&error) => continue,
                Err(error) => {
                    self.refuse(&mut refused, error);
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
            };
            let place = if let Some(place) = room.take() {
                place
            } else {
                let connections = room.connections();
                self.refuse(
                    &mut refused,
                    format_args!("there are descriptors for {connections} connections and no more"),
                );
                room.wait().await
            };
            self.clone().begin(client, peer, place);
        }
    }

    fn begin(self: Arc<Self>, mut client: TcpStream, peer: SocketAddr, place: Place) {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        // All that the task carries from its beginning to its end counts for each connection.
        let live = Arc::new(Live::new(number, peer));
        let tasks = self.shared.tasks.clone();
        tasks.spawn(async move {
            let entered = self.connections.enter(live).await;
            if !self.open.load(Ordering::Relaxed) {
                // It was disabled since the client was accepted.
                entered.live.cut(false);
            }
            serve(&mut client, &entered.live, &self).await;
            drop((client, place));
        });
    }

    /// Says why clients have to wait, unless it has been said.
    fn refuse(&self, said: &mut bool, why: impl fmt::Display) {
        self.counts.refused.add(1);
        if !std::mem::replace(said, true) {
            warn!("cannot accept, trying again until it works: {why}");
        }
    }
}

/// Whether an accept failed because of one client alone, that was gone before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
