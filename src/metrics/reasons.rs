//! Why connections turned opaque or got no TLS, and how many of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// How many reasons are counted each by itself: what a client sends can make TLS say many things.
const MOST: usize = 100;

/// The reason under which others are counted together.
const OTHERS: &str = "other reasons";

/// Counts connections by reason.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Mutex<BTreeMap<String, u64>>);

/// A reason, and how many connections it is that of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Reason {
    pub(crate) why: String,
    pub(crate) connections: u64,
}

impl From<(String, u64)> for Reason {
    fn from((why, connections): (String, u64)) -> Self {
        Self { why, connections }
    }
}

impl Reasons {
    /// Counts one connection more. Whether it is the first one with this reason; of many, the first one with any other.
    pub(crate) fn add(&self, why: &str) -> bool {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = if reasons.len() < MOST || reasons.contains_key(why) { why } else { OTHERS };
        let count = reasons.entry(counted.to_owned()).or_default();
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

    #[test]
    fn reasons_beyond_many_are_counted_together() {
        let reasons = Reasons::default();
        assert!((0..MOST).all(|number| reasons.add(&number.to_string())));
        assert!(reasons.add("one more"), "it is told");
        assert!(!reasons.add("and another") && !reasons.add("one more"));
        assert!(!reasons.add("7"), "it is still counted by itself");
        let all = reasons.all();
        assert_eq!((all.len(), &all[0], &all[1]), (MOST + 1, &(OTHERS.to_owned(), 3), &("7".to_owned(), 2)));
    }
}
