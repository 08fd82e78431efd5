//! Why connections turned opaque, and how many of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts connections by reason. There are as many reasons as the framers have, times the protocols that they can name.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Mutex<BTreeMap<String, u64>>);

impl Reasons {
    /// Counts one connection more. Whether it is the first one with this reason.
    pub(crate) fn add(&self, why: &str) -> bool {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reasons.entry(why.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// Each reason with its number of connections, the most frequent one first.
    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = reasons.iter().map(|(why, count)| (why.clone(), *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reason_is_first() {
        let reasons = Reasons::default();
        assert!(reasons.add("a") && reasons.add("b"));
        assert!(!reasons.add("b"));
        assert_eq!(reasons.all(), [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    }
}
