//! Everything that runs, from its start to its end: the proxies, and what looks at them.

use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::time::{interval, sleep, timeout};
use tracing::{info, warn};

use crate::call_log::{CallLog, Recorded};
use crate::daemon::Daemon;
use crate::error::plain;
use crate::events::Events;
use crate::handler::Registry;
use crate::metrics::summary::Summary;
use crate::net::address::Address;
use crate::net::backend::dial;
use crate::net::connection_limit::ConnectionLimit;
use crate::program::api;
use crate::program::command::Given;
use crate::program::config;
use crate::program::config::Config;
use crate::program::demo::Demo;
use crate::program::export::events_file;
use crate::program::export::statsd::{self, Statsd};
use crate::program::output;
use crate::program::report;
use crate::program::systemd;
use crate::proxy::config::ProxyConfig;
use crate::proxy::listeners::CannotListen;
use crate::proxy::set::ProxySet;
use crate::proxy::shared::Shared;

/// How often a statsd server is told what was counted.
const STATSD: Duration = Duration::from_secs(1);

/// How long the last events may take to be written.
const EVENTS_LEFT: Duration = Duration::from_secs(1);

/// How often a backend that is not there yet is asked again.
const BACKEND: Duration = Duration::from_millis(100);

/// Proxies that serve, with all that was asked for around them.
pub(crate) struct Session {
    registry: Registry,
    daemon: Daemon,
    demo: Option<Demo>,
    journal: Events,
    recording: CallLog,
    api: Option<api::Running>,
    statsd: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    events: Option<JoinHandle<()>>,
}

/// What a session did.
pub(crate) struct Done {
    /// What each proxy counted, by name.
    pub(crate) summaries: Vec<(String, Summary)>,
    pub(crate) proxies: Vec<report::Proxy>,
    /// Its calls, if a report is to have them.
    pub(crate) recorded: Recorded,
}

impl Session {
    /// Starts everything. A proxy of a demo that nobody gave an address gets one in `config`.
    ///
    /// # Errors
    ///
    /// Something cannot be had: an address, a file, a name.
    pub(crate) async fn start(config: &mut Config, registry: &Registry) -> anyhow::Result<Self> {
        let demo = if config.demo {
            Some(Demo::start(&mut config.proxies[0]).await.context("cannot start the demo's server")?)
        } else {
            None
        };
        let journal = if config.http.is_some() || config.events.is_some() { Events::on() } else { Events::off() };
        let events = config.events.as_ref().map(|path| open_events(path)).transpose()?;
        let recording = if config.run.records_calls() { CallLog::on() } else { CallLog::off() };
        let daemon = listen(config, &journal, &recording).await?;
        let proxies = daemon.proxies().clone();
        let api = match &config.http {
            Some(http) => Some(api::start(http, proxies.clone(), registry.clone()).await?),
            None => None,
        };
        let statsd = match &config.statsd {
            Some(statsd) => Some(tell_statsd(statsd, proxies.clone()).await?),
            None => None,
        };
        let events = events.map(|file| write_events(file, config.events.as_deref(), &journal)).transpose()?;
        Ok(Self { registry: registry.clone(), daemon, demo, journal, recording, api, statsd, events })
    }

    pub(crate) fn proxies(&self) -> &Arc<ProxySet> {
        self.daemon.proxies()
    }

    /// Where a command finds all this.
    pub(crate) fn given(&self, config: &Config) -> Given {
        let first = |name: &str| self.proxies().get(name)?.addresses().first().copied();
        let names = config.proxies.iter().map(|proxy| proxy.name.as_str());
        Given {
            proxies: names.filter_map(|name| Some((name.to_owned(), first(name)?))).collect(),
            only_one: config.proxies.len() == 1,
            named: config.names_proxies,
            http: self.api.as_ref().and_then(|api| api.addresses().first().copied()),
            seed: config.seed,
            withheld: config::Run::variables(&self.registry),
        }
    }

    /// Says that everything listens, and where.
    pub(crate) fn announce(&self, config: &Config) {
        if let Some(api) = &self.api {
            info!("HTTP API on http://{}", list(api.addresses()));
        }
        let line = |config: &ProxyConfig| {
            let addresses = self.proxies().get(&config.name).map(|proxy| proxy.addresses()).unwrap_or_default();
            config.line(&list(&addresses), &config.backend.to_string())
        };
        match config.proxies.as_slice() {
            [one] => info!("ready: {}, seed {}", line(one), config.seed),
            several => {
                for config in several {
                    info!("{}: {}", config.name, line(config));
                }
                info!("ready: {} proxies, seed {}", several.len(), config.seed);
            }
        }
        systemd::ready();
    }

