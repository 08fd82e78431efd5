//! The program: arguments, logging, run, one error line, exit code.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};
use tracing::{info, warn};

use crate::api;
use crate::config::{self, Address, Config, Exit, ProxyConfig};
use crate::daemon::{Daemon, Shared};
use crate::demo::Demo;
use crate::handler::Registry;
use crate::journal::{self, Journal};
use crate::listening::CannotListen;
use crate::proxies::Proxies;
use crate::recording::Recording;
use crate::room::Room;
use crate::statsd::Statsd;
use crate::{logging, notify, signals};

/// How many connections with news are looked after before others are asked for theirs. With 128 connections in ping-pong
/// the slowest of a hundred calls takes 0.81 of the time that it takes with tokio's default of 1024.
const EVENTS: usize = 16;

/// How often a statsd server is told what was counted.
const STATSD: Duration = Duration::from_secs(1);

/// How long the last events may take to be written.
const EVENTS_LEFT: Duration = Duration::from_secs(1);

/// `ENXIO`.
const NO_READER: i32 = 6;

/// The exit code for a wrong command line or file.
const WRONG_USE: u8 = 2;

/// Runs the program with the handlers of `registry`: a program with handlers of its own needs no more than this.
///
/// Exit codes: 0 when it was asked to stop, 1 when it failed while running, 2 for a wrong command line or file.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let config = match read(registry) {
        Ok(config) => config,
        Err(exit) => return leave(&exit),
    };
    logging::start(config.log);
    match run(config, registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What command line, variables and file ask for now.
fn read(registry: &Registry) -> Result<Config, Exit> {
    Config::from_args(std::env::args_os(), |name| std::env::var(name).ok(), registry)
}

/// Says what was asked for, or what is wrong.
fn leave(exit: &Exit) -> ExitCode {
    match exit {
        Exit::Help(text) => {
            // A reader that has seen enough, such as `head`, is no failure.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Exit::Mistakes(mistakes) => {
            mistakes.iter().for_each(|mistake| complain(format_args!("{mistake}")));
            ExitCode::from(WRONG_USE)
        }
    }
}

/// Says what is wrong; if nobody reads it, the exit code still tells.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "vaurien: {what}");
}

fn run(config: Config, registry: &Registry) -> anyhow::Result<()> {
    // Where the limit cannot be raised, running out of descriptors is met when it happens.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_io_events_per_tick(EVENTS)
        .enable_all()
        .build()
        .context("cannot start")?;
    let served = runtime.block_on(serve(config, registry));
    // Resolving a name cannot be broken off. It is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(mut config: Config, registry: &Registry) -> anyhow::Result<()> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let demo = if config.demo {
        Some(Demo::start(&mut config.proxies[0]).await.context("cannot start the demo's server")?)
    } else {
        None
    };
    let journal = if config.http.is_some() || config.events.is_some() { Journal::on() } else { Journal::off() };
    let events = config.events.as_ref().map(|path| open(path)).transpose()?;
    let daemon = listen(&mut config, registry, &journal).await?;
    let proxies = daemon.proxies().clone();
    let api = match &config.http {
        Some(http) => Some(api::start(http, proxies.clone()).await?),
        None => None,
    };
    let statsd = match &config.statsd {
        Some(statsd) => Some(tell_statsd(statsd, proxies.clone()).await?),
        None => None,
    };
    let events = events.map(|file| write_events(file, config.events.as_deref(), &journal)).transpose()?;
    let stop = signals::stop()?;
    if config.reads_a_file && !config.demo {
        signals::reload(config.clone(), proxies.clone(), |proxies| read(proxies.registry()))?;
    }
    announce(&config, &proxies, api.as_ref());
    notify::ready();
    let stop = async {
        stop.await;
        notify::stopping();
    };
    match (demo, daemon.addresses().first().copied()) {
        (Some(demo), Some(address)) => daemon.serve(demo.until(stop, address)).await,
        _ => daemon.serve(stop).await,
    };
    report(&proxies);
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
    Ok(())
}

/// A file for events, or a pipe that somebody reads: opening one that nobody does would wait for a reader.
fn open(path: &Path) -> anyhow::Result<File> {
    let file = match pipe::OpenOptions::new().open_sender(path) {
        Ok(pipe) => pipe.into_blocking_fd().map(File::from),
        Err(error) if error.raw_os_error() == Some(NO_READER) => {
            Err(io::Error::new(error.kind(), "it is a pipe that nobody reads"))
        }
        // What is in it is another's until everything listens.
        Err(_) => File::options().write(true).create(true).truncate(false).open(path),
    };
    file.with_context(|| format!("cannot write events to `{}`", path.display()))
}

/// Writes all events to the file, from the first on, in place of what was in it.
fn write_events(file: File, path: Option<&Path>, journal: &Journal) -> anyhow::Result<JoinHandle<()>> {
    let path = path.unwrap_or(Path::new("")).display().to_string();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        file.set_len(0).with_context(|| format!("cannot write events to `{path}`"))?;
    }
    Ok(journal::write_to(file, path, journal.reader(Some(0)))?)
}

/// Tells a statsd server what the proxies count, until what is answered is dropped.
async fn tell_statsd(
    config: &config::Statsd,
    proxies: Arc<Proxies>,
) -> anyhow::Result<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)> {
    let config::Statsd { host, port, prefix } = config;
    let statsd = Statsd::new(host, *port, prefix).await;
    let statsd = statsd.with_context(|| format!("cannot send to statsd on {}", Address::new(host, *port)))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let totals = move || proxies.all().iter().map(|proxy| proxy.reads()).collect();
    let stopped = async {
        let _ = stopped.await;
    };
    Ok((stop, tokio::spawn(statsd.run(interval(STATSD), totals, stopped))))
}

/// Listens. For a demo that nobody gave an address, any port will do where the usual one is taken.
async fn listen(config: &mut Config, registry: &Registry, journal: &Journal) -> Result<Daemon, CannotListen> {
    let descriptors = if config.http.is_some() { api::DESCRIPTORS } else { 0 };
    let (room, recording) = (|| Room::left(descriptors), Recording::off());
    let shared = || Shared::new(config.seed, registry.clone(), room(), journal.clone(), recording.clone());
    match Daemon::start(&config.proxies, shared()).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && config.demo && config.listens_anywhere => {
            let proxy = &mut config.proxies[0];
            proxy.listen.port = 0;
            proxy.spec = proxy.spec.clone().with("proxy", proxy.listen.to_string());
            Daemon::start(&config.proxies, shared()).await
        }
        listening => listening,
    }
}

/// Says that everything listens, and where.
fn announce(config: &Config, proxies: &Proxies, api: Option<&api::Running>) {
    if let Some(api) = api {
        info!("HTTP API on http://{}", list(api.addresses()));
    }
    let line = |config: &ProxyConfig| {
        let addresses = proxies.get(&config.name).map(|proxy| proxy.addresses()).unwrap_or_default();
        let listening = if config.enabled { list(&addresses) } else { "disabled".to_owned() };
        let ProxyConfig { backend, protocol, mix, .. } = config;
        format!("{listening} -> {backend}, protocol {protocol}, handler {mix}")
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
}

/// Says what the proxies have done.
fn report(proxies: &Proxies) {
    let all = proxies.all();
    for proxy in &all {
        let name = if all.len() > 1 { format!("{}: ", proxy.name) } else { String::new() };
        proxy.summary().lines().iter().for_each(|line| info!("{name}{line}"));
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
