//! The proxies and everything around them, from start to end: API, statsd, events file, demo.

use std::fs::File;
use std::io::{self, ErrorKind};
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
use crate::duration::Seconds;
use crate::error::plain;
use crate::events::Events;
use crate::handler::Registry;
use crate::metrics::counters::Names;
use crate::metrics::summary::Summary;
use crate::net::connection_limit::ConnectionLimit;
use crate::net::dial::reach;
use crate::net::host_port::HostPort;
use crate::program::api;
use crate::program::command::ChildEnv;
use crate::program::config::{self, Config};
use crate::program::demo::Demo;
use crate::program::export::events_file;
use crate::program::export::statsd::{self, Statsd};
use crate::program::output;
use crate::program::report;
use crate::program::report::labels::LabelReport;
use crate::program::systemd;
use crate::program::toxiproxy;
use crate::proxy::config::ProxyConfig;
use crate::proxy::set::ProxySet;
use crate::proxy::shared::Shared;
use crate::workers::Workers;

/// How often counters are sent to statsd.
const STATSD: Duration = Duration::from_secs(1);

/// How long writing the last events may take.
const EVENTS_LEFT: Duration = Duration::from_secs(1);

/// How long to wait before a backend that did not accept is dialled again.
const BACKEND: Duration = Duration::from_millis(100);

/// The services of one run, started.
pub(crate) struct Services {
    registry: Registry,
    daemon: Daemon,
    demo: Option<Demo>,
    events: Events,
    call_log: CallLog,
    api: Option<api::Running>,
    toxiproxy: Option<api::Running>,
    statsd: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    events_file: Option<JoinHandle<()>>,
}

/// What the proxies did in one run.
pub(crate) struct Results {
    /// The counters of each proxy, by name.
    pub(crate) summaries: Vec<(String, Summary)>,
    pub(crate) proxies: Vec<report::Proxy>,
    pub(crate) labels: LabelReport,
    /// The names of all that the proxies have had.
    pub(crate) names: Names,
    /// Their calls, if a report shows them.
    pub(crate) calls: Recorded,
}

impl Services {
    /// Starts everything. Changes `config` for a demo: its backend, and its port if the default one is taken.
    pub(crate) async fn start(config: &mut Config, registry: &Registry) -> anyhow::Result<Self> {
        let mut demo = if config.demo {
            Some(Demo::start(&mut config.proxies[0]).await.context("cannot start the demo's server")?)
        } else {
            None
        };
        let events_file = config.events.as_ref().map(|path| open_events_file(path)).transpose()?;
        let call_log = if config.run.records_calls() { CallLog::on() } else { CallLog::off() };
        let daemon = listen(config, &call_log).await?;
        let proxies = daemon.proxies().clone();
        let events = proxies.events().clone();
        let api = match &config.http {
            Some(http) => {
                let (api, readers) = start_api(http, config, &proxies, registry).await?;
                if let Some(demo) = &mut demo {
                    demo.watched_on(api.addresses(), readers);
                }
                Some(api)
            }
            None => None,
        };
        let toxiproxy = match &config.toxiproxy {
            Some(toxiproxy) => Some(start_toxiproxy(toxiproxy, proxies.clone(), registry.clone()).await?),
            None => None,
        };
        let statsd = match &config.statsd {
            Some(statsd) => Some(start_statsd(statsd, proxies.clone()).await?),
            None => None,
        };
        let events_file = events_file.map(|file| write_events(file, config.events.as_deref(), &events)).transpose()?;
        Ok(Self { registry: registry.clone(), daemon, demo, events, call_log, api, toxiproxy, statsd, events_file })
    }

    pub(crate) fn proxies(&self) -> &Arc<ProxySet> {
        self.daemon.proxies()
    }

