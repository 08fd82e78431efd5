//! From the first start to the last end: one session for a daemon, one for each run of a command.

use std::time::{Instant, SystemTime};

use tracing::warn;

use crate::handler::Registry;
use crate::metrics::summary::Summary;
use crate::plan::mix::Share;
use crate::program;
use crate::program::command;
use crate::program::command::End;
use crate::program::command::{Signals, end_of_everything, variable};
use crate::program::config::Config;
use crate::program::report::reporter::Reporter;
use crate::program::report::{Expected, Run};
use crate::program::run::ready_file::ReadyFile;
use crate::program::run::services::{Done, Session, wait_for_backends};
use crate::program::run::signals;
use crate::proxy::config::ProxyConfig;

/// Serves until it is asked to stop.
pub(crate) async fn of_a_daemon(mut config: Config, registry: &Registry) -> anyhow::Result<u8> {
    let mut reporter = open(&config)?;
    let served = serve(&mut config, registry, &mut reporter).await;
    reporter.finish(served)
}

async fn serve(config: &mut Config, registry: &Registry, reporter: &mut Reporter) -> anyhow::Result<()> {
    let session = Session::start(config, registry).await?;
    let stop = signals::stop()?;
    if config.reads_a_file && !config.demo {
        let registry = registry.clone();
        let read = move || program::read(&registry);
        signals::reload(config.clone(), session.proxies().clone(), read)?;
    }
    let mut stop = std::pin::pin!(stop);
    if let Some(within) = config.run.wait_backend {
        tokio::select! {
            there = wait_for_backends(config, within) => there?,
            () = &mut stop => return Ok(()),
        }
    }
    let ready = publish_ready_file(config, &session)?;
    session.announce(config);
    let begun = Begun::now();
    let stop = async move {
        stop.await;
        drop(ready);
    };
    let done = session.serve(stop, begun.1).await;
    reporter.add(begun.run(config, registry, End::Stopped, &done), done);
    Ok(())
}

/// Runs the command as often as was asked for, until it fails.
pub(crate) async fn of_a_command(
    mut config: Config,
    registry: &Registry,
    mut signals: Signals,
    descriptors: Option<u64>,
) -> anyhow::Result<u8> {
    let mut reporter = open(&config)?;
    let ran = run(&mut config, registry, &mut signals, descriptors, &mut reporter).await;
    reporter.finish(ran)
}

async fn run(
    config: &mut Config,
    registry: &Registry,
    signals: &mut Signals,
    descriptors: Option<u64>,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    let first = config.seed;
    for number in 0..config.run.repeat {
        config.seed = first.wrapping_add(number);
        let session = Session::start(config, registry).await?;
        if let Some(within) = config.run.wait_backend {
            tokio::select! {
                there = wait_for_backends(config, within) => there?,
                signal = end_of_everything(signals) => {
                    reporter.interrupted(signal);
                    return Ok(());
                }
            }
        }
        // While there was no command that could have heard of it.
        if let Some(signal) = signals.asked() {
            reporter.interrupted(signal);
            return Ok(());
        }
        let ready = publish_ready_file(config, &session)?;
        session.announce(config);
        let (given, begun) = (session.given(config), Begun::now());
        let mut ended = None;
        let until = async {
            ended = Some(command::run(&config.run.command, &given, config.run.timeout, descriptors, signals).await);
            drop(ready);
        };
        let done = session.serve(until, begun.1).await;
        let Some(ended) = ended.transpose()? else { return Ok(()) };
        let goes_on = reporter.add(begun.run(config, registry, ended.end, &done), done);
        if let Some(signal) = ended.asked {
            reporter.interrupted(signal);
            return Ok(());
        }
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

/// What has to be before anything begins.
fn open(config: &Config) -> anyhow::Result<Reporter> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    config.run.ready_file.as_deref().map_or(Ok(()), ReadyFile::prepare)?;
    Reporter::open(config)
}

/// When a run began.
struct Begun(SystemTime, Instant);

impl Begun {
    fn now() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    /// What came of the run that began then and has ended now.
    fn run(&self, config: &Config, registry: &Registry, end: End, done: &Done) -> Run {
        let summaries = || done.summaries.iter().map(|(name, summary)| (name.as_str(), summary));
        let expected = config.run.expectations.iter().map(|expectation| {
            let count = expectation.count(summaries(), registry);
            Expected { expectation: expectation.to_string(), count, met: expectation.is_met_by(count) }
        });
        let expectations: Vec<_> = expected.collect();
        let warnings = match expectations.as_slice() {
            _ if config.run.command.is_empty() => Vec::new(),
            [] => idle(config, registry, done),
            // Why it is not met is told where it is the same for all.
            some if some.iter().any(|expected| !expected.met) => nobody(config, done, |_| true),
            _ => Vec::new(),
        };
        Run {
            seed: config.seed,
            begun: self.0,
            took: self.1.elapsed(),
            end,
            again: config.again.line(config.seed),
            expectations,
            warnings,
            proxies: done.proxies.clone(),
        }
    }
}

/// What was asked for and did not happen.
fn idle(config: &Config, registry: &Registry, done: &Done) -> Vec<String> {
    let does_something = |name: &&str| registry.get(name).is_some_and(|entry| !entry.does_nothing());
    let asked = |proxy: &ProxyConfig| -> Vec<String> {
        let shares = proxy.mix.shares().iter().filter(|share| share.percent() > 0.0);
        shares.map(Share::name).filter(does_something).map(str::to_owned).collect()
    };
    let mut warnings = nobody(config, done, |proxy| !asked(proxy).is_empty());
    for (of, proxy, summary) in listening(config, done).filter(|(.., summary)| summary.connections > 0) {
        let idle = asked(proxy).into_iter().filter(|handler| summary.faults_of(handler) == 0);
        let calls: u64 = summary.calls.iter().map(|(_, calls)| calls).sum();
        warnings.extend(idle.map(|handler| format!("{of}`{handler}` did nothing in {calls} calls")));
    }
    warnings
}

/// Proxies to which nobody connected, of those that `matter`.
fn nobody(config: &Config, done: &Done, matter: impl Fn(&ProxyConfig) -> bool) -> Vec<String> {
    let unused = listening(config, done).filter(|(_, proxy, summary)| summary.connections == 0 && matter(proxy));
    let warning = |(of, proxy, _): (String, &ProxyConfig, _)| {
        let variable = if config.names_proxies { variable(&proxy.name) } else { "VAURIEN_PROXY".to_owned() };
        format!("{of}nobody connected, the command finds the proxy in {variable}")
    };
    unused.map(warning).collect()
}

/// The proxies that listened, each with what stands before a line that is about it, and with what it did.
fn listening<'a>(config: &'a Config, done: &'a Done) -> impl Iterator<Item = (String, &'a ProxyConfig, &'a Summary)> {
    done.summaries.iter().filter_map(|(name, summary)| {
        let proxy = config.proxies.iter().find(|proxy| proxy.name == *name && proxy.enabled)?;
        let of = if config.proxies.len() > 1 { format!("{name}: ") } else { String::new() };
        Some((of, proxy, summary))
    })
}

fn publish_ready_file(config: &Config, session: &Session) -> anyhow::Result<Option<ReadyFile>> {
    let path = config.run.ready_file.as_deref();
    path.map(|path| ReadyFile::publish(path, &session.given(config))).transpose()
}
