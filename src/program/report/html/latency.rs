//! How long calls took: a histogram with a lane for each handler, and a table.

use std::time::Duration;

use maud::{Markup, html};

use super::handlers::{Handlers, named};
use super::tables::{rolling, span};
use crate::call_log::RecordedCall;
use crate::program::report::text::{self, counted, grouped};
use crate::program::web;

/// Bins in a decade.
const BINS: i32 = 20;

/// The height of the fullest bin, and the least height of a bin that is not empty: a single call remains visible.
const HEIGHT: u64 = 1000;
const LEAST: u64 = 30;

/// The calls of one handler.
struct Lane<'a> {
    handler: &'a str,
    /// How long the calls with a reply took, ascending.
    took: Vec<Duration>,
    unanswered: u64,
    /// How long clients made no call after a fault, ascending.
    paused: Vec<Duration>,
}

/// The decades that contain all times: from `10^first` to `10^last` seconds.
struct Axis {
    first: i32,
    last: i32,
}

/// `has_turns` if a proxy has protocol `tcp`, `has_toxics` if one has toxics.
pub(super) fn section(calls: &[RecordedCall], handlers: &Handlers, has_turns: bool, has_toxics: bool) -> Markup {
    let lanes: Vec<_> = handlers.all().filter_map(|(_, handler)| Lane::of(handler, calls)).collect();
    let answered: Vec<_> = lanes.iter().filter(|lane| !lane.took.is_empty()).collect();
    html! {
        section aria-labelledby="latency" {
            h2 #latency { "Latency" }
            p {
                "From the end of a call’s head, when its handler is drawn, to the last byte of its reply. This includes the time "
                "that the handler took, but not the time in a pipeline behind a delayed call. "
                @if has_turns { "With tcp a call lasts until the backend’s last byte before the next call. " }
                "Calls without a reply have no time. “No call for” is how long a client made no call on its connection after a fault, "
                "until the next one or until it left: what the fault costs it beside the reply, such as a pause before it tries again."
                @if has_toxics { " The time that bytes spent in toxics is not part of it: the client waited longer." }
            }
            @if let Some(axis) = Axis::of(&answered) {
                (histogram(&answered, &axis))
            }
            (figures(&lanes))
        }
    }
}

fn histogram(lanes: &[&Lane], axis: &Axis) -> Markup {
    html! {
        figure.histogram aria-label="Histogram of how long calls took, a lane for each handler" {
            @for lane in lanes {
                @let bins = axis.bins(&lane.took);
                @let fullest = bins.iter().copied().max().unwrap_or(0);
                div.lane {
                    div.label { (named(lane.handler)) " " span.note { "fullest: " (grouped(fullest)) } }
                    svg.(web::colour(lane.handler)) viewBox={ "0 0 " (bins.len()) " " (HEIGHT) } preserveAspectRatio="none"
                        width="480" height="40" fill="currentColor" role="img" aria-label={ (lane.handler) ": " (counted(count(&lane.took), "call")) } {
                        @for (bin, &calls) in bins.iter().enumerate().filter(|&(_, &calls)| calls > 0) {
                            @let height = (calls * HEIGHT / fullest).max(LEAST);
                            rect x=(bin) y=(HEIGHT - height) width="1" height=(height) {
                                title { (counted(calls, "call")) ", " (axis.range(bin)) }
                            }
                        }
                    }
                }
            }
            div.axis aria-hidden="true" {
                @for (time, place) in axis.ticks() { span style={ "left:" (place) "%" } { (text::time(time)) } " " }
            }
            figcaption { "Time a call took, logarithmic. Each lane is as high as its fullest bin." }
        }
    }
}

fn figures(lanes: &[Lane]) -> Markup {
    rolling(
        "How long calls took",
        &html! {
            thead { tr {
                th scope="col" { "Handler" }
                @for head in ["Replied", "No reply", "p50", "p90", "p99", "max", "No call for: p50", "max"] {
                    th.number scope="col" { (head) }
                }
            } }
            tbody {
                @for lane in lanes {
                    tr {
                        th scope="row" { (named(lane.handler)) }
                        td.number { (grouped(count(&lane.took))) }
                        td.number { (grouped(lane.unanswered)) }
                        @for percent in [50, 90, 99, 100] { td.number { (span(percentile(&lane.took, percent))) } }
                        @for percent in [50, 100] { td.number { (span(percentile(&lane.paused, percent))) } }
                    }
                }
            }
        },
    )
}

impl<'a> Lane<'a> {
    /// None if the handler has no calls.
    fn of(handler: &'a str, calls: &[RecordedCall]) -> Option<Self> {
        let (replied, not): (Vec<_>, Vec<_>) =
            calls.iter().filter(|call| *call.handler == *handler).partition(|call| call.is_done);
        let mut took: Vec<_> = replied.iter().filter_map(|call| call.took()).collect();
        let mut paused: Vec<_> = replied.iter().chain(&not).filter_map(|call| call.paused()).collect();
        took.sort_unstable();
        paused.sort_unstable();
        (!took.is_empty() || !not.is_empty()).then(|| Self { handler, took, unanswered: count(&not), paused })
    }
}

/// The shortest of these times, which are ascending, that `percent` of them do not exceed.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied()
}

impl Axis {
    /// Starts at a microsecond at the earliest. None without times.
    fn of(lanes: &[&Lane]) -> Option<Self> {
        let shortest = lanes.iter().filter_map(|lane| lane.took.first()).min()?;
        let longest = lanes.iter().filter_map(|lane| lane.took.last()).max()?;
        let first = (-5..6).find(|&decade| seconds(decade) > *shortest).unwrap_or(6) - 1;
        let last = (first + 1..9).find(|&decade| seconds(decade) > *longest).unwrap_or(9);
        Some(Self { first, last })
    }

