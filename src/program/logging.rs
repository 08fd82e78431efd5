//! Logs, on standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::program::stderr::Stderr;

/// What is logged, and in which format.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important events that are logged; default `info`.
    pub level: Level,
    /// How a line is written; default `text`.
    pub format: Format,
}

/// How important an event is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The daemon failed.
    Error,
    /// Something is wrong, and the daemon goes on.
    Warn,
    /// What the daemon does on request: start, reload, change, stop.
    #[default]
    Info,
    /// What happened to each connection.
    Debug,
    /// Which handler was drawn for each call.
    Trace,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// How a line of the log is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. Does nothing in a program that has set up `tracing` itself.
pub(crate) fn start(log: Log) {
    // By default `tracing` reports a line that it cannot write with `eprintln!`, which panics once standard error is closed,
    // as behind `2>&1 | grep -m1 ready`. No connection may end because of that.
    let lines = tracing_subscriber::fmt().log_internal_errors(false);
    let lines = lines.with_max_level(tracing::Level::from(log.level)).with_writer(|| Stderr).with_target(false);
    let started = match log.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_ok() {
        // The usual hook writes to standard error itself, and would wait for its reader.
        panic::set_hook(Box::new(|panic| match Backtrace::capture() {
            trace if trace.status() == BacktraceStatus::Captured => error!("{panic}\n{trace}"),
            _ => error!("{panic}"),
        }));
    }
}
