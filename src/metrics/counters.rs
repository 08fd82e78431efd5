//! The counters of a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use histogram::AtomicHistogram;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::histogram::{DELAY, DIAL, Histogram, PASS};
use super::labels::{Counted, LabelCounts};
use super::reasons::Reasons;
use crate::labels::CallLabel;
use crate::workers::PerWorker;

/// A counter that each worker adds to for itself.
#[derive(Debug, Default)]
pub(crate) struct Count(PerWorker<AtomicU64>);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.own().fetch_add(more, Ordering::Relaxed);
    }

    /// As if they had never been added.
    pub(crate) fn take_back(&self, those: u64) {
        self.0.own().fetch_sub(those, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.all().map(|count| count.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// The rule that a handler belongs to, and its name. Those of the mix come first.
type HandlerKey = (Option<String>, String);

/// The counters of a proxy. Connections and their bytes are counted by the connections themselves.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) opaque: Count,
    pub(crate) opaque_reasons: Reasons,
    pub(crate) backend_failures: Count,
    pub(crate) backend_reasons: Reasons,
    /// TLS handshakes with clients that failed, which was not intended.
    pub(crate) handshake_failures: Count,
    pub(crate) handshake_reasons: Reasons,
    /// How often a client had to wait because none could be accepted.
    pub(crate) refused: Count,
    /// Whether it was told that replies send clients past the proxy.
    pub(crate) has_detours: AtomicBool,
    /// The time that a dial took.
    pub(crate) dial: Arc<Histogram>,
    /// How long passing a read on took where no fault touched it; a sample of all reads.
    pub(crate) pass: Arc<Histogram>,
    /// By rule, empty for the mix, and by handler.
    handlers: Mutex<Handlers>,
    toxics: Mutex<Toxics>,
    names: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Handlers {
    counters: BTreeMap<HandlerKey, Arc<HandlerCounters>>,
    /// The number of the latest one.
    last: u32,
}

/// How many names of rules are remembered, and of what they and the proxy have.
const MOST_NAMES: usize = 1000;

/// The names that there were, though nothing was counted under them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Names {
    rules: BTreeSet<String>,
    /// Of handlers and toxics.
    counted: BTreeSet<String>,
    /// There were others as well.
    pub(crate) is_partial: bool,
}

/// How many toxics that are gone are counted each under its own name.
pub(crate) const MOST_GONE: usize = 1000;

/// The name under which others are counted together.
pub(crate) const OTHERS: &str = "other";

/// By name, each with the number of its latest creation.
#[derive(Debug, Default)]
struct Toxics {
    counters: BTreeMap<String, (u64, Arc<ToxicCounters>)>,
    /// The number of the latest one.
    last: u64,
}

/// The counters of a toxic, from its creation to the end of its proxy.
#[derive(Debug, Default)]
pub(crate) struct ToxicCounters {
    /// Connections that had it; in either direction.
    pub(crate) connections: Count,
    /// Connections to whose bytes it did something.
    pub(crate) faults: Count,
    pub(crate) labels: LabelCounts,
}

/// The counters of a handler, over all plans of its proxy.
#[derive(Debug, Default)]
pub(crate) struct HandlerCounters {
    /// From 1, in the order in which the proxy got its handlers: names the handler where a name is too large.
    pub(crate) number: u32,
    /// Calls that were drawn for it.
    pub(crate) calls: Count,
    /// Calls to which it did something.
    pub(crate) faults: Count,
    pub(crate) labels: LabelCounts,
    delay: OnceLock<Delays>,
}

/// How long a handler delayed calls.
#[derive(Debug)]
struct Delays {
    /// For metrics.
    histogram: Arc<Histogram>,
    /// For reports.
    fine: PerWorker<Fine>,
}

#[derive(Debug)]
struct Fine {
    /// In microseconds.
    times: Option<AtomicHistogram>,
    /// In nanoseconds.
    longest: AtomicU64,
}

/// 64 buckets in each power of two: a time is at most 1.6 % too long. The longest is twelve days.
const FINE: (u8, u8) = (6, 40);

impl Names {
    fn add(&mut self, rule: Option<&str>, counted: &str) {
        for (names, name) in [(&mut self.rules, rule), (&mut self.counted, Some(counted))] {
            let Some(name) = name.filter(|name| !names.contains(*name)) else { continue };
            if names.len() < MOST_NAMES {
                names.insert(name.to_owned());
            } else {
                self.is_partial = true;
            }
        }
    }

    /// Whether there may have been a rule of this name.
    pub(crate) fn may_have_rule(&self, name: &str) -> bool {
        self.is_partial || self.rules.contains(name)
    }

    /// The same of a handler or a toxic.
    pub(crate) fn may_have_counted(&self, name: &str) -> bool {
        self.is_partial || self.counted.contains(name)
    }

    /// Those of both.
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self.counted.extend(other.counted);
        self.is_partial |= other.is_partial;
        self
    }
}

impl ToxicCounters {
    /// It did something to the bytes of a connection.
    pub(crate) fn acted(&self, label: Option<&CallLabel>) {
        self.faults.add(1);
        if let Some(label) = label {
            self.labels.add(label, Counted { calls: 0, faults: 1 });
        }
    }
}

impl HandlerCounters {
    /// So many calls with this label were drawn for it.
    pub(crate) fn drawn(&self, calls: u64, label: Option<&CallLabel>) {
        self.calls.add(calls);
        if let Some(label) = label {
            self.labels.add(label, Counted { calls, faults: 0 });
        }
    }

    /// It did something to a call with this label.
    pub(crate) fn acted(&self, label: Option<&CallLabel>) {
        self.faults.add(1);
        if let Some(label) = label {
            self.labels.add(label, Counted { calls: 0, faults: 1 });
        }
    }

    /// Counts a call that it delayed, and for how long.
    pub(crate) fn delayed(&self, time: Duration) {
        self.delay.get_or_init(Delays::default).add(time);
    }

    /// How long it delayed calls; `None` if it delayed none.
    pub(crate) fn delay(&self) -> Option<Arc<Histogram>> {
        self.delay.get().map(|delays| delays.histogram.clone())
    }

    /// The same in the form that reports show.
    pub(crate) fn waited(&self) -> Option<Waited> {
        self.delay.get()?.waited()
    }
}

impl Default for Delays {
    fn default() -> Self {
        let fine = || Fine { times: AtomicHistogram::new(FINE.0, FINE.1).ok(), longest: AtomicU64::new(0) };
        Self { histogram: Arc::new(Histogram::new(DELAY)), fine: PerWorker::new(fine) }
    }
}

impl Delays {
    fn add(&self, time: Duration) {
        self.histogram.add(time);
        let Fine { times, longest } = self.fine.own();
        longest.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(times) = times {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let _ = times.increment(micros.min((1 << FINE.1) - 1));
        }
    }

    fn waited(&self) -> Option<Waited> {
        Waited::of(&self.fine.all().collect::<Vec<_>>())
    }
}

impl Waited {
    /// What all of them have counted.
    fn of(counted: &[&Fine]) -> Option<Self> {
        let longest = counted.iter().map(|fine| fine.longest.load(Ordering::Relaxed)).max()?;
        let max = Duration::from_nanos(longest);
        let times = counted.iter().filter_map(|fine| Some(fine.times.as_ref()?.load()));
        let times = times.reduce(|times, more| times.checked_add(&more).unwrap_or(times))?;
        let quantile = |quantile| {
            let bucket = times.quantile_bucket(quantile).ok().flatten()?;
            Some(Duration::from_micros(bucket.end()).min(max))
        };
        Some(Self { p50: quantile(0.5)?, p99: quantile(0.99)?, max })
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            opaque: Count::default(),
            opaque_reasons: Reasons::default(),
            backend_failures: Count::default(),
            backend_reasons: Reasons::default(),
            handshake_failures: Count::default(),
            handshake_reasons: Reasons::default(),
            refused: Count::default(),
            has_detours: AtomicBool::new(false),
            dial: Arc::new(Histogram::new(DIAL)),
            pass: Arc::new(Histogram::new(PASS)),
            handlers: Mutex::default(),
            toxics: Mutex::default(),
            names: Mutex::default(),
        }
    }
}