    /// How many times are in each bin. `took` is ascending.
    fn bins(&self, took: &[Duration]) -> Vec<u64> {
        let mut counted = 0;
        let below = |time| took.partition_point(|&took| took < time);
        (0..(self.last - self.first) * BINS)
            .map(|bin| {
                let before = std::mem::replace(&mut counted, below(self.edge(bin + 1)));
                u64::try_from(counted - before).unwrap_or(u64::MAX)
            })
            .collect()
    }

    /// The start of a bin.
    fn edge(&self, bin: i32) -> Duration {
        Duration::from_secs_f64(10_f64.powf(f64::from(self.first) + f64::from(bin) / f64::from(BINS)))
    }

    fn range(&self, bin: usize) -> String {
        let bin = i32::try_from(bin).unwrap_or(i32::MAX - 1);
        format!("{} to {}", text::time(self.edge(bin)), text::time(self.edge(bin + 1)))
    }

    /// Round times with their positions from the left in percent: decades, and if these are few, times between them.
    fn ticks(&self) -> impl Iterator<Item = (Duration, String)> {
        let decades = self.last - self.first;
        let within: &[u32] = if decades <= 2 { &[1, 2, 5] } else { &[1] };
        (0..=decades).flat_map(move |decade| {
            let within = within.iter().filter(move |&&times| times == 1 || decade < decades);
            within.map(move |&times| {
                let place = (f64::from(decade) + f64::from(times).log10()) * 100.0 / f64::from(decades);
                (seconds(self.first + decade) * times, format!("{place:.1}"))
            })
        })
    }
}

/// Ten to this power.
fn seconds(decade: i32) -> Duration {
    Duration::from_secs_f64(10_f64.powi(decade))
}

fn count<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::events::Action;

    fn lane(micros: impl IntoIterator<Item = u64>) -> Lane<'static> {
        Lane {
            handler: "dummy",
            took: micros.into_iter().map(Duration::from_micros).collect(),
            unanswered: 0,
            paused: Vec::new(),
        }
    }

    #[test]
    fn percentiles_are_times_that_calls_took() {
        let times =
            |lane: Lane| [50, 90, 99, 100].map(|percent| percentile(&lane.took, percent).map(|time| time.as_micros()));
        assert_eq!(times(lane(1..=100)), [Some(50), Some(90), Some(99), Some(100)]);
        assert_eq!(times(lane([7])), [Some(7); 4]);
        assert_eq!(times(lane([1, 2, 3])), [Some(2), Some(3), Some(3), Some(3)]);
        assert_eq!(times(lane([])), [None; 4]);
    }

    fn ticks(axis: &Axis) -> String {
        axis.ticks().map(|(time, place)| format!("{} at {place}", text::time(time))).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_time_is_in_a_bin() {
        for micros in [0, 1, 2, 9, 10, 11, 999, 1_000, 1_001, 250_000, 9_999_999, 10_000_000, 31_536_000_000] {
            let lane = lane([micros]);
            let axis = Axis::of(&[&lane]).unwrap();
            let bins = axis.bins(&lane.took);
            assert_eq!(bins.iter().sum::<u64>(), 1, "{micros} µs");
            assert_eq!(bins.len(), 20, "one decade is enough for {micros} µs");
        }
        let lane = lane([1, 100, 100, 5_000]);
        let axis = Axis::of(&[&lane]).unwrap();
        assert_eq!(ticks(&axis), "1 µs at 0.0, 10 µs at 25.0, 100 µs at 50.0, 1 ms at 75.0, 10 ms at 100.0");
        assert_eq!(ticks(&Axis { first: -1, last: 0 }), "100 ms at 0.0, 200 ms at 30.1, 500 ms at 69.9, 1 s at 100.0");
        let bins = axis.bins(&lane.took);
        assert_eq!((bins[0], bins[40], bins.iter().sum::<u64>()), (1, 2, 4));
        assert_eq!(axis.range(40), "100 µs to 112 µs");
    }

    #[test]
    fn the_pause_after_a_fault_is_told() {
        let error = |number: u64, next: u64| {
            let call = example::call("a", 1, number, "error", 0..1_000).fault(Action::Answer);
            RecordedCall { next: Some(Duration::from_micros(next)), ..call }
        };
        let calls = [error(1, 1_001_000), error(2, 3_001_000), example::call("a", 1, 3, "error", 0..10)];
        let page = section(&calls, &Handlers::new(["error"]), false, false).into_string();
        assert!(page.contains(r#"<td class="number">1 s</td><td class="number">3 s</td></tr>"#), "{page}");
    }

    #[test]
    fn calls_that_no_reply_ended_are_counted_apart() {
        let calls = [
            example::call("a", 1, 1, "hang", 0..9_000_000).no_reply(),
            example::call("a", 1, 2, "delay", 0..1_000),
            example::call("a", 1, 3, "delay", 0..10).no_reply(),
        ];
        let hang = Lane::of("hang", &calls).unwrap();
        assert_eq!((hang.took.len(), hang.unanswered), (0, 1));
        let delay = Lane::of("delay", &calls).unwrap();
        assert_eq!((delay.took.len(), delay.unanswered), (1, 1));
        assert!(Lane::of("error", &calls).is_none());
        let page = section(&calls, &Handlers::new(["hang", "delay"]), false, false).into_string();
        assert!(page.contains(r#"aria-label="delay: 1 call""#) && !page.contains(r#"aria-label="hang:"#), "{page}");
    }
}
