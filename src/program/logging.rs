//! Logs, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;

use crate::program::config::{Format, Level, Log};

/// Starts logging. A program that has started logging by itself goes on as it did.
pub(crate) fn start(log: Log) {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // By default a line that cannot be written is complained about with `eprintln!`, which panics where nobody reads any
    // more, as behind `2>&1 | grep -m1 ready`. No connection is to end because of that.
    let lines = tracing_subscriber::fmt().log_internal_errors(false);
    let lines = lines.with_max_level(level).with_writer(io::stderr).with_target(false);
    let _ = match log.format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}
