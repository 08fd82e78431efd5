//! From the first start to the last end: one run of a daemon, or each run of a command.

use std::time::{Instant, SystemTime};

use tokio::task::spawn_blocking;
use tracing::warn;

use crate::handler::Registry;
use crate::metrics::summary::Summary;
use crate::plan::mix::Share;
use crate::program::cli::Exit;
use crate::program::command::{self, End, Signals, variable};
use crate::program::config::Config;
use crate::program::report::reporter::Reporter;
use crate::program::report::{Expected, Run};
use crate::program::run::ready_file::ReadyFile;
use crate::program::run::services::{Results, Services, wait_for_backends};
use crate::program::run::signals;
use crate::program::stderr;
use crate::proxy::config::ProxyConfig;

/// Reads the configuration again, as a reload does.
pub(crate) type ReadConfig = fn(&Registry) -> Result<Config, Exit>;

/// Runs the command as often as requested, until it fails; without one, serves until a signal stops it. `signals` are those
/// for the command, `descriptors` is the soft limit that it gets.
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
    let mut reporter = Reporter::open(command, config.run.times(), &config.run.reports, config.log)?;
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
    if config.reads_a_file && !config.demo {
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
    let ready_file = publish_ready_file(config, &services)?;
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
        let ready_file = publish_ready_file(config, &services)?;
        services.announce(config);
        // What was logged stands before what the command writes.
        let _ = spawn_blocking(stderr::flush).await;
        let (child_env, started) = (services.child_env(config), Started::now());
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
        if !passed {
            return Ok(());
        }
    }
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
        let summaries = || results.summaries.iter().map(|(name, summary)| (name.as_str(), summary));
        let expected = config.run.expectations.iter().map(|expectation| {
            let count = expectation.count(summaries(), registry);
            Expected { expectation: expectation.to_string(), count, met: expectation.is_met_by(count) }
        });
        let expectations: Vec<_> = expected.collect();
        let mut warnings = match expectations.as_slice() {
            _ if config.run.command.is_empty() => Vec::new(),
            [] => idle_handlers(config, registry, results),
            // Missing connections explain every unmet expectation.
            some if some.iter().any(|expected| !expected.met) => unused_proxies(config, results, |_| true),
            _ => Vec::new(),
        };
        warnings.extend(idle_rules(config, results));
        Run {
            seed: config.seed,
            begun: self.0,
            took: self.1.elapsed(),
            end,
            again: config.again.line(config.seed),
            expectations,
            warnings,
            proxies: results.proxies.clone(),
        }
    }
}

/// Warnings about handlers that were configured and injected no fault.
fn idle_handlers(config: &Config, registry: &Registry, results: &Results) -> Vec<String> {
    let does_something = |name: &&str| registry.get(name).is_some_and(|entry| !entry.does_nothing());
    let configured = |proxy: &ProxyConfig| -> Vec<String> {
        let shares = proxy.mix.shares().iter().filter(|share| share.percent() > 0.0);
        shares.map(Share::name).filter(does_something).map(str::to_owned).collect()
    };
    let mut warnings = unused_proxies(config, results, |proxy| !configured(proxy).is_empty());
    for (prefix, proxy, summary) in listening(config, results).filter(|(.., summary)| summary.connections > 0) {
        let idle = configured(proxy).into_iter().filter(|handler| summary.faults_of(handler) == 0);
        let calls: u64 = summary.calls.iter().map(|(_, calls)| calls).sum();
        let plural = if calls == 1 { "" } else { "s" };
        warnings.extend(idle.map(|handler| format!("{prefix}`{handler}` injected no fault: {calls} call{plural}")));
    }
    warnings
}

/// Warnings about rules that decided no call.
fn idle_rules(config: &Config, results: &Results) -> Vec<String> {
    let mut warnings = Vec::new();
    for (prefix, proxy, _) in listening(config, results) {
        let rules = results.proxies.iter().filter(|known| known.name == proxy.name).flat_map(|known| &known.rules);
        let idle = rules.filter(|rule| rule.calls == 0);
        warnings.extend(idle.map(|rule| format!("{prefix}rule `{}` matched no call: {}", rule.name, rule.rule)));
    }
    warnings
}

/// Warnings about proxies without connections, of those that are `relevant`.
fn unused_proxies(config: &Config, results: &Results, relevant: impl Fn(&ProxyConfig) -> bool) -> Vec<String> {
    let unused = listening(config, results).filter(|(_, proxy, summary)| summary.connections == 0 && relevant(proxy));
    let warning = |(prefix, proxy, _): (String, &ProxyConfig, _)| {
        let variable = if config.names_proxies { variable(&proxy.name) } else { "VAURIEN_PROXY".to_owned() };
        format!("{prefix}no connections: the command finds the proxy's address in {variable}")
    };
    unused.map(warning).collect()
}

/// The configured proxies that listened, each with the prefix of lines about it and its summary.
fn listening<'a>(
    config: &'a Config,
    results: &'a Results,
) -> impl Iterator<Item = (String, &'a ProxyConfig, &'a Summary)> {
    results.summaries.iter().filter_map(|(name, summary)| {
        let proxy = config.proxies.iter().find(|proxy| proxy.name == *name && proxy.enabled)?;
        let prefix = if config.proxies.len() > 1 { format!("{name}: ") } else { String::new() };
        Some((prefix, proxy, summary))
    })
}

fn publish_ready_file(config: &Config, services: &Services) -> anyhow::Result<Option<ReadyFile>> {
    let path = config.run.ready_file.as_deref();
    path.map(|path| ReadyFile::publish(path, &services.child_env(config))).transpose()
}
