//! Figures: how they are computed from measurements and aggregated over rounds.

use std::time::Duration;

use crate::measure::Sample;

/// A quantity computed from a measurement.
pub(crate) struct Figure {
    pub(crate) label: &'static str,
    better: Better,
    of: fn(&Sample) -> Option<f64>,
}

impl Figure {
    pub(crate) fn of(&self, sample: &Sample) -> Option<f64> {
        (self.of)(sample).filter(|value| value.is_finite())
    }

    /// How many times better one value is than another; `None` if that is undefined.
    pub(crate) fn times_better(&self, one: f64, other: f64) -> Option<f64> {
        let ratio = match self.better {
            Better::More => one / other,
            Better::Less => other / one,
        };
        Some(ratio).filter(|ratio| ratio.is_finite())
    }
}

#[derive(Clone, Copy)]
enum Better {
    More,
    Less,
}

const fn more(label: &'static str, of: fn(&Sample) -> Option<f64>) -> Figure {
    Figure { label, better: Better::More, of }
}

const fn less(label: &'static str, of: fn(&Sample) -> Option<f64>) -> Figure {
    Figure { label, better: Better::Less, of }
}

pub(crate) const GB: Figure = more("GB/s", |it| Some(it.bytes / it.seconds / 1e9));
pub(crate) const PROCESSOR_PER_GB: Figure = less("CPU s/GB", |it| Some(it.processor? / it.bytes * 1e9));
pub(crate) const CALLS: Figure = more("calls/s", |it| Some(it.calls / it.seconds));
pub(crate) const CONNECTIONS: Figure = more("connections/s", |it| Some(it.calls / it.seconds));
pub(crate) const HANDSHAKES: Figure = more("handshakes/s", |it| Some(it.calls / it.seconds));
pub(crate) const MEDIAN: Figure = less("p50 µs", |it| Some(percentile(&it.times, 0.5)? * 1e6));
pub(crate) const TAIL: Figure = less("p99 µs", |it| Some(percentile(&it.times, 0.99)? * 1e6));
pub(crate) const PROCESSOR_PER_CALL: Figure = less("CPU µs/call", |it| Some(it.processor? / it.calls * 1e6));
pub(crate) const PROCESSOR_PER_HANDSHAKE: Figure = less("CPU µs/handshake", |it| Some(it.processor? / it.calls * 1e6));
pub(crate) const PROCESSOR_PER_BYTE: Figure = less("CPU ns/byte", |it| Some(it.processor? / it.bytes * 1e9));
pub(crate) const PROCESSOR_PER_MESSAGE: Figure =
    less("CPU µs/message", |it| Some(it.processor? / (it.bytes / it.exchange) * 1e6));
pub(crate) const MEMORY: Figure = less("B/connection", |it| it.memory);

pub(crate) const DELAY: &[Figure] = &[
    less("late by, p50 ms", |it| Some(percentile(delayed(it), 0.5)? * 1e3 - DELAYED_MS)),
    less("late by, p99 ms", |it| Some(percentile(delayed(it), 0.99)? * 1e3 - DELAYED_MS)),
    more("delayed, %", |it| Some(100.0 * delayed(it).len() as f64 / it.times.len() as f64)),
    more("answered in time, %", |it| Some(100.0 * it.calls / it.due)),
];

const DELAYED_MS: f64 = 1.0;

/// The durations of the calls that took as long as a delay. On an overloaded machine other calls may be among them;
/// their share shows it.
fn delayed(sample: &Sample) -> &[Duration] {
    let first = sample.times.partition_point(|time| time.as_secs_f64() * 1e3 < DELAYED_MS);
    &sample.times[first..]
}

/// The percentile of sorted durations, in seconds.
fn percentile(times: &[Duration], share: f64) -> Option<f64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (times.len() as f64 * share) as usize;
    times.get(at).map(Duration::as_secs_f64)
}

/// The median and the range.
pub(crate) fn ranged(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let least = values.iter().copied().reduce(f64::min);
    let greatest = values.iter().copied().reduce(f64::max);
    match (median(values), least, greatest) {
        (Some(median), Some(least), Some(greatest)) => format!("{} ({}–{})", show(median), show(least), show(greatest)),
        _ => "–".to_owned(),
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Three significant digits, or all digits before the point.
pub(crate) fn number(value: f64) -> String {
    match value {
        100.0.. => grouped(&format!("{value:.0}")),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// With a comma every three digits: 12,345.
fn grouped(digits: &str) -> String {
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
