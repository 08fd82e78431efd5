//! Metrics, statsd counters and a file of events, for other programs.

pub(crate) mod events_file;
pub(crate) mod openmetrics;
pub(crate) mod process;
pub(crate) mod statsd;
