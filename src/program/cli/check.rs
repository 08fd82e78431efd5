//! `--check`: what would run, in lines.

use crate::program::command::typed;
use crate::program::config::{Address, Config, Log, ProxyConfig, Run};

/// What would run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// For standard output: a line for each proxy, then the rest.
    pub lines: String,
    /// Options that were given and have no effect, to be logged as a start would.
    pub warnings: Vec<String>,
    /// How it would be logged.
    pub log: Log,
}

impl Check {
    pub(super) fn of(config: Config) -> Self {
        let several = config.proxies.len() > 1;
        let proxies = config.proxies.iter().flat_map(|proxy| {
            let name = if several { format!("{}: ", proxy.name) } else { String::new() };
            let rules = proxy.rules.iter().map(|rule| format!("{name}{}: {rule}", rule.name())).collect::<Vec<_>>();
            [format!("{name}{}", route(proxy, config.demo))].into_iter().chain(rules)
        });
        let http = config.http.as_ref().map(|http| {
            let token = if http.token.is_some() { ", with a token" } else { "" };
            format!("HTTP API on http://{}{token}", Address::new(&http.host, http.port))
        });
        let statsd = config
            .statsd
            .as_ref()
            .map(|statsd| format!("statsd to {}, prefix {}", Address::new(&statsd.host, statsd.port), statsd.prefix));
        let events = config.events.as_ref().map(|path| format!("events to {}", path.display()));
        let seed =
            if config.seed_is_given { format!("seed {}", config.seed) } else { "seed drawn at random".to_owned() };
        let lines = proxies.chain(http).chain(statsd).chain(events).chain([seed]).chain(around(&config.run));
        let lines = lines.map(|line| line + "\n").collect();
        Self { lines, warnings: config.warnings, log: config.log }
    }
}

fn route(proxy: &ProxyConfig, demo: bool) -> String {
    let backend = if demo { "a small built-in HTTP server".to_owned() } else { proxy.backend.to_string() };
    proxy.line(&proxy.listen.to_string(), &backend)
}

/// What happens around the proxies, in its order.
fn around(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(run.wait_backend.map(|time| format!("waits for the backend, {time} at most")));
    lines.extend(run.ready_file.as_ref().map(|path| format!("ready file {}", path.display())));
    if !run.command.is_empty() {
        let times = if run.times() > 1 { format!("{} times ", run.times()) } else { String::new() };
        lines.push(format!("runs {times}{}", typed(&run.words())));
        lines.extend(run.timeout.map(|time| format!("ends it after {time}")));
    }
    lines.extend(run.expectations.iter().map(|expectation| format!("expects {expectation}")));
    lines.extend(run.reports.iter().map(|report| format!("report to {report}")));
    lines
}
