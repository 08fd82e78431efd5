//! The plan in force, which a change replaces.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Plan;
use crate::workers::PerWorker;

/// The plan of the calls that begin now. Each worker has a copy, because calls hold on to their handlers.
#[derive(Debug)]
pub(crate) struct CurrentPlan(PerWorker<ArcSwap<Plan>>);

impl CurrentPlan {
    pub(crate) fn new(plan: impl Fn() -> Plan) -> Self {
        Self(PerWorker::new(|| ArcSwap::from_pointee(plan())))
    }

    pub(crate) fn load(&self) -> Guard<Arc<Plan>> {
        self.0.own().load()
    }

    pub(crate) fn load_full(&self) -> Arc<Plan> {
        self.0.own().load_full()
    }

    /// Calls are drawn from `plan` from now on, which is made of the plan before. Releases the calls that handlers hold which it
    /// does not have any more.
    pub(crate) fn replace(&self, plan: impl Fn(&Plan) -> Plan) {
        for current in self.0.all() {
            let next = Arc::new(plan(&current.load_full()));
            current.swap(next.clone()).give_way(&next);
        }
    }

    /// Releases the calls that handlers hold.
    pub(crate) fn release(&self) {
        self.0.all().for_each(|current| current.load().release());
    }
}
