//! What all proxies of a daemon share.

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::call_log::CallLog;
use crate::events::Events;
use crate::net::connection_limit::ConnectionLimit;

/// What all proxies of a daemon share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) connection_limit: ConnectionLimit,
    pub(crate) events: Events,
    pub(crate) call_log: CallLog,
    /// The connections of all proxies, also of those that are no more.
    pub(crate) tasks: TaskTracker,
    /// What their connections run on.
    pub(crate) runtime: Handle,
}

impl Shared {
    pub(crate) fn new(seed: u64, connection_limit: ConnectionLimit, events: Events, call_log: CallLog) -> Self {
        Self { seed, connection_limit, events, call_log, tasks: TaskTracker::new(), runtime: Handle::current() }
    }
}