    /// What a command learns about these services.
    pub(crate) fn child_env(&self, config: &Config) -> ChildEnv {
        let first = |name: &str| self.proxies().get(name)?.addresses().first().cloned();
        let names = config.proxies.iter().map(|proxy| proxy.name.as_str());
        ChildEnv {
            proxies: names.filter_map(|name| Some((name.to_owned(), first(name)?))).collect(),
            only_one: config.proxies.len() == 1,
            named: config.names_proxies,
            http: self.api.as_ref().and_then(|api| api.addresses().first().copied()),
            // Its clients expect IPv4.
            toxiproxy: self.toxiproxy.as_ref().and_then(|api| {
                let addresses = api.addresses();
                addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
            }),
            seed: config.seed,
            removed: config::Run::variables(&self.registry),
            ..ChildEnv::default()
        }
    }

    /// Logs that everything listens, and where.
    pub(crate) fn announce(&self, config: &Config) {
        if let Some(api) = &self.api {
            info!("HTTP API on http://{}", list(api.addresses()));
        }
        if let Some(api) = &self.toxiproxy {
            info!("Toxiproxy's API on http://{}", list(api.addresses()));
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

    /// Serves until `stop` resolves, then ends everything. Times of calls count from `started`.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>, started: Instant) -> Results {
        let Self { daemon, demo, events, call_log, api, toxiproxy, statsd, events_file, .. } = self;
        let proxies = daemon.proxies().clone();
        let stop = async {
            stop.await;
            systemd::stopping();
        };
        match (demo, daemon.addresses().first().copied()) {
            (Some(demo), Some(address)) => daemon.serve(demo.until(stop, address)).await,
            _ => daemon.serve(stop).await,
        };
        events.close();
        for api in api.into_iter().chain(toxiproxy) {
            api.stop();
        }
        if let Some((stop, task)) = statsd {
            drop(stop);
            // It sends what is left.
            let _ = task.await;
        }
        if let Some(writer) = events_file {
            // A writer that failed has logged why.
            let written = tokio::task::spawn_blocking(|| writer.join());
            if timeout(EVENTS_LEFT, written).await.is_err() {
                let seconds = EVENTS_LEFT.as_secs();
                warn!("the last events were not written: their reader has read nothing for {seconds} s");
            }
        }
        let labels = proxies.labels().clone();
        let has_forgotten = proxies.may_have_forgotten();
        let proxies = proxies.all_and_removed();
        let names = proxies.iter().map(|proxy| proxy.context.counters.names());
        let mut names = names.reduce(Names::with).unwrap_or_default();
        names.is_partial |= has_forgotten;
        let snapshots: Vec<_> = proxies.iter().map(|proxy| proxy.snapshot()).collect();
        let summaries = snapshots.iter().map(|snapshot| (snapshot.name.clone(), snapshot.summary())).collect();
        let labels = LabelReport::of(&labels, snapshots.iter().zip(proxies.iter().map(|proxy| &**proxy)));
        let recorded = proxies.iter().map(|proxy| proxy.context.recorder.recorded(proxy.settings().protocol));
        let proxies = snapshots.iter().map(report::Proxy::from).zip(recorded);
        let proxies = proxies.map(|(proxy, recorded)| proxy.with_shapes(recorded)).collect();
        Results { summaries, proxies, labels, names, calls: call_log.take_since(started) }
    }
}

/// Waits until the backends of all proxies that listen accept a connection. Fails if one does not `within` this time.
pub(crate) async fn wait_for_backends(config: &Config, within: Seconds) -> anyhow::Result<()> {
    let deadline = Instant::now() + within.duration();
    for proxy in config.proxies.iter().filter(|proxy| proxy.enabled && !config.demo) {
        let mut is_waiting = false;
        while let Err(error) = reach(&proxy.backend, deadline.into()).await {
            if !std::mem::replace(&mut is_waiting, true) {
                info!("waiting for the backend {}: {}", proxy.backend, plain(&error));
            }
            if Instant::now() + BACKEND >= deadline {
                let (backend, why) = (&proxy.backend, plain(&error));
                anyhow::bail!("the backend {backend} did not accept a connection within {within}: {why}");
            }
            sleep(BACKEND).await;
        }
    }
    Ok(())
}

/// Opens the file for events. What is in it is kept until everything listens.
fn open_events_file(path: &Path) -> anyhow::Result<File> {
    output::open(path).with_context(|| format!("cannot write events to `{}`", path.display()))
}

/// Replaces the content of the file by all events, from the first on.
fn write_events(file: File, path: Option<&Path>, events: &Events) -> anyhow::Result<JoinHandle<()>> {
    let path = path.unwrap_or(Path::new("")).display().to_string();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        file.set_len(0).with_context(|| format!("cannot write events to `{path}`"))?;
    }
    Ok(events_file::write_to(file, path, events.reader(Some(0)))?)
}

