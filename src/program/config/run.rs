//! The command that runs in front of the proxies, and what is waited for, expected and reported around it.

use std::ffi::OsString;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::list::{self, Listed};
use super::schema::{Schema, Setting, TLS, path};
use super::tls::ClientTlsOptions;
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::duration::Seconds;
use crate::handler::Registry;
use crate::metrics::summary::COUNTED;
use crate::net::address::Address;
use crate::plan::mix::{Mix, Share};
use crate::plan::rule::Rule;
use crate::program::command::{self, Placeholder, conflict};
use crate::program::expectation::{COUNTED_OF_RULE, Expectation, Subject};
use crate::program::report::file::Target;
use crate::proxy::config::ProxyConfig;
use crate::toxic::Toxic;

/// The command, and what happens around the proxies.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "Command"))]
#[non_exhaustive]
pub struct Run {
    /// The command and its arguments; empty for a daemon.
    #[serde(skip)]
    pub command: Vec<OsString>,
    /// Wait this long for the backend to accept connections
    #[serde(deserialize_with = "time")]
    pub wait_backend: Option<Seconds>,
    /// Exit with code 3 unless this is met: 'error>=1'
    #[serde(rename = "expect", with = "list")]
    #[schemars(with = "Option<Listed>", extend("x-unit" = "expectation", "x-common" = true))]
    pub(crate) expectations: Vec<Expectation>,
    /// Exit with code 3 unless all runs together meet this
    #[serde(with = "list")]
    #[schemars(with = "Option<Listed>", extend("x-unit" = "expectation"))]
    pub(crate) expect_total: Vec<Expectation>,
    /// Accept that the faults that were asked for could not take place; otherwise exit with code 3
    pub(crate) allow_no_calls: bool,
    /// Stop the command after this time, exit code 124
    #[serde(deserialize_with = "time")]
    pub timeout: Option<Seconds>,
    /// Run the command this many times, each with the next seed
    #[serde(deserialize_with = "repeat")]
    #[schemars(extend("x-unit" = "times"))]
    pub(crate) repeat: Option<u64>,
    /// With --repeat: go on after a run that failed
    pub(crate) keep_going: bool,
    /// Write a report to this .json, .xml or .html file
    #[serde(rename = "report", with = "list")]
    #[schemars(with = "Option<Listed>", extend("x-unit" = "file", "x-common" = true))]
    pub(crate) reports: Vec<Target>,
    /// Create this file once everything listens, remove it at the end
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    pub ready_file: Option<PathBuf>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Seconds>, D::Error> {
    match Option::<Seconds>::deserialize(deserializer)? {
        Some(none) if none == Seconds::default() => Err(de::Error::custom("`0` leaves no time, give more than 0")),
        time => Ok(time),
    }
}

fn repeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<u64>::deserialize(deserializer)? {
        Some(0) => Err(de::Error::custom("`0` runs nothing, give 1 or more")),
        times => Ok(times),
    }
}

/// Which APIs there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apis {
    /// Our own.
    pub(super) http: bool,
    pub(super) toxiproxy: bool,
}

impl Apis {
    /// Whether one may add proxies, rules and toxics.
    fn are_any(self) -> bool {
        self.http || self.toxiproxy
    }
}