    /// Serves until `stop` resolves, and ends everything. Times of calls count from when the run had `begun`.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>, begun: Instant) -> Done {
        let Self { daemon, demo, journal, recording, api, statsd, events, .. } = self;
        let proxies = daemon.proxies().clone();
        let stop = async {
            stop.await;
            systemd::stopping();
        };
        match (demo, daemon.addresses().first().copied()) {
            (Some(demo), Some(address)) => daemon.serve(demo.until(stop, address)).await,
            _ => daemon.serve(stop).await,
        };
        journal.close();
        if let Some(api) = api {
            api.stop();
        }
        if let Some((stop, task)) = statsd {
            drop(stop);
            // It tells what is left.
            let _ = task.await;
        }
        if let Some(events) = events {
            // It has failed only where it said so itself.
            let written = tokio::task::spawn_blocking(|| events.join());
            if timeout(EVENTS_LEFT, written).await.is_err() {
                warn!("the last events are not written: whoever reads them has not for {} s", EVENTS_LEFT.as_secs());
            }
        }
        let snapshots: Vec<_> = proxies.all_ever().iter().map(|proxy| proxy.snapshot()).collect();
        let summaries = snapshots.iter().map(|snapshot| (snapshot.name.clone(), snapshot.summary())).collect();
        let told = snapshots.iter().map(report::Proxy::from).collect();
        Done { summaries, proxies: told, recorded: recording.take_since(begun) }
    }
}

/// Waits until the backends of all proxies that listen accept a connection.
///
/// # Errors
///
/// One does not within this time.
pub(crate) async fn wait_for_backends(config: &Config, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    for proxy in config.proxies.iter().filter(|proxy| proxy.enabled && !config.demo) {
        let mut waits = false;
        while let Err(error) = dial(&proxy.backend, deadline.into()).await {
            if !std::mem::replace(&mut waits, true) {
                info!("waiting for the backend {}: {}", proxy.backend, plain(&error));
            }
            if Instant::now() + BACKEND >= deadline {
                let within = humantime::format_duration(within);
                anyhow::bail!(
                    "the backend {} did not accept a connection within {within}: {}",
                    proxy.backend,
                    plain(&error)
                );
            }
            sleep(BACKEND).await;
        }
    }
    Ok(())
}

/// A file for events. What is in it is another's until everything listens.
fn open_events(path: &Path) -> anyhow::Result<File> {
    output::open(path).with_context(|| format!("cannot write events to `{}`", path.display()))
}

/// Writes all events to the file, from the first on, in place of what was in it.
fn write_events(file: File, path: Option<&Path>, journal: &Events) -> anyhow::Result<JoinHandle<()>> {
    let path = path.unwrap_or(Path::new("")).display().to_string();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        file.set_len(0).with_context(|| format!("cannot write events to `{path}`"))?;
    }
    Ok(events_file::write_to(file, path, journal.reader(Some(0)))?)
}

/// Tells a statsd server what the proxies count, until what is answered is dropped.
async fn tell_statsd(
    config: &config::Statsd,
    proxies: Arc<ProxySet>,
) -> anyhow::Result<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)> {
    let config::Statsd { host, port, prefix, .. } = config;
    let statsd = Statsd::new(host, *port, prefix).await;
    let statsd = statsd.with_context(|| format!("cannot send to statsd on {}", Address::new(host, *port)))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let totals = move || proxies.all().iter().map(|proxy| statsd::counted(&proxy.snapshot())).collect();
    let stopped = async {
        let _ = stopped.await;
    };
    Ok((stop, tokio::spawn(statsd.run(interval(STATSD), totals, stopped))))
}

/// Listens. For a demo that nobody gave an address, any port will do where the usual one is taken.
async fn listen(config: &mut Config, journal: &Events, recording: &CallLog) -> Result<Daemon, CannotListen> {
    let descriptors = if config.http.is_some() { api::DESCRIPTORS } else { 0 };
    let shared = || Shared::new(config.seed, ConnectionLimit::left(descriptors), journal.clone(), recording.clone());
    match Daemon::start(&config.proxies, shared()).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && config.demo && config.listens_anywhere => {
            config.proxies[0].listen_anywhere();
            Daemon::start(&config.proxies, shared()).await
        }
        listening => listening,
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
