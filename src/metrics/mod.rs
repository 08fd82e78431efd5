//! What the proxies count. How it is exported is the program's business.

pub(crate) mod counters;
pub(crate) mod histogram;
pub(crate) mod snapshot;
pub mod summary;