impl Run {
    /// How many times the command runs; 1 for a daemon.
    #[must_use]
    pub fn times(&self) -> u64 {
        if self.command.is_empty() { 1 } else { self.repeat.unwrap_or(1) }
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// The variables of these options. The command does not get them: they are not for a `vaurien` within it.
    pub(crate) fn variables(registry: &Registry) -> Vec<String> {
        Schema::new(registry).of_program("run").map(Setting::variable).collect()
    }

    /// Whether a report shows each call.
    pub(crate) fn records_calls(&self) -> bool {
        self.reports.iter().any(Target::shows_calls)
    }

    /// Checks the names in expectations and in the command's arguments.
    pub(super) fn check(
        &self,
        proxies: &[ProxyConfig],
        apis: Apis,
        values: &Values<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let names: Vec<&str> = proxies.iter().map(|proxy| proxy.name.as_str()).collect();
        for (path, expectations) in [("run.expect", &self.expectations), ("run.expect_total", &self.expect_total)] {
            let place = values.place(path).unwrap_or_default();
            let wrong = expectations
                .iter()
                .map(|one| wrong_names(one, &place, proxies, apis.are_any(), values.schema.registry));
            wrong.for_each(|wrong| diagnostics.extend(wrong));
        }
        if self.command.is_empty() && self.ready_file.is_none() {
            return;
        }
        if let Some(variable) = conflict(&names) {
            let last = names[names.len() - 1];
            let twice = format!("{variable} would have two values, give proxy `{last}` another name");
            diagnostics.push(Diagnostic::new("", twice));
        }
        let is_unix =
            |name: &str| proxies.iter().any(|proxy| proxy.name == name && matches!(proxy.listen, Address::Unix(_)));
        let is_disabled = |name: &str| proxies.iter().any(|proxy| proxy.name == name && !proxy.enabled);
        for word in self.command.iter().skip(1).flat_map(|argument| Placeholder::all(argument)) {
            let what = match word.subject {
                command::Subject::Http if !apis.http => "there is no HTTP API, add `--http`".to_owned(),
                command::Subject::Toxiproxy if !apis.toxiproxy => {
                    "there is no API of Toxiproxy, add `--toxiproxy`".to_owned()
                }
                command::Subject::Ca if !asks_for_an_authority(values) => {
                    "no proxy has certificates of an authority, add `--tls auto`".to_owned()
                }
                command::Subject::OnlyProxy if names.len() > 1 => {
                    format!("there are {} proxies, write `{{{}.{}}}`", names.len(), word.part, names[0])
                }
                command::Subject::Proxy(name) if !names.contains(&name) => {
                    diagnostics
                        .push(Diagnostic::new("", unknown(&word.text, "proxy", name, &names) + " in the command"));
                    continue;
                }
                command::Subject::Proxy(name) if is_disabled(name) => {
                    format!("`{name}` is disabled, and listens nowhere")
                }
                command::Subject::OnlyProxy if names.is_empty() => "there is no proxy".to_owned(),
                command::Subject::OnlyProxy if is_disabled(names[0]) => {
                    "the proxy is disabled, and listens nowhere".to_owned()
                }
                command::Subject::OnlyProxy if word.part != "proxy" && is_unix(names[0]) => no_part("proxy"),
                command::Subject::Proxy(name) if word.part != "proxy" && is_unix(name) => {
                    no_part(&format!("proxy.{name}"))
                }
                _ => continue,
            };
            diagnostics.push(Diagnostic::new("", format_args!("`{}` in the command: {what}", word.text)));
        }
    }
}

/// What is wrong with the host or the port of a proxy on a Unix socket, whose address is `whole`.
fn no_part(whole: &str) -> String {
    format!("a Unix socket has no host and no port, write `{{{whole}}}`")
}

/// Whether an authority is to sign what clients of a proxy see.
fn asks_for_an_authority(values: &Values<'_>) -> bool {
    let asks = |within: &str| values.build::<ClientTlsOptions>(&format!("{within}{TLS}.")).is_ok_and(|tls| tls.auto.0);
    values.layout.proxies().iter().any(|(_, within)| asks(within))
}

/// Refuses an expectation whose names are unknown, or which cannot be met.
fn wrong_names(
    expectation: &Expectation,
    place: &str,
    proxies: &[ProxyConfig],
    has_api: bool,
    registry: &Registry,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    let names: Vec<&str> = proxies.iter().map(|proxy| proxy.name.as_str()).collect();
    let subject = expectation.subject(|name| names.contains(&name));
    let mut wrong = |what: &str, name, known: &[&str]| {
        diagnostics.push(Diagnostic::new(place, unknown(&expectation, what, name, known)));
    };
    // The API may add proxies, rules and toxics, and handlers under other names.
    let unknown_proxy = subject.proxy.filter(|name| !names.contains(name) && !has_api);
    if let Some(name) = unknown_proxy {
        wrong("proxy", name, &names);
    }
    let rules: Vec<&str> = asked(&subject, proxies).flat_map(|proxy| &proxy.rules).map(Rule::name).collect();
    let unknown_rule = subject.rule.filter(|name| !rules.contains(name) && !has_api && unknown_proxy.is_none());
    // What no rule is called now may be a proxy that the API adds.
    let is_of_rule = !has_api || subject.rule.is_some_and(|name| rules.contains(&name));
    if let Some(name) = unknown_rule {
        match subject.proxy {
            Some(_) => wrong("rule", name, &rules),
            None => wrong("proxy or rule", name, &[names.clone(), rules.clone()].concat()),
        }
    }
    let shares = proxies.iter().flat_map(ProxyConfig::mixes).flat_map(Mix::shares).map(Share::name);
    let toxics = proxies.iter().flat_map(|proxy| &proxy.toxics).map(Toxic::name);
    let own_names = shares.filter(|name| registry.get(name).is_none()).chain(toxics);
    let of_rule = |count: &&str| {
        subject.rule.is_none() || !is_of_rule || !COUNTED.contains(count) || COUNTED_OF_RULE.contains(count)
    };
    let counts: Vec<&str> = Expectation::countable(registry).filter(of_rule).chain(own_names).collect();
    let counted = subject.counted;
    let within = [("rule", &rules), ("proxy", &names)].into_iter().find(|(_, names)| names.contains(&counted));
    if let Some((what, _)) = within.filter(|_| !counts.contains(&counted)) {
        let [faults, calls] = ["faults", "calls"].map(|count| expectation.within(count));
        let what = format!("`{expectation}`: `{counted}` is a {what}, write `{faults}`, or `{calls}`");
        diagnostics.push(Diagnostic::new(place, what));
    } else if !counts.contains(&counted) {
        if !has_api {
            wrong("handler or count", counted, &counts);
        }
    } else if !COUNTED.contains(&counted) && !has_api && !expectation.is_met_by(0) && unknown_rule.is_none() {
        diagnostics.extend(never(expectation, &subject, proxies, place));
    }
    diagnostics
}

/// Refuses an expectation of a handler that none of its proxies has in its mix or in a rule.
fn never(expectation: &Expectation, subject: &Subject<'_>, proxies: &[ProxyConfig], place: &str) -> Diagnostics {
    let handler = subject.counted;
    let of_rule = |proxy: &'_ ProxyConfig| -> Vec<Mix> {
        let rules = proxy.rules.iter().filter(|rule| subject.rule.is_none_or(|name| name == rule.name()));
        let rest = [&proxy.mix].into_iter().filter(|_| subject.rule.is_none());
        rules.map(Rule::mix).chain(rest).cloned().collect()
    };
    let ours: Vec<Mix> = asked(subject, proxies).flat_map(of_rule).collect();
    let has_toxic = asked(subject, proxies).flat_map(|proxy| &proxy.toxics).any(|toxic| toxic.name() == handler);
    let has = |mix: &Mix| mix.shares().iter().any(|share| share.name() == handler && share.percent() > 0.0);
    if ours.is_empty() || ours.iter().any(has) || has_toxic && subject.rule.is_none() {
        return Diagnostics::default();
    }
    // It is in the mix, under another name.
    let is_its = |share: &&Share| share.handlers().any(|name| name == handler) && share.percent() > 0.0;
    if let Some(share) = ours.iter().flat_map(Mix::shares).find(is_its) {
        let meant = expectation.of(share.name());
        let what = format!("`{expectation}` cannot be met: this entry is called `{}`, write `{meant}`", share.name());
        return Diagnostic::new(place, what).into();
    }
    let mixes: Vec<String> = ours.iter().map(|mix| format!("`{mix}`")).collect();
    let what = format!("`{expectation}` cannot be met: `{handler}` is not in {}", mixes.join(" or "));
    Diagnostic::new(place, what).into()
}

/// The proxies that an expectation is about.
fn asked<'p>(subject: &Subject<'_>, proxies: &'p [ProxyConfig]) -> impl Iterator<Item = &'p ProxyConfig> {
    proxies.iter().filter(move |proxy| subject.proxy.is_none_or(|name| name == proxy.name))
}

fn unknown(within: &dyn std::fmt::Display, what: &str, name: &str, known: &[&str]) -> String {
    let hint = did_you_mean(name, known.iter().copied());
    format!("`{within}`: unknown {what} `{name}` (known: {}){hint}", known.join(", "))
}
