//! What all proxies of a daemon share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::runtime::Handle;

use crate::call_log::CallLog;
use crate::events::Events;
use crate::labels::Labels;
use crate::net::connection_limit::ConnectionLimit;
use crate::workers::Workers;

/// What all proxies of a daemon share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) connection_limit: ConnectionLimit,
    pub(crate) events: Events,
    pub(crate) call_log: CallLog,
    pub(crate) labels: Labels,
    /// Whether calls are counted by their shape.
    pub(crate) records: bool,
    /// How many bytes directions with faults hold.
    pub(crate) shaped: Arc<AtomicUsize>,
    /// What the connections of all proxies run on, also of those that are no more.
    pub(crate) workers: Workers,
    /// What everything else runs on.
    pub(crate) runtime: Handle,
}

impl Shared {
    /// Everything runs on the caller's runtime.
    pub(crate) fn new(seed: u64, connection_limit: ConnectionLimit, events: Events, call_log: CallLog) -> Self {
        let (workers, runtime) = (Workers::caller(), Handle::current());
        let (labels, shaped) = (Labels::default(), Arc::default());
        Self { seed, connection_limit, events, call_log, labels, records: false, shaped, workers, runtime }
    }
}
