//! Sentences that table, Markdown, JUnit and annotations share.

use std::fmt;

use super::{Expected, Report, Run, text};
use crate::program::command::{End, typed};
use crate::proxy::config::DEFAULT;

impl Report {
    /// The command, quoted for a shell; none for a daemon.
    pub(crate) fn command_line(&self) -> Option<String> {
        self.command.as_deref().map(typed)
    }

    /// The result of the runs, if several were requested.
    pub(crate) fn repeated(&self) -> Option<String> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        let (count, repeat) = (self.runs.len(), self.repeat);
        if repeat <= 1 {
            None
        } else if last.failed() {
            Some(format!("run {count} of {repeat} failed"))
        } else if count == 1 {
            Some(format!("1 of {repeat} runs passed, seed {}", first.seed))
        } else {
            Some(format!("{count} of {repeat} runs passed, seeds {} to {}", first.seed, last.seed))
        }
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

    /// Whether there is only one proxy and it has no name of its own.
    pub(super) fn is_of_one_unnamed_proxy(&self) -> bool {
        matches!(self.proxies.as_slice(), [one] if one.name == DEFAULT)
    }

    /// The figures of connections, one line for each proxy.
    pub(super) fn connections(&self) -> impl Iterator<Item = String> {
        let unnamed = self.is_of_one_unnamed_proxy();
        self.proxies.iter().map(move |proxy| {
            let name = if unnamed { String::new() } else { format!("{}: ", proxy.name) };
            format!(
                "{name}{} connections, {} bytes from clients, {} bytes from backends, {} opaque, {} dial failures",
                proxy.connections, proxy.to_backend, proxy.to_client, proxy.opaque, proxy.dial_failures
            )
        })
    }
}

impl Expected {
    /// The message if it is not met.
    pub(super) fn failure(&self) -> String {
        format!("expected {}, counted {}", self.expectation, self.count)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = if self.met { "met" } else { "NOT met" };
        write!(f, "expected {}: {met}, {}", self.expectation, self.count)
    }
}
