//! From the first start to the last end: one run of a daemon, or each run of a command.

use std::time::{Instant, SystemTime};

use anyhow::Context;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::handler::Registry;
use crate::program::cli::Exit;
use crate::program::command::{self, ChildEnv, End, Signals};
use crate::program::config::{Config, ProxyConfig};
use crate::program::report::reporter::Reporter;
use crate::program::report::{Report, Run};
use crate::program::run::ready_file::ReadyFile;
use crate::program::run::services::{Results, Services, wait_for_backends};
use crate::program::run::signals;
use crate::program::run::verdict::Verdict;
use crate::program::stderr;
use crate::program::tls::Bundles;

/// Reads the configuration again, as a reload does.
pub(crate) type ReadConfig = fn(&Registry) -> Result<Config, Exit>;

/// Runs the command as often as requested, and stops at a failure unless it is to keep going; without a command, serves until a
/// signal stops it. `signals` are those for the command, `descriptors` is the soft limit that it gets.
pub(crate) async fn run(
    mut config: Config,
    registry: &Registry,
    read: ReadConfig,
    signals: Option<Signals>,
    descriptors: Option<u64>,
) -> anyhow::Result<u8> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // Early, so that a file that cannot be written is known before anything runs.
    config.run.ready_file.as_deref().map_or(Ok(()), ReadyFile::prepare)?;
    let command = (!config.run.command.is_empty()).then(|| config.run.words());
    let report = Report::new(command, config.run.times());
    let mut reporter = Reporter::open(report, config.run.keep_going, &config.run.reports, config.log)?;
    let ended = match signals {
        Some(mut signals) => repeat(&mut config, registry, &mut signals, descriptors, &mut reporter).await,
        None => serve(&mut config, registry, read, &mut reporter).await,
    };
    stderr::finish();
    reporter.finish(ended)
}

async fn serve(
    config: &mut Config,
    registry: &Registry,
    read: ReadConfig,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    let services = Services::start(config, registry).await?;
    let stop = signals::stop()?;
    if config.reads_files && !config.demo {
        let registry = registry.clone();
        signals::reload(config.clone(), services.proxies().clone(), move || read(&registry))?;
    }
    let mut stop = std::pin::pin!(stop);
    if let Some(within) = config.run.wait_backend {
        tokio::select! {
            accepts = wait_for_backends(config, within) => accepts?,
            () = &mut stop => return Ok(()),
        }
    }
    let ready_file = publish_ready_file(config, &services.child_env(config))?;
    services.announce(config);
    let started = Started::now();
    let stop = async move {
        stop.await;
        drop(ready_file);
    };
    let results = services.serve(stop, started.1).await;
    stderr::finish();
    let run = started.run(config, registry, End::Stopped, &results);
    reporter.add(run, &results.summaries, results.calls);
    reporter.add_totals(&config.run.expect_total, registry);
    Ok(())
}

async fn repeat(
    config: &mut Config,
    registry: &Registry,
    signals: &mut Signals,
    descriptors: Option<u64>,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    let first = config.seed;
    let bundles = trust(&config.proxies)?;
    for warning in &bundles.warnings {
        warn!("{warning}");
    }
    config.warnings.extend(bundles.warnings.iter().cloned());
    for number in 0..config.run.times() {
        config.seed = first.wrapping_add(number);
        let services = Services::start(config, registry).await?;
        if let Some(within) = config.run.wait_backend {
            tokio::select! {
                accepts = wait_for_backends(config, within) => accepts?,
                signal = signals.next_stop() => {
                    reporter.interrupted(signal);
                    return Ok(());
                }
            }
        }
        // A signal that arrived before there was a command to forward it to.
        if let Some(signal) = signals.stop_received() {
            reporter.interrupted(signal);
            return Ok(());
        }
        let child_env =
            ChildEnv { ca: bundles.ca.clone(), trust: bundles.variables.clone(), ..services.child_env(config) };
        let ready_file = publish_ready_file(config, &child_env)?;
        services.announce(config);
        // What was logged stands before what the command writes.
        let _ = spawn_blocking(stderr::flush).await;
        let started = Started::now();
        let mut ended = None;
        let until = async {
            ended = Some(command::run(&config.run.command, &child_env, config.run.timeout, descriptors, signals).await);
            drop(ready_file);
        };
        let results = services.serve(until, started.1).await;
        let Some(ended) = ended.transpose()? else { return Ok(()) };
        let run = started.run(config, registry, ended.end, &results);
        let passed = reporter.add(run, &results.summaries, results.calls);
        if let Some(signal) = ended.stopped_by {
            reporter.interrupted(signal);
            return Ok(());
        }
        // Behind the last one, no run is missing.
        if !passed && !config.run.keep_going && number + 1 < config.run.times() {
            return Ok(());
        }
    }
    reporter.add_totals(&config.run.expect_total, registry);
    Ok(())
}

/// When a run started.
struct Started(SystemTime, Instant);

impl Started {
    fn now() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    /// The run that started then and has ended now.
    fn run(&self, config: &Config, registry: &Registry, end: End, results: &Results) -> Run {
        let Verdict { expectations, warnings } = Verdict::of(config, registry, results);
        Run {
            seed: config.seed,
            begun: self.0,
            took: self.1.elapsed(),
            end,
            again: config.again.line(config.seed, config.run.times()),
            expectations,
            // Those of the start have scrolled away by now.
            warnings: config.warnings.iter().cloned().chain(warnings).collect(),
            proxies: results.proxies.clone(),
            labels: results.labels.clone(),
        }
    }
}

/// What the command is to trust, if a proxy has certificates of our authority.
fn trust(proxies: &[ProxyConfig]) -> anyhow::Result<Bundles> {
    let mut authorities = proxies.iter().filter_map(|proxy| proxy.tls.as_ref()?.authority());
    let Some(authority) = authorities.next() else { return Ok(Bundles::default()) };
    let bundles = Bundles::write(authority.certificate_pem(), |name| std::env::var_os(name));
    bundles.context("cannot write a file with the authorities that the command trusts")
}

fn publish_ready_file(config: &Config, child_env: &ChildEnv) -> anyhow::Result<Option<ReadyFile>> {
    let path = config.run.ready_file.as_deref();
    path.map(|path| ReadyFile::publish(path, child_env)).transpose()
}
