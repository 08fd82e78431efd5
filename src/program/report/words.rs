//! Sentences that table, Markdown, JUnit and annotations share.

use std::fmt;

use super::{Expected, Report, Run, text};
use crate::metrics::reasons::Reason;
use crate::metrics::summary::{figures, handshake_line, opaque_line};
use crate::program::command::{End, typed};
use crate::proxy::config::DEFAULT;

/// Before a line about all runs together.
const OVER_ALL: &str = "over all runs: ";

impl Report {
    /// The command, quoted for a shell; none for a daemon.
    pub(crate) fn command_line(&self) -> Option<String> {
        self.command.as_deref().map(typed)
    }

    /// The result of the runs, if several were requested.
    pub(crate) fn repeated(&self) -> Option<String> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        let (count, repeat, failed) = (self.runs.len(), self.repeat, self.failed().count());
        if repeat <= 1 {
            None
        } else if failed > 0 && self.keep_going {
            let of = if count as u64 == repeat { "runs".to_owned() } else { format!("runs, {repeat} requested,") };
            Some(format!("{failed} of {count} {of} failed"))
        } else if failed > 0 {
            Some(format!("run {count} of {repeat} failed"))
        } else if count == 1 {
            Some(format!("1 of {repeat} runs passed, seed {}", first.seed))
        } else {
            Some(format!("{count} of {repeat} runs passed, seeds {} to {}", first.seed, last.seed))
        }
    }

    /// The seeds of all runs that failed, if there may be several.
    pub(super) fn failing_seeds(&self) -> Option<String> {
        let failed: Vec<_> = self.failed().map(|run| format!("{} ({})", run.seed, run.how_it_failed())).collect();
        (self.keep_going && self.repeat > 1 && !failed.is_empty())
            .then(|| format!("failing seeds: {}", failed.join(", ")))
    }

    /// What is expected of all runs together, a line each.
    pub(super) fn totals(&self) -> impl Iterator<Item = String> {
        self.totals.iter().map(|expected| format!("{OVER_ALL}{expected}"))
    }

    /// The messages about those that are not met.
    pub(super) fn unmet_totals(&self) -> impl Iterator<Item = String> {
        self.totals.iter().filter(|expected| !expected.met).map(|expected| format!("{OVER_ALL}{}", expected.failure()))
    }
}

impl Run {
    /// How it ended. `exit_code` is the program's.
    pub(crate) fn outcome(&self, exit_code: u8) -> String {
        let end = match self.end {
            End::Stopped if exit_code == 0 => "stopped".to_owned(),
            End::Exited { code } if exit_code == code => format!("exit code {code}"),
            End::Exited { code } => format!("exit code {exit_code} (the command's was {code})"),
            end => format!("exit code {exit_code} ({end})"),
        };
        format!("{end} after {}, seed {}", text::time(self.took), self.seed)
    }

    /// In a few words.
    fn how_it_failed(&self) -> String {
        match self.end {
            End::Stopped | End::Exited { code: 0 } => {
                let unmet: Vec<_> = self.unmet().map(|expected| format!("{} not met", expected.expectation)).collect();
                unmet.join(", ")
            }
            end => end.to_string(),
        }
    }

    /// Whether there is only one proxy and it has no name of its own.
    pub(super) fn is_of_one_unnamed_proxy(&self) -> bool {
        matches!(self.proxies.as_slice(), [one] if one.name == DEFAULT)
    }

    /// The figures of connections, one line for each proxy, others for opaque connections and those without TLS if there are any,
    /// and one for each toxic.
    pub(super) fn connections(&self) -> impl Iterator<Item = String> {
        let unnamed = self.is_of_one_unnamed_proxy();
        self.proxies.iter().flat_map(move |proxy| {
            let name = if unnamed { String::new() } else { format!("{}: ", proxy.name) };
            let bytes = (proxy.to_backend, proxy.to_client);
            let figures =
                figures(proxy.connections, bytes, proxy.opaque, proxy.dial_failures, proxy.handshake_failures);
            let opaque = opaque_line(proxy.opaque, each(&proxy.opaque_reasons));
            let handshakes = handshake_line(proxy.handshake_failures, each(&proxy.handshake_reasons));
            let toxics = proxy.toxics.iter().map(|toxic| {
                let some = |number, what| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
                let (faults, connections) = (some(toxic.faults, "fault"), some(toxic.connections, "connection"));
                format!("toxic {}: {faults} on {connections}", toxic.name)
            });
            let lines = [figures].into_iter().chain(opaque).chain(handshakes).chain(toxics);
            lines.map(move |line| format!("{name}{line}"))
        })
    }
}

fn each(reasons: &[Reason]) -> impl Iterator<Item = (&str, u64)> {
    reasons.iter().map(|reason| (reason.why.as_str(), reason.connections))
}

impl Expected {
    /// The message if it is not met.
    pub(super) fn failure(&self) -> String {
        format!("expected {}, counted {}{}", self.expectation, self.count, self.reason())
    }

    /// The end of a line about it.
    fn reason(&self) -> String {
        self.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = if self.met { "met" } else { "NOT met" };
        write!(f, "expected {}: {met}, {}{}", self.expectation, self.count, self.reason())
    }
}