/// Sends counters to statsd until the sender that is returned is dropped.
async fn start_statsd(
    config: &config::Statsd,
    proxies: Arc<ProxySet>,
) -> anyhow::Result<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)> {
    let config::Statsd { host, port, prefix, .. } = config;
    let statsd = Statsd::new(host, *port, prefix).await;
    let statsd = statsd.with_context(|| format!("cannot send to statsd on {}", HostPort::new(host, *port)))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let totals = move || proxies.all().iter().map(|proxy| statsd::totals(&proxy.snapshot())).collect();
    let stopped = async {
        let _ = stopped.await;
    };
    Ok((stop, tokio::spawn(statsd.run(interval(STATSD), totals, stopped))))
}

/// Serves Toxiproxy's API.
async fn start_toxiproxy(
    config: &config::Toxiproxy,
    proxies: Arc<ProxySet>,
    registry: Registry,
) -> anyhow::Result<api::Running> {
    let running = toxiproxy::start(config, proxies, registry).await;
    running.with_context(|| format!("cannot listen on {} for Toxiproxy's API", config.listen))
}

/// Serves the HTTP API. A demo without `--http-port` takes any free port if the default one is taken.
async fn start_api(
    http: &config::Http,
    config: &Config,
    proxies: &Arc<ProxySet>,
    registry: &Registry,
) -> anyhow::Result<(api::Running, api::Readers)> {
    let start = |http| api::start(http, proxies.clone(), registry.clone(), config.authority.clone());
    let is_taken = |error: &anyhow::Error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    match start(http).await {
        Err(error) if is_taken(&error) && config.demo && config.serves_api_anywhere => {
            start(&config::Http { port: 0, ..http.clone() }).await
        }
        started => started,
    }
}

/// Listens. A demo without `--proxy` takes any free port if the default one is taken.
async fn listen(config: &mut Config, call_log: &CallLog) -> anyhow::Result<Daemon> {
    let apis = [config.http.is_some(), config.toxiproxy.is_some()];
    let descriptors = apis.into_iter().filter(|is_served| *is_served).count() * api::DESCRIPTORS;
    let shared = |config: &Config| -> anyhow::Result<_> {
        // They have descriptors of their own, which connections cannot take.
        let workers = Workers::start(config.workers).context("cannot start a thread for connections")?;
        // After the workers: each has a queue for its events.
        let events = if config.http.is_some() || config.events.is_some() { Events::on() } else { Events::off() };
        let limit = ConnectionLimit::left(descriptors);
        // Somebody can see them: in the API, at the end of a command, or in a report.
        let records = config.http.is_some() || !config.run.command.is_empty() || !config.run.reports.is_empty();
        Ok(Shared { records, workers, ..Shared::new(config.seed, limit, events, call_log.clone()) })
    };
    match Daemon::start(&config.proxies, shared(config)?).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && config.demo && config.listens_anywhere => {
            config.proxies[0].listen_anywhere();
            Ok(Daemon::start(&config.proxies, shared(config)?).await?)
        }
        listening => Ok(listening?),
    }
}

fn list(addresses: &[impl ToString]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
