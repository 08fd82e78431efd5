//! What a proxy has done so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use histogram::AtomicHistogram;

use crate::metrics::Histogram;
use crate::report::Waited;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a proxy counts. Connections and their bytes are counted where they are.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) opaque: Count,
    pub(crate) backend_failures: Count,
    /// Clients that had to wait because accepting failed.
    pub(crate) refused: Count,
    /// How long it took to reach the backend.
    pub(crate) dial: Arc<Histogram>,
    /// How long what was read took to be passed on, where nothing was done to it: a sample.
    pub(crate) pass: Arc<Histogram>,
    handlers: Mutex<BTreeMap<String, Arc<HandlerCounts>>>,
}

/// What is counted of a handler, under all plans of its proxy.
#[derive(Debug, Default)]
pub(crate) struct HandlerCounts {
    /// Calls that were drawn for it.
    pub(crate) calls: Count,
    /// Those of them to which it did something.
    pub(crate) faults: Count,
    delay: OnceLock<Delays>,
}

/// How long a handler let calls wait.
#[derive(Debug)]
struct Delays {
    /// As metrics have it.
    histogram: Arc<Histogram>,
    /// As a report has it, in microseconds.
    fine: Option<AtomicHistogram>,
    /// In nanoseconds.
    longest: AtomicU64,
}

/// 64 steps in each power of two, so that a time is told up to 1.6 % too long; up to twelve days.
const FINE: (u8, u8) = (6, 40);

impl HandlerCounts {
    /// It let a call wait for so long.
    pub(crate) fn delayed(&self, time: Duration) {
        self.delay.get_or_init(Delays::default).add(time);
    }

    /// How long it let calls wait, if it ever did.
    pub(crate) fn delay(&self) -> Option<Arc<Histogram>> {
        self.delay.get().map(|delays| delays.histogram.clone())
    }

    /// The same as a report has it.
    pub(crate) fn waited(&self) -> Option<Waited> {
        self.delay.get()?.waited()
    }
}

impl Default for Delays {
    fn default() -> Self {
        let fine = AtomicHistogram::new(FINE.0, FINE.1).ok();
        Self { histogram: Arc::new(Histogram::of_delays()), fine, longest: AtomicU64::new(0) }
    }
}

impl Delays {
    fn add(&self, time: Duration) {
        self.histogram.add(time);
        self.longest.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(fine) = &self.fine {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            let _ = fine.increment(micros.min((1 << FINE.1) - 1));
        }
    }

    fn waited(&self) -> Option<Waited> {
        let max = Duration::from_nanos(self.longest.load(Ordering::Relaxed));
        let times = self.fine.as_ref()?.load();
        let quantile = |quantile| {
            let bucket = times.quantile_bucket(quantile).ok().flatten()?;
            Some(Duration::from_micros(bucket.end()).min(max))
        };
        Some(Waited { p50: quantile(0.5)?, p99: quantile(0.99)?, max })
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            opaque: Count::default(),
            backend_failures: Count::default(),
            refused: Count::default(),
            dial: Arc::new(Histogram::of_dials()),
            pass: Arc::new(Histogram::of_passes()),
            handlers: Mutex::default(),
        }
    }
}

impl Counts {
    /// The counts of the handler of this name.
    pub(crate) fn of(&self, handler: &str) -> Arc<HandlerCounts> {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.entry(handler.to_owned()).or_default().clone()
    }

    /// Those of all handlers that the proxy has had, by name.
    pub(crate) fn by_handler(&self) -> Vec<(String, Arc<HandlerCounts>)> {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
    }
}

/// What a proxy has done, from its start to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Calls by handler: those of the mix in its order, then those of earlier ones by name.
    pub calls: Vec<(String, u64)>,
    /// Those of them to which the handler did something, by handler in the same order.
    pub faults: Vec<(String, u64)>,
    /// Clients that were accepted.
    pub connections: u64,
    /// Those of them that are there now.
    pub open: u64,
    /// Bytes that clients sent.
    pub to_backend: u64,
    /// Bytes that the backend sent; what the proxy itself answered is not among them.
    pub to_client: u64,
    /// Connections whose messages could not be told apart to their end.
    pub opaque: u64,
    /// Connections for which the backend could not be reached.
    pub backend_failures: u64,
}

impl Summary {
    /// How many calls the handler of this name took.
    #[must_use]
    pub fn calls_of(&self, handler: &str) -> u64 {
        of(&self.calls, handler)
    }

    /// To how many calls the handler of this name did something: it delayed them, held them, answered or ended them.
    #[must_use]
    pub fn faults_of(&self, handler: &str) -> u64 {
        of(&self.faults, handler)
    }

    /// What both have done together.
    pub(crate) fn with(mut self, other: Self) -> Self {
        let add = |counts: &mut Vec<(String, u64)>, more: Vec<(String, u64)>| {
            for (name, count) in more {
                match counts.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known += count,
                    None => counts.push((name, count)),
                }
            }
        };
        add(&mut self.calls, other.calls);
        add(&mut self.faults, other.faults);
        self.connections += other.connections;
        self.open += other.open;
        self.to_backend += other.to_backend;
        self.to_client += other.to_client;
        self.opaque += other.opaque;
        self.backend_failures += other.backend_failures;
        self
    }

    /// One line for each handler, and one for the connections.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let calls = self.calls.iter().map(|(name, calls)| {
            let faults = self.faults_of(name);
            format!("{name}: {calls} calls, {faults} faults")
        });
        let connections = format!(
            "{} connections, {} bytes from clients, {} bytes from backends, {} opaque, {} dial failures",
            self.connections, self.to_backend, self.to_client, self.opaque, self.backend_failures
        );
        calls.chain([connections]).collect()
    }
}

fn of(counts: &[(String, u64)], handler: &str) -> u64 {
    counts.iter().find(|(name, _)| name == handler).map_or(0, |(_, count)| *count)
}
