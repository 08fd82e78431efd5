//! What happened in the runs: a table for people, files for programs.

mod called; // what was called, for the terminal
#[cfg(test)]
mod example; // for tests
pub(crate) mod file; // files, replaced at the end
pub(crate) mod github; // the job's summary and annotations
mod html; // a page for browsers
mod junit; // for CI servers
pub(crate) mod labels; // which test met which fault
mod markdown; // for pages of CI servers
pub(crate) mod reporter; // collects the runs, then writes everything
pub(crate) mod table; // for the terminal
pub(crate) mod text; // durations and numbers as people read them
mod words; // sentences that these share

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::metrics::counters::seconds;
use crate::metrics::reasons::Reason;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot, RuleSnapshot, ToxicSnapshot};
use crate::program::command::End;
use crate::program::exit_code;
use crate::program::expectation::Expectation;
use crate::recorder::{CallShape, Recorded};
use labels::LabelReport;

/// The version of the JSON format: a change that breaks readers increases it.
const VERSION: u32 = 1;

/// The runs of one command, or the one run of a daemon.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    version: u32,
    vaurien: &'static str,
    /// What the program exits with.
    pub(crate) exit_code: u8,
    /// Why there were no runs, or not all: the program itself failed or was interrupted.
    pub(crate) error: Option<String>,
    /// The command and its arguments; none for a daemon.
    pub(crate) command: Option<Vec<String>>,
    /// How many runs were requested.
    pub(crate) repeat: u64,
    /// Whether runs follow one that failed.
    pub(crate) keep_going: bool,
    /// In order. Unless `keep_going`, only the last one can have failed.
    pub(crate) runs: Vec<Run>,
    /// The results of `--expect-total`; none if runs are missing.
    #[serde(rename = "expect_total")]
    pub(crate) totals: Vec<Expected>,
}

/// One run, from when everything was listening.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    #[serde(serialize_with = "time")]
    pub(crate) begun: SystemTime,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(crate) took: Duration,
    #[serde(flatten)]
    pub(crate) end: End,
    /// The command line that repeats it.
    pub(crate) again: String,
    /// The results of `--expect`.
    pub(crate) expectations: Vec<Expected>,
    /// Possible problems, one line each.
    pub(crate) warnings: Vec<String>,
    pub(crate) proxies: Vec<Proxy>,
    #[serde(flatten)]
    pub(crate) labels: LabelReport,
}

/// An expectation and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Expected {
    /// As the user wrote it: `cache.error>=1`.
    pub(crate) expectation: String,
    /// The actual count.
    pub(crate) count: u64,
    pub(crate) met: bool,
    /// Why it is not met, if that is known.
    pub(crate) why: Option<String>,
}

impl Expected {
    pub(crate) fn new(expectation: &Expectation, count: u64) -> Self {
        Self { expectation: expectation.to_string(), count, met: expectation.is_met_by(count), why: None }
    }
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) protocol: String,
    /// The rules at the end, if there were any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<RuleSnapshot>,
    /// The toxics at the end, and those before, if there were any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) toxics: Vec<ToxicSnapshot>,
    /// The mix at the end.
    pub(crate) mix: String,
    pub(crate) connections: u64,
    /// Connections that turned opaque.
    pub(crate) opaque: u64,
    /// Why they did.
    pub(crate) opaque_reasons: Vec<Reason>,
    /// Connections for which the backend could not be reached.
    pub(crate) dial_failures: u64,
    /// Connections of clients with which there is no TLS, which was not intended.
    pub(crate) handshake_failures: u64,
    /// Why there is none.
    pub(crate) handshake_reasons: Vec<Reason>,
    /// Bytes that clients sent.
    #[serde(rename = "bytes_to_backend")]
    pub(crate) to_backend: u64,
    /// Bytes that the backend sent.
    #[serde(rename = "bytes_to_client")]
    pub(crate) to_client: u64,
    pub(crate) handlers: Vec<HandlerSnapshot>,
    /// What was called, by shape: the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) shapes: Vec<CallShape>,
    /// Calls of further shapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other_calls: Option<u64>,
}

impl From<&ProxySnapshot> for Proxy {
    fn from(proxy: &ProxySnapshot) -> Self {
        let handlers = proxy.handlers.iter().filter(|handler| handler.in_mix || handler.calls > 0);
        let reasons = |reasons: &[(String, u64)]| reasons.iter().cloned().map(Reason::from).collect();
        Self {
            name: proxy.name.clone(),
            backend: proxy.backend.clone(),
            protocol: proxy.protocol.to_string(),
            rules: proxy.rules.clone(),
            toxics: proxy.toxics.clone(),
            mix: proxy.mix.clone(),
            connections: proxy.connections.accepted,
            opaque: proxy.opaque,
            opaque_reasons: reasons(&proxy.opaque_reasons),
            dial_failures: proxy.dial_failures,
            handshake_failures: proxy.handshake_failures,
            handshake_reasons: reasons(&proxy.handshake_reasons),
            to_backend: proxy.connections.to_backend.bytes,
            to_client: proxy.connections.to_client.bytes,
            handlers: handlers.cloned().collect(),
            ..Self::default()
        }
    }
}

impl Proxy {
    pub(crate) fn with_shapes(self, Recorded { shapes, other }: Recorded) -> Self {
        let other_calls = (!shapes.is_empty()).then_some(other);
        Self { shapes, other_calls, ..self }
    }