impl Counters {
    /// The counts of the handler of this name, in a rule or in the mix.
    pub(crate) fn of(&self, rule: Option<&str>, handler: &str) -> Arc<HandlerCounters> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).add(rule, handler);
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let Handlers { counters, last } = &mut *handlers;
        let new = || {
            *last = last.saturating_add(1);
            Arc::new(HandlerCounters { number: *last, ..HandlerCounters::default() })
        };
        counters.entry((rule.map(str::to_owned), handler.to_owned())).or_insert_with(new).clone()
    }

    /// How long the handlers delayed calls, all together; `None` if they delayed none.
    pub(crate) fn waited(&self) -> Option<Waited> {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let delays: Vec<_> = handlers.counters.values().filter_map(|handler| handler.delay.get()).collect();
        Waited::of(&delays.iter().flat_map(|delays| delays.fine.all()).collect::<Vec<_>>())
    }

    /// Drops the counters of handlers that are in no plan any more and have had no calls.
    pub(crate) fn forget_unused(&self) {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever may still count a call holds them.
        handlers.counters.retain(|_, counters| {
            Arc::strong_count(counters) > 1 || counters.calls.get() > 0 || counters.faults.get() > 0
        });
    }

    /// The counts of the toxic of this name.
    pub(crate) fn toxic(&self, name: &str) -> Arc<ToxicCounters> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).add(None, name);
        let mut toxics = self.toxics.lock().unwrap_or_else(PoisonError::into_inner);
        let Toxics { counters, last } = &mut *toxics;
        *last += 1;
        let (number, counters) = counters.entry(name.to_owned()).or_default();
        *number = *last;
        counters.clone()
    }

    /// Drops the counters of toxics that are gone and have done nothing. Of many others those that were created first are counted
    /// together: clients may give each toxic a name of its own.
    pub(crate) fn forget_toxics(&self) {
        let mut toxics = self.toxics.lock().unwrap_or_else(PoisonError::into_inner);
        let Toxics { counters, .. } = &mut *toxics;
        // Whoever may still count something holds them.
        let is_gone = |counters: &Arc<ToxicCounters>| Arc::strong_count(counters) == 1;
        counters.retain(|_, (_, counters)| !is_gone(counters) || counters.faults.get() > 0);
        if counters.len() <= MOST_GONE {
            return;
        }
        let gone = counters.iter().filter(|(name, (_, counters))| is_gone(counters) && *name != OTHERS);
        let mut gone: Vec<_> = gone.map(|(name, (number, _))| (*number, name.clone())).collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(MOST_GONE);
        for (_, name) in gone.drain(..too_many) {
            if let Some((_, one)) = counters.remove(&name) {
                let (_, others) = counters.entry(OTHERS.to_owned()).or_default();
                others.connections.add(one.connections.get());
                others.faults.add(one.faults.get());
            }
        }
    }

    /// The names of all that the proxy has had.
    pub(crate) fn names(&self) -> Names {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All toxics that the proxy has had, by name.
    pub(crate) fn by_toxic(&self) -> Vec<(String, Arc<ToxicCounters>)> {
        let toxics = self.toxics.lock().unwrap_or_else(PoisonError::into_inner);
        toxics.counters.iter().map(|(name, (_, counts))| (name.clone(), counts.clone())).collect()
    }

    /// The label of the handler with this number: `pay.error`, or of one in the mix its name.
    pub(crate) fn name_of(&self, number: u32) -> Option<String> {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers
            .counters
            .iter()
            .find(|(_, counts)| counts.number == number)
            .map(|((rule, name), _)| label(rule.as_deref(), name))
    }

    /// The handlers that the proxy has, and those that it had and that had calls, by rule and name.
    pub(crate) fn by_handler(&self) -> Vec<(HandlerKey, Arc<HandlerCounters>)> {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.counters.iter().map(|(key, counts)| (key.clone(), counts.clone())).collect()
    }
}

