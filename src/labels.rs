//! Labels: what calls belong to, such as the test that makes them. There is one at a time, for all proxies of a daemon.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

/// How many labels of a run are told apart by what is counted. Events and calls have further ones as well.
pub(crate) const MAX_LABELS: usize = 2_000;

/// The longest label, in bytes.
const MAX_BYTES: usize = 255;

/// The label of a call, an event or a connection that had one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallLabel {
    pub(crate) text: Box<str>,
    pub(crate) place: Place,
}

/// The place of a label among those of the run, in their order; none for one beyond [`MAX_LABELS`].
pub(crate) type Place = Option<u16>;

/// The label of the calls that begin now, and those before. Clones are the same.
#[derive(Debug, Default, Clone)]
pub(crate) struct Labels(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether there is one: without any, this is all that a call reads.
    is_set: AtomicBool,
    now: ArcSwapOption<CallLabel>,
    /// The first [`MAX_LABELS`]. Locked by who changes the label.
    known: Mutex<HashMap<Box<str>, Arc<CallLabel>>>,
}

impl Labels {
    /// The label of a call that begins now.
    #[inline]
    pub(crate) fn now(&self) -> Option<Arc<CallLabel>> {
        if self.0.is_set.load(Ordering::Acquire) { self.0.now.load_full() } else { None }
    }

    /// Calls that begin from now on have this label, or none.
    ///
    /// # Errors
    ///
    /// It cannot be a label, and why.
    pub(crate) fn set(&self, text: Option<&str>) -> Result<(), String> {
        text.map_or(Ok(()), check)?;
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let label = text.map(|text| {
            if let Some(label) = known.get(text) {
                return label.clone();
            }
            let place = u16::try_from(known.len()).ok().filter(|_| known.len() < MAX_LABELS);
            let label = Arc::new(CallLabel { text: text.into(), place });
            if place.is_some() {
                known.insert(text.into(), label.clone());
            }
            label
        });
        let is_set = label.is_some();
        self.0.now.store(label);
        self.0.is_set.store(is_set, Ordering::Release);
        Ok(())
    }

    /// The first [`MAX_LABELS`] that there were, in their order.
    pub(crate) fn all(&self) -> Vec<Arc<CallLabel>> {
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().cloned().collect();
        all.sort_unstable_by_key(|label| label.place);
        all
    }
}

fn check(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(format!("a label of {} bytes: write 1 to {MAX_BYTES} bytes", text.len()));
    }
    match text.chars().find(|char| char.is_control()) {
        Some(control) => Err(format!("a label with the control character {}: leave it out", control.escape_unicode())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(labels: &Labels) -> Option<(String, Place)> {
        labels.now().map(|label| (label.text.to_string(), label.place))
    }

    #[test]
    fn a_label_is_in_force_until_the_next() {
        let labels = Labels::default();
        assert_eq!(now(&labels), None);
        labels.set(Some("a")).unwrap();
        assert_eq!(now(&labels), Some(("a".to_owned(), Some(0))));
        labels.clone().set(Some("b é")).unwrap();
        assert_eq!(now(&labels), Some(("b é".to_owned(), Some(1))));
        labels.set(None).unwrap();
        assert_eq!(now(&labels), None);
        labels.set(Some("a")).unwrap();
        assert_eq!(now(&labels), Some(("a".to_owned(), Some(0))), "the same label has the same place");
        assert!(labels.all().iter().map(|label| &*label.text).eq(["a", "b é"]));
    }

    #[test]
    fn labels_beyond_the_limit_have_no_place() {
        let labels = Labels::default();
        for number in 0..=MAX_LABELS {
            labels.set(Some(&number.to_string())).unwrap();
        }
        assert_eq!(now(&labels), Some((MAX_LABELS.to_string(), None)));
        assert_eq!(labels.all().len(), MAX_LABELS);
        labels.set(Some("1999")).unwrap();
        assert_eq!(now(&labels), Some(("1999".to_owned(), Some(1999))));
    }

    #[test]
    fn what_is_no_label_changes_nothing() {
        let labels = Labels::default();
        labels.set(Some(&"é".repeat(127))).unwrap();
        for (wrong, why) in [
            (String::new(), "a label of 0 bytes: write 1 to 255 bytes"),
            ("é".repeat(128), "a label of 256 bytes: write 1 to 255 bytes"),
            ("a\tb".to_owned(), "a label with the control character \\u{9}: leave it out"),
            ("a\u{9b}".to_owned(), "a label with the control character \\u{9b}: leave it out"),
        ] {
            assert_eq!(labels.set(Some(&wrong)), Err(why.to_owned()));
        }
        assert_eq!(now(&labels), Some(("é".repeat(127), Some(0))));
    }
}