    /// Whether a fault touched a call.
    fn has_faults(&self) -> bool {
        self.handlers.iter().any(|handler| handler.faults > 0) || self.toxics.iter().any(|toxic| toxic.faults > 0)
    }
}

impl Report {
    pub(crate) fn new(command: Option<Vec<String>>, repeat: u64) -> Self {
        Self {
            version: VERSION,
            vaurien: env!("CARGO_PKG_VERSION"),
            exit_code: 0,
            error: None,
            command,
            repeat,
            keep_going: false,
            runs: Vec::new(),
            totals: Vec::new(),
        }
    }

    /// The run that is shown in detail: the first that failed, else the last one.
    pub(crate) fn shown(&self) -> Option<&Run> {
        self.failed().next().or(self.runs.last())
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.failed())
    }

    /// What the program exits with after these runs.
    fn exit_code_of_runs(&self) -> u8 {
        match self.shown().map_or(0, Run::exit_code) {
            0 if self.totals.iter().any(|expected| !expected.met) => exit_code::UNMET,
            code => code,
        }
    }
}

impl Run {
    /// The program's exit code if this was the last run.
    pub(crate) fn exit_code(&self) -> u8 {
        match exit_code::of_end(self.end) {
            0 if self.unmet().next().is_some() => exit_code::UNMET,
            code => code,
        }
    }

    /// Whether the command failed or an expectation was not met.
    pub(crate) fn failed(&self) -> bool {
        self.exit_code() != 0
    }

    pub(crate) fn unmet(&self) -> impl Iterator<Item = &Expected> {
        self.expectations.iter().filter(|expected| !expected.met)
    }
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis((*time).max(SystemTime::UNIX_EPOCH)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Readers rely on every key. Changing one increases [`VERSION`]; adding one does not.
    #[test]
    fn json_is_as_the_docs_have_it() {
        let error = json!({ "expectation": "error>=1", "count": 5, "met": true, "why": null });
        let delay = json!({ "expectation": "cache.delay>=10", "count": 3, "met": false, "why": null });
        let cache = json!({
            "name": "cache", "backend": "localhost:11211", "protocol": "memcache", "mix": "100:error",
            "connections": 12, "opaque": 1, "opaque_reasons": [{ "why": "HTTP/2", "connections": 1 }],
            "dial_failures": 2, "handshake_failures": 3,
            "handshake_reasons": [{ "why": "the client sent HTTP without TLS", "connections": 3 }],
            "bytes_to_backend": 80, "bytes_to_client": 0,
            "handlers": [{ "name": "error", "calls": 5, "faults": 5, "waited": null }],
        });
        let run = json!({
            "seed": 42, "begun": "2023-11-14T22:13:20.250Z", "seconds": 21.4, "end": "exited", "code": 0,
            "again": "vaurien --backend localhost:6379 --handler 20:delay --seed 42 -- pytest -x",
            "expectations": [error, delay],
            "warnings": ["handler `hang` of cache took no call"],
            "proxies": [
                {
                    "name": "default", "backend": "localhost:6379", "protocol": "redis", "mix": "20:delay,80:dummy",
                    "connections": 1, "opaque": 0, "opaque_reasons": [], "dial_failures": 0,
                    "handshake_failures": 0, "handshake_reasons": [],
                    "bytes_to_backend": 2627, "bytes_to_client": 172_790,
                    "handlers": [
                        {
                            "name": "delay", "calls": 24, "faults": 24,
                            "waited": { "p50_seconds": 0.25, "p99_seconds": 0.251, "max_seconds": 0.252 },
                        },
                        { "name": "dummy", "calls": 77, "faults": 0, "waited": null },
                    ],
                },
                cache,
            ],
        });
        let expected = json!({
            "version": 1, "vaurien": env!("CARGO_PKG_VERSION"), "exit_code": 3, "error": null,
            "command": ["pytest", "-x"], "repeat": 1, "keep_going": false, "expect_total": [],
            "runs": [run],
        });
        assert_eq!(serde_json::to_value(example::report()).unwrap(), expected);
    }

    #[test]
    fn each_end_has_its_word() {
        let mut report = example::passed(4, 20);
        let ends = [End::Stopped, End::Exited { code: 7 }, End::Signalled { signal: 9 }, End::TimedOut];
        report.runs.iter_mut().zip(ends).for_each(|(run, end)| run.end = end);
        report.command = None;
        let report = serde_json::to_value(report).unwrap();
        assert_eq!(report["command"], Value::Null);
        assert_eq!(report["repeat"], 20);
        let runs = report["runs"].as_array().unwrap();
        let ends: Vec<Value> = runs.iter().map(|run| json!([run["end"], run.get("code"), run.get("signal")])).collect();
        let expected = [
            json!(["stopped", null, null]),
            json!(["exited", 7, null]),
            json!(["signalled", null, 9]),
            json!(["timed_out", null, null]),
        ];
        assert_eq!(ends, expected);
    }

    #[test]
    fn what_is_unmet_fails_a_run_that_passed_otherwise() {
        let mut run = example::report().runs.remove(0);
        assert!(run.failed() && run.exit_code() == exit_code::UNMET);
        run.end = End::TimedOut;
        assert_eq!(run.exit_code(), 124);
        run.end = End::Exited { code: 0 };
        run.expectations.retain(|expected| expected.met);
        assert!(!run.failed() && run.exit_code() == 0);
        run.end = End::Exited { code: 1 };
        assert!(run.failed());
    }
}
