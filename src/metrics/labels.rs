//! What was counted of the calls of each label.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::labels::{CallLabel, Place};
use crate::workers::PerWorker;

/// The counts of a handler or a toxic, by label. Each worker counts for itself, and waits only while somebody reads. It takes no
/// memory until there is a label.
#[derive(Debug, Default)]
pub(crate) struct LabelCounts(OnceLock<PerWorker<Mutex<ByLabel>>>);

/// Counts by the place of the label.
pub(crate) type ByLabel = BTreeMap<Place, Counted>;

/// How many calls, and how many faults.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
}

impl Counted {
    pub(crate) fn add(&mut self, more: Self) {
        self.calls += more.calls;
        self.faults += more.faults;
    }
}

impl LabelCounts {
    pub(super) fn add(&self, label: &CallLabel, counted: Counted) {
        let own = self.0.get_or_init(PerWorker::default).own();
        own.lock().unwrap_or_else(PoisonError::into_inner).entry(label.place).or_default().add(counted);
    }

    pub(crate) fn all(&self) -> ByLabel {
        let mut all = ByLabel::new();
        for own in self.0.get().into_iter().flat_map(PerWorker::all) {
            for (place, counted) in &*own.lock().unwrap_or_else(PoisonError::into_inner) {
                all.entry(*place).or_default().add(*counted);
            }
        }
        all
    }
}
