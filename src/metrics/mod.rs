//! Counters, histograms and snapshots of the proxies. The exporters are in `program`.

pub(crate) mod counters;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod reasons;
pub(crate) mod snapshot;
pub(crate) mod summary;
