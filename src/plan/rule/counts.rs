//! How many calls a rule takes, and when.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::duration::Seconds;
use crate::metrics::counters::Count;

/// How many of the calls that its conditions fit a rule takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The first calls pass by.
    pub(super) after: u64,
    /// Of the others, only each of this number is taken.
    pub(super) every: u64,
    /// The rule ends after so many calls that drew a handler which does something.
    pub(super) times: Option<u64>,
    pub(super) during: Option<Window>,
    pub(super) per: Per,
}

/// Over what a rule counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    #[default]
    Proxy,
    Connection,
}

/// A time since the rule came into force: `10s..20s`, or `10s..20s/60s` in each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    from: Duration,
    /// None: for ever.
    to: Option<Duration>,
    /// It comes again after this time.
    again: Option<Duration>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { after: 0, every: 1, times: None, during: None, per: Per::Proxy }
    }
}

impl Counts {
    /// Whether the rule takes every call.
    pub(crate) fn are_none(&self) -> bool {
        !self.has_numbers() && self.during.is_none()
    }

    pub(crate) fn per(&self) -> Per {
        self.per
    }

    /// Whether calls are counted.
    pub(super) fn has_numbers(&self) -> bool {
        self.after > 0 || self.every > 1 || self.times.is_some()
    }

    /// Whether the rule is in force now.
    pub(crate) fn is_time(&self, since: Instant) -> bool {
        self.during.is_none_or(|window| window.contains(since.elapsed()))
    }

    /// Counts a call, which `uses_up` one of `times` if it is taken.
    pub(crate) fn count(&self, tally: &Tally, uses_up: bool) -> Counted {
        const ORDER: Ordering = Ordering::Relaxed;
        let most = self.times.unwrap_or(u64::MAX);
        let mut counted = Counted::default();
        if self.times.is_some() && tally.taken.load(ORDER) >= most {
            return counted;
        }
        if self.after > 0 || self.every > 1 {
            counted.is_seen = true;
            let place = tally.seen.fetch_add(1, ORDER) + 1;
            if place <= self.after || !(place - self.after).is_multiple_of(self.every) {
                return counted;
            }
        }
        if self.times.is_some() && uses_up {
            let more = |taken| (taken < most).then_some(taken + 1);
            counted.uses_up = tally.taken.fetch_update(ORDER, ORDER, more).is_ok();
            counted.is_taken = counted.uses_up;
        } else {
            counted.is_taken = true;
        }
        counted
    }
}

impl Counts {
    /// How many more calls `times` has room for, if it counts over the whole proxy.
    pub(crate) fn times_left(&self, tally: &Tally) -> Option<u64> {
        let times = self.times.filter(|_| self.per == Per::Proxy)?;
        Some(times.saturating_sub(tally.taken.load(Ordering::Relaxed)))
    }
}

/// What became of a call that was counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The rule decides for it.
    pub(crate) is_taken: bool,
    is_seen: bool,
    uses_up: bool,
}

/// The calls that a rule has counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Those that its conditions fit.
    seen: AtomicU64,
    /// Those that used up one of `times`.
    taken: AtomicU64,
}

