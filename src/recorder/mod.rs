//! What a program calls: its calls by their shape, each with its count and with the time that the backend took.
//!
//! The shape of a call is its command and its key, in which everything that looks like an identifier is a `*`. Each worker of a
//! proxy has a table of its own, which only reading brings together: no call of a shape with a place there takes a lock, or writes
//! what other workers write.

mod connection;
mod fold;
mod overflow;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use histogram::{AtomicHistogram, Histogram};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use connection::{Clock, ConnectionRecorder};
use table::Table;

pub(crate) use table::Place;

use crate::duration::Seconds;
use crate::protocol::Protocol;
use crate::workers::PerWorker;

/// How many shapes of one proxy are told apart: the most frequent ones. Calls of others are counted together.
pub(crate) const MAX_SHAPES: usize = 200;

/// The shapes of a proxy's calls, if they are recorded.
#[derive(Debug)]
pub(crate) struct Recorder(Option<PerWorker<OnceLock<Table>>>);

/// What a proxy's clients have called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The most frequent ones first.
    pub(crate) shapes: Vec<CallShape>,
    /// Calls of shapes that are not in the list.
    pub(crate) other: u64,
}

/// Calls that differ in their identifiers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CallShape {
    /// The command and the key, with `http` the method and the path: `GET user:*`.
    pub(crate) shape: String,
    pub(crate) calls: u64,
    /// Half of the calls that were timed took the backend at most this long, in seconds; null if none was timed.
    #[serde(rename = "p50_seconds")]
    #[schemars(with = "Option<f64>")]
    pub(crate) p50: Option<Seconds>,
    /// 99 of 100 of them took at most this long.
    #[serde(rename = "p99_seconds")]
    #[schemars(with = "Option<f64>")]
    pub(crate) p99: Option<Seconds>,
    /// A rule that matches all of them.
    pub(crate) rule: String,
    /// It sets up a connection: an error in its place tells little about the program.
    #[serde(skip)]
    pub(crate) is_setup: bool,
}

/// How long the backend took for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct BackendTime {
    /// Half of the calls that were timed took it at most this long.
    #[serde(rename = "p50_seconds")]
    #[schemars(with = "f64")]
    p50: Seconds,
    /// 99 of 100 of them took it at most this long.
    #[serde(rename = "p99_seconds")]
    #[schemars(with = "f64")]
    p99: Seconds,
}

/// The commands with which clients of redis and memcached set up or check their connections.
const SETUP: [&[u8]; 13] = [
    b"AUTH",
    b"CLIENT",
    b"CLUSTER",
    b"COMMAND",
    b"ECHO",
    b"HELLO",
    b"INFO",
    b"MN",
    b"PING",
    b"QUIT",
    b"READONLY",
    b"SELECT",
    b"VERSION",
];

/// The beginnings of the paths of calls that check a server, or ask what it has.
const SETUP_SERVICES: [&[u8]; 2] = [b"/grpc.health.", b"/grpc.reflection."];

impl Recorder {
    /// Records nothing unless `is_on`.
    pub(crate) fn new(is_on: bool) -> Self {
        Self(is_on.then(PerWorker::default))
    }

    /// The recorder of a connection that this thread serves, if its calls are recorded and have shapes.
    pub(crate) fn connection(&self, protocol: Protocol) -> Option<Box<ConnectionRecorder<'_>>> {
        let tables = self.0.as_ref().filter(|_| protocol != Protocol::Tcp)?;
        Some(Box::new(ConnectionRecorder::new(tables.own().get_or_init(Table::default), protocol)))
    }

    /// How long the backend took, over all calls that were timed; `None` if none was.
    pub(crate) fn backend_time(&self) -> Option<BackendTime> {
        let tables: Vec<&Table> = self.0.iter().flat_map(PerWorker::all).filter_map(OnceLock::get).collect();
        let mut seen = Seen::default();
        for table in tables {
            table.all().for_each(|counts| seen.add(counts.calls(), counts.times()));
            for (entry, calls) in table.overflow().iter().flat_map(|overflow| overflow.all()) {
                seen.add(calls, entry.times.as_ref().map(AtomicHistogram::load));
            }
        }
        Some(BackendTime { p50: seen.quantile(0.5)?, p99: seen.quantile(0.99)? })
    }

    /// What was recorded until now, of calls of this protocol.
    pub(crate) fn recorded(&self, protocol: Protocol) -> Recorded {
        let tables: Vec<&Table> = self.0.iter().flat_map(PerWorker::all).filter_map(OnceLock::get).collect();
        let overflows: Vec<_> = tables.iter().filter_map(|table| table.overflow()).collect();
        let mut seen: HashMap<(&[u8], &[u8]), Seen> = HashMap::new();
        for counts in tables.iter().flat_map(|table| table.all()) {
            seen.entry(counts.words().both()).or_default().add(counts.calls(), counts.times());
        }
        let mut other: u64 = tables.iter().map(|table| table.other()).sum();
        for (entry, calls) in overflows.iter().flat_map(|overflow| overflow.all()) {
            other = other.saturating_sub(calls);
            let times = entry.times.as_ref().map(AtomicHistogram::load);
            seen.entry(entry.words.both()).or_default().add(calls, times);
        }
        let mut shapes: Vec<CallShape> =
            seen.into_iter().map(|(words, seen)| CallShape::of(protocol, words, &seen)).collect();
        shapes.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.shape.cmp(&b.shape)));
        let left_out: u64 = shapes.iter().skip(MAX_SHAPES).map(|shape| shape.calls).sum();
        shapes.truncate(MAX_SHAPES);
        Recorded { shapes, other: left_out + other }
    }
}

/// What all workers have counted of a shape.
#[derive(Default)]
struct Seen {
    calls: u64,
    times: Option<Histogram>,
}

impl Seen {
    fn add(&mut self, calls: u64, times: Option<Histogram>) {
        self.calls += calls;
        self.times = match (self.times.take(), times) {
            (Some(times), Some(more)) => Some(times.checked_add(&more).unwrap_or(times)),
            (times, more) => times.or(more),
        };
    }

    fn quantile(&self, quantile: f64) -> Option<Seconds> {
        let bucket = self.times.as_ref()?.quantile_bucket(quantile).ok().flatten()?;
        Some(Seconds::from(Duration::from_micros(bucket.end())))
    }
}

impl CallShape {
    fn of(protocol: Protocol, (command, key): (&[u8], &[u8]), seen: &Seen) -> Self {
        // Without a kind the answer would be junk, which few programs ever get.
        let handler = match protocol {
            Protocol::Redis => "error(kind=err)",
            Protocol::Memcache => "error(kind=server_error)",
            Protocol::Grpc => "error(grpc=UNAVAILABLE)",
            Protocol::Http | Protocol::Tcp => "error",
        };
        // All calls of gRPC have the same method of HTTP.
        let is_told = protocol != Protocol::Grpc || command != b"POST" || key.is_empty();
        let mut shape = if is_told { String::from_utf8_lossy(command).into_owned() } else { String::new() };
        if !key.is_empty() {
            if is_told {
                shape.push(' ');
            }
            shape.push_str(&String::from_utf8_lossy(key));
        }
        Self {
            calls: seen.calls,
            p50: seen.quantile(0.5),
            p99: seen.quantile(0.99),
            rule: format!("{shape} => {handler}"),
            is_setup: match protocol {
                Protocol::Redis | Protocol::Memcache => SETUP.contains(&command),
                Protocol::Grpc => SETUP_SERVICES.iter().any(|service| key.starts_with(service)),
                Protocol::Http | Protocol::Tcp => false,
            },
            shape,
        }
    }
}