/// A handler with its rule, as people write both: `pay.error`.
pub(crate) fn label(rule: Option<&str>, handler: &str) -> String {
    rule.map_or_else(|| handler.to_owned(), |rule| format!("{rule}.{handler}"))
}

/// How long a handler delayed calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Waited {
    #[serde(rename = "p50_seconds", serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub(crate) p50: Duration,
    #[serde(rename = "p99_seconds", serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub(crate) p99: Duration,
    #[serde(rename = "max_seconds", serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub(crate) max: Duration,
}

/// Writes a time as a number of seconds.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counters: &Counters) -> BTreeMap<String, (u64, u64)> {
        let all = counters.by_toxic().into_iter();
        all.map(|(name, counts)| (name, (counts.connections.get(), counts.faults.get()))).collect()
    }

    fn acts(toxic: &ToxicCounters) {
        toxic.connections.add(2);
        toxic.faults.add(1);
    }

    #[test]
    fn names_that_are_many_may_be_any() {
        let counters = Counters::default();
        counters.of(Some("pay"), "error");
        counters.forget_unused();
        for number in 0..MOST_NAMES - 1 {
            counters.toxic(&number.to_string());
        }
        let names = counters.names();
        assert!(names.may_have_rule("pay") && names.may_have_counted("error") && names.may_have_counted("17"));
        assert!(!names.may_have_rule("error") && !names.may_have_counted("nope"));
        counters.toxic("one more");
        let names = Names::default().with(counters.names());
        assert!(names.may_have_rule("nope") && names.may_have_counted("nope"));
    }

    #[test]
    fn toxics_that_are_gone_are_counted_together_where_they_are_many() {
        let counters = Counters::default();
        // The oldest one is still there, and the next is added once more at the end.
        let (held, again) = (counters.toxic("held"), counters.toxic("again"));
        acts(&held);
        acts(&again);
        drop(again);
        for number in 0..MOST_GONE + 5 {
            acts(&counters.toxic(&format!("{number:04}")));
            counters.toxic(&format!("idle{number}"));
            if number == MOST_GONE - 2 {
                acts(&counters.toxic("again"));
            }
            counters.forget_toxics();
        }
        let counted = counted(&counters);
        assert_eq!(counted.len(), 1 + MOST_GONE + 1, "one is held, and one is the sum of others");
        assert_eq!((counted["held"], counted["again"], counted[OTHERS]), ((2, 1), (4, 2), (12, 6)));
        assert!(!counted.contains_key("0005") && counted.contains_key("0006"));
        let sum: u64 = counted.values().map(|(_, faults)| faults).sum();
        assert_eq!(sum, MOST_GONE as u64 + 5 + 3);
    }
}
