//! What happened, for other programs: metrics, statsd, a file of events.

pub(crate) mod events_file;
pub(crate) mod openmetrics;
pub(crate) mod process;
pub(crate) mod statsd;
