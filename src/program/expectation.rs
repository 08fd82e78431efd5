//! Expectations about a run: `error>=1`, `cache.delay>=10`, `calls>0`.

use std::fmt;
use std::str::FromStr;

use crate::handler::Registry;
use crate::metrics::summary::{COUNTED, Summary};

/// A count, compared with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// The proxy that is counted; without one, all of them.
    proxy: Option<String>,
    count: String,
    /// One of [`COMPARISONS`].
    sign: &'static str,
    number: u64,
}

type Comparison = fn(&u64, &u64) -> bool;

/// Longer ones first: `>=` begins with `>`.
const COMPARISONS: [(&str, Comparison); 6] =
    [(">=", u64::ge), ("<=", u64::le), ("==", u64::eq), ("!=", u64::ne), (">", u64::gt), ("<", u64::lt)];

type Counted = fn(&Summary) -> u64;

/// How each of [`COUNTED`] is counted.
const COUNTS: [Counted; COUNTED.len()] = [
    |summary| summary.calls.iter().map(|(_, calls)| calls).sum(),
    |summary| summary.faults.iter().map(|(_, faults)| faults).sum(),
    |summary| summary.connections,
    |summary| summary.opaque,
    |summary| summary.backend_failures,
];

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let at = text.find(['<', '>', '=', '!'])?;
            let (what, rest) = text.split_at(at);
            let sign = COMPARISONS.iter().map(|(sign, _)| *sign).find(|sign| rest.starts_with(sign));
            // `=` is short for `==`.
            let (sign, number) = sign.map_or(("==", rest.strip_prefix('=')), |sign| (sign, rest.strip_prefix(sign)));
            let number = number?.trim().parse().ok()?;
            let (proxy, count) = match what.trim().split_once('.') {
                Some((proxy, count)) => (Some(proxy.to_owned()), count),
                None => (None, what.trim()),
            };
            let named = !count.is_empty() && proxy.as_ref().is_none_or(|proxy| !proxy.is_empty());
            named.then(|| Self { proxy, count: count.to_owned(), sign, number })
        };
        let right = "write `error>=1`, `calls>0` or, for one proxy, `cache.delay>=10`";
        read().ok_or_else(|| format!("invalid expectation `{text}`: {right}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(proxy) = &self.proxy {
            write!(f, "{proxy}.")?;
        }
        write!(f, "{}{}{}", self.count, self.sign, self.number)
    }
}

impl Expectation {
    /// The proxy that is counted, if it is only one.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// The handler or other count.
    pub(crate) fn counted(&self) -> &str {
        &self.count
    }

    /// Whether it says that there may be no calls: `calls>=0`, `calls==0`, `connections==0`. An upper limit does not.
    pub(crate) fn allows_no_calls(&self) -> bool {
        let is_any = self.sign == ">=" && self.count == "calls";
        let is_none = matches!(self.sign, "==" | "<=") && matches!(self.count.as_str(), "calls" | "connections");
        self.number == 0 && (is_any || is_none)
    }

    /// The counts that exist with these handlers.
    pub(crate) fn countable(registry: &Registry) -> impl Iterator<Item = &str> {
        registry.names().chain(COUNTED)
    }

    /// The count in these proxies, by name. For a handler it is its faults; for one that has none, such as `dummy`, its
    /// calls.
    pub(crate) fn count<'s>(
        &self,
        proxies: impl IntoIterator<Item = (&'s str, &'s Summary)>,
        registry: &Registry,
    ) -> u64 {
        let ours = proxies.into_iter().filter(|(name, _)| self.proxy.as_ref().is_none_or(|proxy| proxy == name));
        ours.map(|(_, summary)| self.count_of(summary, registry)).sum()
    }

    fn count_of(&self, summary: &Summary, registry: &Registry) -> u64 {
        let name = self.count.as_str();
        match (registry.get(name), COUNTED.iter().position(|known| *known == name)) {
            (None, Some(place)) => COUNTS[place](summary),
            (Some(entry), _) if entry.does_nothing() => summary.calls_of(name),
            _ => summary.faults_of(name),
        }
    }

    pub(crate) fn is_met_by(&self, count: u64) -> bool {
        COMPARISONS.iter().any(|(sign, holds)| *sign == self.sign && holds(&count, &self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Expectation {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in
            ["error>=1", "cache.delay>=10", "calls>0", "opaque==0", "a-b_c.faults<7", "hang!=3", "connections<=9"]
        {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read(" error >= 1 "), read("error>=1"));
        assert_eq!(read("error=1"), read("error==1"));
    }

    #[test]
    fn what_counts_nothing_is_refused() {
        for text in
            ["", "error", ">=1", "error>=", "error>=x", "error>=-1", "error>=1.5", ".error>=1", "cache.>=1", "error=>1"]
        {
            let refused = text.parse::<Expectation>().unwrap_err();
            assert!(refused.starts_with(&format!("invalid expectation `{text}`: write `error>=1`")), "{refused}");
        }
    }

    #[test]
    fn each_comparison_compares() {
        let met = |sign: &str| [4, 5, 6].map(|count| read(&format!("calls{sign}5")).is_met_by(count));
        assert_eq!(met(">="), [false, true, true]);
        assert_eq!(met("<="), [true, true, false]);
        assert_eq!(met("=="), [false, true, false]);
        assert_eq!(met("!="), [true, false, true]);
        assert_eq!(met(">"), [false, false, true]);
        assert_eq!(met("<"), [true, false, false]);
    }

    #[test]
    fn only_what_names_no_calls_allows_none() {
        for allowing in ["calls>=0", "cache.calls>=0", "calls==0", "calls<=0", "connections==0"] {
            assert!(read(allowing).allows_no_calls(), "{allowing}");
        }
        for other in ["calls<=40", "calls<1", "calls>=1", "connections>=0", "error>=0", "error==0", "faults==0"] {
            assert!(!read(other).allows_no_calls(), "{other}");
        }
    }

    #[test]
    fn counts_are_of_one_proxy_or_of_all() {
        let count = |name: &str, number| vec![(name.to_owned(), number)];
        let cache =
            Summary { calls: count("delay", 9), faults: count("delay", 7), connections: 2, ..Summary::default() };
        let api = Summary { calls: count("dummy", 5), faults: count("dummy", 0), connections: 3, ..Summary::default() };
        let registry = Registry::default();
        let counted = |text: &str| read(text).count([("cache", &cache), ("api", &api)], &registry);
        assert_eq!(counted("delay>0"), 7);
        assert_eq!(counted("dummy>0"), 5, "it has no faults: calls count");
        assert_eq!(counted("cache.calls>0"), 9);
        assert_eq!(counted("calls>0"), 14);
        assert_eq!(counted("faults>0"), 7);
        assert_eq!(counted("api.connections>0"), 3);
        assert_eq!(counted("other.connections>0"), 0);
        assert_eq!(counted("error>0"), 0);
    }
}