impl Tally {
    /// As if the call had never been counted.
    pub(crate) fn give_back(&self, counted: Counted) {
        if counted.is_seen {
            self.seen.fetch_sub(1, Ordering::Relaxed);
        }
        if counted.uses_up {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a rule has counted since it came into force, for all workers and for all plans that have it.
#[derive(Debug)]
pub(crate) struct RuleState {
    /// No other rule has it.
    pub(crate) id: u64,
    pub(crate) since: Instant,
    pub(crate) tally: Tally,
    /// Calls that its conditions fit, and that its counts leave to the next rule.
    pub(crate) excluded: Count,
}

impl RuleState {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            since: Instant::now(),
            tally: Tally::default(),
            excluded: Count::default(),
        }
    }
}

impl Window {
    fn contains(self, elapsed: Duration) -> bool {
        let elapsed = match self.again {
            Some(again) => {
                Duration::from_nanos(u64::try_from(elapsed.as_nanos() % again.as_nanos()).unwrap_or_default())
            }
            None => elapsed,
        };
        elapsed >= self.from && self.to.is_none_or(|to| elapsed < to)
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &dyn fmt::Display| format!("`during`: {why}, write `10s..20s`, or `10s..20s/60s` for each minute");
        let time = |text: &str| text.trim().parse::<Seconds>().map(Seconds::duration).map_err(|why| wrong(&why));
        let (span, again) = match text.split_once('/') {
            Some((span, again)) => (span, Some(time(again)?)),
            None => (text, None),
        };
        let span = span.split_once("..").filter(|span| *span != ("", ""));
        let (from, to) = span.ok_or_else(|| wrong(&format_args!("`{text}` is no span of time")))?;
        let from = if from.is_empty() { Duration::ZERO } else { time(from)? };
        let to = if to.is_empty() { None } else { Some(time(to)?) };
        let end = to.or(again).unwrap_or(Duration::MAX);
        if end <= from {
            return Err(wrong(&format_args!("`{text}` ends before it begins")));
        }
        if again.is_some_and(|again| end > again) {
            return Err(wrong(&format_args!("`{text}` begins again before it has ended")));
        }
        Ok(Self { from, to, again })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(counts: Counts, calls: usize) -> Vec<usize> {
        let tally = Tally::default();
        (1..=calls).filter(|_| counts.count(&tally, true).is_taken).collect()
    }

    #[test]
    fn after_every_and_times_are_taken_in_this_order() {
        let none = Counts::default();
        assert_eq!(taken(none, 3), [1, 2, 3]);
        assert_eq!(taken(Counts { after: 2, ..none }, 5), [3, 4, 5]);
        assert_eq!(taken(Counts { every: 3, ..none }, 9), [3, 6, 9]);
        assert_eq!(taken(Counts { after: 2, every: 3, ..none }, 11), [5, 8, 11]);
        assert_eq!(taken(Counts { times: Some(2), ..none }, 9), [1, 2]);
        assert_eq!(taken(Counts { after: 1, every: 2, times: Some(2), ..none }, 99), [3, 5]);
    }

    #[test]
    fn only_what_does_something_uses_up_times() {
        let (counts, tally) = (Counts { times: Some(1), ..Counts::default() }, Tally::default());
        assert!((0..9).all(|_| counts.count(&tally, false).is_taken));
        assert!(counts.count(&tally, true).is_taken);
        assert!(!counts.count(&tally, true).is_taken && !counts.count(&tally, false).is_taken);
    }

    #[test]
    fn what_is_given_back_was_never_counted() {
        let counts = Counts { after: 1, every: 2, times: Some(1), ..Counts::default() };
        let tally = Tally::default();
        for _ in 0..9 {
            let counted = [(); 3].map(|()| counts.count(&tally, true));
            assert_eq!(counted.map(|counted| counted.is_taken), [false, false, true]);
            for counted in counted {
                tally.give_back(counted);
            }
        }
    }

    #[test]
    fn a_window_is_open_between_its_times() {
        let open = |text: &str, millis: u64| text.parse::<Window>().unwrap().contains(Duration::from_millis(millis));
        let at = |text: &str| [0, 9_999, 10_000, 19_999, 20_000, 70_000, 80_000].map(|millis| open(text, millis));
        assert_eq!(at("10s..20s"), [false, false, true, true, false, false, false]);
        assert_eq!(at("10s..20s/60s"), [false, false, true, true, false, true, false]);
        assert_eq!(at("10s.."), [false, false, true, true, true, true, true]);
        assert_eq!(at("..10"), [true, true, false, false, false, false, false]);
        assert_eq!(at("9s..10s/10s"), [false, true, false, true, false, false, false]);
        for text in ["10s", "20s..10s", "10s..10s", "a..b", "10s..20s/5s", "10s..20s/15s", "10s../0", "..", "10s../10s"]
        {
            let read = text.parse::<Window>();
            assert!(read.is_err(), "{text} {read:?}");
        }
    }
}
