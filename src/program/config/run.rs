//! What happens around the proxies: a command that is run, what is expected of it, and where it is told.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::list::List;
use super::options::{Options, Scope, Setting, path};
use super::values::{Place, Values};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::duration::Seconds;
use crate::handler::Registry;
use crate::program::command::{Placeholder, Subject, conflict};
use crate::program::expectation::Expectation;
use crate::program::report::file::Target;
use crate::proxy::config::ProxyConfig;

/// What happens around the proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The command that is run in front of the proxies, and its arguments. Without one the program is a daemon.
    pub command: Vec<OsString>,
    /// How long the backends of all proxies that listen have to accept a connection before anything begins.
    pub wait_backend: Option<Duration>,
    /// How long the command may take.
    pub timeout: Option<Duration>,
    /// How many times it is run, with a seed that is one more each time; 1 unless given.
    pub repeat: u64,
    /// What is expected to have happened at the end.
    pub(crate) expectations: Vec<Expectation>,
    /// Files for the report. How it is written is told by the ending: `.json`, `.xml` (`JUnit`) or `.html`.
    pub(crate) reports: Vec<Target>,
    /// A file that is there while everything listens.
    pub ready_file: Option<PathBuf>,
}

/// The options of what happens around the proxies.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RunOptions {
    /// Wait this long for the backend to accept connections
    #[serde(deserialize_with = "time")]
    wait_backend: Option<Seconds>,
    /// What is to have happened, or else exit code 3: 'error>=1'
    #[schemars(extend("x-unit" = "expectation"))]
    expect: Option<List<Expectation>>,
    /// End a command that takes longer, exit code 124
    #[serde(deserialize_with = "time")]
    timeout: Option<Seconds>,
    /// Run it this many times, each with the next seed
    #[serde(deserialize_with = "repeat")]
    #[schemars(extend("x-unit" = "times"))]
    repeat: Option<u64>,
    /// Write what happened to this .json, .xml or .html
    #[schemars(extend("x-unit" = "file"))]
    report: Option<List<Target>>,
    /// Have this file there while everything listens
    #[serde(deserialize_with = "path")]
    #[schemars(extend("x-unit" = "file"))]
    ready_file: Option<PathBuf>,
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

impl Run {
    /// What was asked for, with `command`.
    pub(super) fn of(command: Vec<OsString>, program: &Values<'_>) -> Result<Self, Diagnostics> {
        let options: RunOptions = program.build(&Scope::Run)?;
        let is_a_daemon = command.is_empty();
        Ok(Self {
            command,
            wait_backend: options.wait_backend.map(Seconds::duration),
            timeout: options.timeout.map(Seconds::duration),
            repeat: if is_a_daemon { 1 } else { options.repeat.unwrap_or(1) },
            expectations: options.expect.unwrap_or_default().0,
            reports: options.report.unwrap_or_default().0,
            ready_file: options.ready_file,
        })
    }

    /// The command, as far as text can show it.
    pub(crate) fn words(&self) -> Vec<String> {
        self.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// The variables of what is around one command, and not around another within it.
    pub(crate) fn variables(registry: &Registry) -> Vec<String> {
        Options::new(registry).of(&Scope::Run).iter().map(Setting::variable).collect()
    }

    /// Whether a report is to show each call.
    pub(crate) fn records_calls(&self) -> bool {
        self.reports.iter().any(Target::shows_calls)
    }

    /// Whether what it names is there: in expectations, and in the command's arguments.
    pub(super) fn check(
        &self,
        proxies: &[ProxyConfig],
        has_http: bool,
        program: &Values<'_>,
        registry: &Registry,
        mistakes: &mut Diagnostics,
    ) {
        let names: Vec<&str> = proxies.iter().map(|proxy| proxy.name.as_str()).collect();
        let expect = program.place(&Scope::Run, "expect").cloned().unwrap_or_default();
        for expectation in &self.expectations {
            let stranger = expectation.proxy().filter(|name| !names.contains(name));
            // The API may add proxies.
            if let Some(name) = stranger.filter(|_| !has_http) {
                mistakes.push(Diagnostic::new(&expect, unknown(&expectation, "proxy", name, &names)));
            }
            let counts: Vec<&str> = Expectation::countable(registry).collect();
            let counted = expectation.counted();
            if !counts.contains(&counted) {
                mistakes.push(Diagnostic::new(&expect, unknown(&expectation, "handler or count", counted, &counts)));
            } else if registry.get(counted).is_some() && !has_http && !expectation.is_met_by(0) {
                mistakes.extend(never(expectation, counted, proxies, &expect));
            }
        }
        if self.command.is_empty() && self.ready_file.is_none() {
            return;
        }
        if let Some(variable) = conflict(&names) {
            let twice =
                format!("{variable} would tell of two things, give proxy `{}` another name", names[names.len() - 1]);
            mistakes.push(Diagnostic::new("", twice));
        }
        let is_disabled = |name: &str| proxies.iter().any(|proxy| proxy.name == name && !proxy.enabled);
        let arguments = self.command.iter().skip(1).filter_map(|argument| argument.to_str());
        for word in arguments.flat_map(Placeholder::all) {
            let what = match word.subject {
                Subject::Http if !has_http => "there is no HTTP API, add `--http`".to_owned(),
                Subject::OnlyProxy if names.len() > 1 => {
                    format!("there are {} proxies, write `{{{}.{}}}`", names.len(), word.part, names[0])
                }
                Subject::Proxy(name) if !names.contains(&name) => {
                    mistakes.push(Diagnostic::new("", unknown(&word.text, "proxy", name, &names) + " in the command"));
                    continue;
                }
                Subject::Proxy(name) if is_disabled(name) => format!("`{name}` is disabled, and listens nowhere"),
                Subject::OnlyProxy if is_disabled(names[0]) => "the proxy is disabled, and listens nowhere".to_owned(),
                _ => continue,
            };
            mistakes.push(Diagnostic::new("", format_args!("`{}` in the command: {what}", word.text)));
        }
    }
}

/// What to say where no proxy that it is about has the handler in its mix.
fn never(expectation: &Expectation, handler: &str, proxies: &[ProxyConfig], place: &Place) -> Diagnostics {
    let ours = |proxy: &&ProxyConfig| expectation.proxy().is_none_or(|name| name == proxy.name);
    let has =
        |proxy: &ProxyConfig| proxy.mix.shares().iter().any(|share| share.name() == handler && share.percent() > 0.0);
    let mixes: Vec<String> = proxies.iter().filter(ours).map(|proxy| format!("`{}`", proxy.mix)).collect();
    if mixes.is_empty() || proxies.iter().filter(ours).any(has) {
        return Diagnostics::default();
    }
    let what = format!("`{expectation}` cannot be met: `{handler}` is not in {}", mixes.join(" or "));
    Diagnostic::new(place, what).into()
}

fn unknown(within: &dyn std::fmt::Display, what: &str, name: &str, known: &[&str]) -> String {
    let hint = did_you_mean(name, known.iter().copied());
    format!("`{within}`: unknown {what} `{name}` (known: {}){hint}", known.join(", "))
}
