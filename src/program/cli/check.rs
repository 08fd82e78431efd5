//! `--check`: what would run, in lines.

use std::collections::HashSet;

use serde_json::Value;

use crate::duration::Seconds;
use crate::handler::Registry;
use crate::plan::parse::{ParsedHandler, ParsedMix};
use crate::program::command::typed;
use crate::program::config::schema::{BACKEND_TLS, HANDLERS, TLS};
use crate::program::config::{Config, HostPort, Log, ProxyConfig, Run};
use crate::settings::Field;

/// What would run, or what else was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// For standard output. Of what would run, a line for each proxy, then the rest.
    pub lines: String,
    /// What was given and is probably not what was meant, to be logged as a start would.
    pub warnings: Vec<String>,
    /// How it would be logged.
    pub log: Log,
}

impl Check {
    pub(super) fn of(config: Config, registry: &Registry) -> Self {
        let several = config.proxies.len() > 1;
        let proxies = config.proxies.iter().flat_map(|proxy| {
            let name = if several { format!("{}: ", proxy.name) } else { String::new() };
            let settings = settings(proxy, registry).into_iter().map(|line| format!("  {line}"));
            let rules = proxy.rules.iter().map(|rule| format!("  rule {}: {rule}", rule.name())).collect::<Vec<_>>();
            let toxics = proxy.toxics.iter().map(|toxic| format!("  toxic {}: {toxic}", toxic.name()));
            let rules = rules.into_iter().chain(toxics).collect::<Vec<_>>();
            [format!("{name}{}", route(proxy, config.demo))].into_iter().chain(tls(proxy)).chain(rules).chain(settings)
        });
        let http = config.http.as_ref().map(|http| {
            let token = if http.token.is_some() { ", with a token" } else { "" };
            format!("HTTP API on http://{}{token}", HostPort::new(&http.host, http.port))
        });
        let toxiproxy =
            config.toxiproxy.as_ref().map(|toxiproxy| format!("Toxiproxy's API on http://{}", toxiproxy.listen));
        let statsd = config
            .statsd
            .as_ref()
            .map(|statsd| format!("statsd to {}, prefix {}", HostPort::new(&statsd.host, statsd.port), statsd.prefix));
        let events = config.events.as_ref().map(|path| format!("events to {}", path.display()));
        let seed =
            if config.seed_is_given { format!("seed {}", config.seed) } else { "seed drawn at random".to_owned() };
        let lines =
            proxies.chain(http).chain(toxiproxy).chain(statsd).chain(events).chain([seed]).chain(around(&config.run));
        let lines = lines.map(|line| line + "\n").collect();
        Self { lines, warnings: config.warnings, log: config.log }
    }
}

fn route(proxy: &ProxyConfig, demo: bool) -> String {
    let backend = if demo { "a small built-in HTTP server".to_owned() } else { proxy.backend.to_string() };
    proxy.line(&proxy.listen.to_string(), &backend)
}

/// How connections are encrypted, a line for each side.
fn tls(proxy: &ProxyConfig) -> Vec<String> {
    let given = |table: &str, key: &str| proxy.keys.all.get(table)?.get(key)?.as_str().map(str::to_owned);
    let ours = proxy.tls.as_ref().map(|tls| match (tls.authority(), given(TLS, "cert")) {
        (None, Some(file)) => format!("certificate {file}"),
        _ => "certificates for the names that clients ask for, signed by the authority of --tls auto".to_owned(),
    });
    let theirs = proxy.backend_tls.as_ref().map(|tls| {
        let name = given(BACKEND_TLS, "name").unwrap_or_else(|| proxy.backend.host().to_owned());
        let shown = given(BACKEND_TLS, "cert").map(|file| format!(", is shown {file}")).unwrap_or_default();
        let trusted = given(BACKEND_TLS, "ca").unwrap_or_else(|| "the system".to_owned());
        if tls.is_insecure() {
            format!("any certificate will do{shown}")
        } else {
            format!("has to be {name}, by the authorities of {trusted}{shown}")
        }
    });
    let lines = [("TLS with clients", ours), ("TLS with the backend", theirs)];
    lines.into_iter().filter_map(|(what, how)| Some(format!("  {what}: {}", how?))).collect()
}

/// The settings with which each handler of the mix acts, a line for each that has some.
fn settings(proxy: &ProxyConfig, registry: &Registry) -> Vec<String> {
    let mixes: Vec<_> =
        proxy.mixes().map(|mix| ParsedMix::parse(&mix.to_string(), registry).unwrap_or_default()).collect();
    let line = |handler: &ParsedHandler| {
        let given = proxy.keys.all.get(HANDLERS).and_then(|handlers| handlers.get(&handler.name));
        let fields = registry.get(&handler.name)?.fields.iter().filter_map(|field| {
            let name = &field.name;
            let value = handler.settings.get(name).or_else(|| given?.get(name)).filter(|value| !value.is_null());
            value.map(|value| format!("{name}={}", written(&field.canonical(value), field)))
        });
        let fields: Vec<_> = fields.collect();
        (!fields.is_empty()).then(|| format!("{}({})", handler.name, fields.join(", ")))
    };
    let mut lines: Vec<_> = mixes.iter().flat_map(ParsedMix::handlers).filter_map(line).collect();
    let mut known = HashSet::new();
    lines.retain(|line| known.insert(line.clone()));
    lines
}

/// A value as a mix has it, a time with its unit.
fn written(value: &Value, field: &Field) -> String {
    match value {
        Value::Number(seconds) if field.unit() == Some("seconds") => {
            seconds.to_string().parse::<Seconds>().map_or_else(|_| value.to_string(), |time| time.to_string())
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What happens around the proxies, in its order.
fn around(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(run.wait_backend.map(|time| format!("waits for the backend, {time} at most")));
    lines.extend(run.ready_file.as_ref().map(|path| format!("ready file {}", path.display())));
    if !run.command.is_empty() {
        let times = if run.times() > 1 { format!("{} times ", run.times()) } else { String::new() };
        let on = if run.keep_going && run.times() > 1 { ", also after a failure" } else { "" };
        lines.push(format!("runs {times}{}{on}", typed(&run.words())));
        lines.extend(run.timeout.map(|time| format!("ends it after {time}")));
    }
    lines.extend(run.expectations.iter().map(|expectation| format!("expects {expectation}")));
    lines.extend(run.expect_total.iter().map(|expectation| format!("expects {expectation} over all runs")));
    lines.extend(run.allow_no_calls.then(|| "accepts that there are no calls".to_owned()));
    lines.extend(run.reports.iter().map(|report| format!("report to {report}")));
    lines
}
