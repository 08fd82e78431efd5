//! Expectations about a run: `error>=1`, `cache.delay>=10`, `calls>0`.

use std::fmt;
use std::str::FromStr;

use crate::handler::Registry;
use crate::metrics::counters::label;
use crate::metrics::summary::{COUNTED, Summary};
use crate::plan::text;

/// A count, compared with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// A proxy, a rule or both, as far as it says of what the count is.
    within: Vec<String>,
    count: String,
    /// One of [`COMPARISONS`].
    sign: &'static str,
    number: u64,
}

/// Of what an expectation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject<'e> {
    /// Without one, all proxies.
    pub(crate) proxy: Option<&'e str>,
    /// Without one, the mix and all rules.
    pub(crate) rule: Option<&'e str>,
    /// The handler, or other count.
    pub(crate) counted: &'e str,
}

/// What is counted of a rule beside its handlers.
pub(crate) const COUNTED_OF_RULE: [&str; 2] = ["calls", "faults"];

type Comparison = fn(&u64, &u64) -> bool;

/// Longer ones first: `>=` begins with `>`.
const COMPARISONS: [(&str, Comparison); 6] =
    [(">=", u64::ge), ("<=", u64::le), ("==", u64::eq), ("!=", u64::ne), (">", u64::gt), ("<", u64::lt)];

type Counted = fn(&Summary) -> u64;

/// How each of [`COUNTED`] is counted.
const COUNTS: [Counted; COUNTED.len()] = [
    |summary| summary.calls.iter().map(|(_, calls)| calls).sum(),
    Summary::all_faults,
    |summary| summary.connections,
    |summary| summary.opaque,
    |summary| summary.backend_failures,
    |summary| summary.handshake_failures,
];

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (mut within, rest) = segments(text)?;
            let sign = COMPARISONS.iter().map(|(sign, _)| *sign).find(|sign| rest.starts_with(sign));
            // `=` is short for `==`.
            let (sign, number) = sign.map_or(("==", rest.strip_prefix('=')), |sign| (sign, rest.strip_prefix(sign)));
            let number = number?.trim().parse().ok()?;
            let count = within.pop()?;
            (within.len() <= 2).then_some(Self { within, count, sign, number })
        };
        let right = "write `error>=1`, `calls>0` or, for one proxy or rule, `cache.delay>=10`";
        read().ok_or_else(|| format!("invalid expectation `{text}`: {right}"))
    }
}

/// The names before the comparison, and the rest from there on. A name in double quotes may hold any character.
fn segments(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut names, mut rest) = (Vec::new(), text.trim_start());
    loop {
        let (name, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let end = quoted.find(|char| {
                let ends = char == '"' && !is_escaped;
                is_escaped = char == '\\' && !is_escaped;
                ends
            })?;
            (quoted[..end].replace("\\\"", "\"").replace("\\\\", "\\"), &quoted[end + 1..])
        } else {
            let end = rest.find(['.', '<', '>', '=', '!', '"'])?;
            (rest[..end].trim().to_owned(), &rest[end..])
        };
        if name.is_empty() {
            return None;
        }
        names.push(name);
        let behind = behind.trim_start();
        match behind.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None => return Some((names, behind)),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.within {
            let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
            if name.chars().all(is_plain) {
                write!(f, "{name}.")?;
            } else {
                write!(f, "{}.", text::quoted(name))?;
            }
        }
        write!(f, "{}{}{}", self.count, self.sign, self.number)
    }
}

impl Expectation {
    /// Of what it counts. Of two names before a comparison, the first is a proxy if one has it, else a rule.
    pub(crate) fn subject(&self, is_proxy: impl Fn(&str) -> bool) -> Subject<'_> {
        let (proxy, rule) = match self.within.as_slice() {
            [] => (None, None),
            [name] if is_proxy(name) => (Some(name.as_str()), None),
            [name] => (None, Some(name.as_str())),
            [proxy, rule, ..] => (Some(proxy.as_str()), Some(rule.as_str())),
        };
        Subject { proxy, rule, counted: &self.count }
    }

    /// The same of another count.
    pub(crate) fn of(&self, count: &str) -> Self {
        Self { count: count.to_owned(), ..self.clone() }
    }

    /// The same of a count within what it names now.
    pub(crate) fn within(&self, count: &str) -> Self {
        let within = self.within.iter().chain([&self.count]).cloned().collect();
        Self { within, ..self.of(count) }
    }

    /// Whether it says that there may be no calls: `calls>=0`, `calls==0`, `connections==0`. An upper limit does not.
    pub(crate) fn allows_no_calls(&self) -> bool {
        let is_any = self.sign == ">=" && self.count == "calls";
        let is_none = matches!(self.sign, "==" | "<=") && matches!(self.count.as_str(), "calls" | "connections");
        self.number == 0 && (is_any || is_none)
    }

    /// Whether it says that there may be no connections: `connections>=0`, or no calls at all.
    pub(crate) fn allows_no_connections(&self) -> bool {
        let is_any = self.number == 0 && self.sign == ">=" && self.count == "connections";
        is_any || self.allows_no_calls()
    }

    /// Whether it says that there may be no faults: `faults==0`, `faults>=0`, or no calls at all.
    pub(crate) fn allows_no_faults(&self) -> bool {
        let is_none = self.number == 0 && matches!(self.sign, "==" | "<=" | ">=") && self.count == "faults";
        is_none || self.allows_no_calls()
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
        let proxies: Vec<_> = proxies.into_iter().collect();
        let subject = self.subject(|name| proxies.iter().any(|(proxy, _)| *proxy == name));
        let ours = proxies.iter().filter(|(name, _)| subject.proxy.is_none_or(|proxy| proxy == *name));
        ours.map(|(_, summary)| subject.count(summary, registry)).sum()
    }

    pub(crate) fn is_met_by(&self, count: u64) -> bool {
        COMPARISONS.iter().any(|(sign, holds)| *sign == self.sign && holds(&count, &self.number))
    }
}

impl Subject<'_> {
    fn count(self, summary: &Summary, registry: &Registry) -> u64 {
        let Self { rule, counted: name, .. } = self;
        let label = label(rule, name);
        match (registry.get(name), COUNTED.iter().position(|known| *known == name)) {
            (None, Some(place)) => match rule {
                None => COUNTS[place](summary),
                Some(rule) => COUNTS[place](&of_rule(summary, rule)),
            },
            (Some(entry), _) if entry.does_nothing() => summary.calls_of(&label),
            _ => summary.faults_of(&label),
        }
    }
}

/// What a rule has counted.
fn of_rule(summary: &Summary, rule: &str) -> Summary {
    let ours = |counts: &[(String, u64)]| {
        let is_its = |label: &str| label.rsplit_once('.').is_some_and(|(known, _)| known == rule);
        counts.iter().filter(|(label, _)| is_its(label)).cloned().collect()
    };
    Summary { calls: ours(&summary.calls), faults: ours(&summary.faults), ..Summary::default() }
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
        for text in ["cache.pay.error==3", "\"my proxy, \\\"v2\\\" a\\\\b.c\".pay.error>0"] {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read("\"cache\" . pay . error = 3"), read("cache.pay.error==3"));
        assert_eq!(read(" error >= 1 "), read("error>=1"));
        assert_eq!(read("error=1"), read("error==1"));
    }

    #[test]
    fn what_counts_nothing_is_refused() {
        for text in [
            "",
            "error",
            ">=1",
            "error>=",
            "error>=x",
            "error>=-1",
            "error>=1.5",
            ".error>=1",
            "cache.>=1",
            "error=>1",
            "a.b.c.d>=1",
            "\"a>=1",
            "\"a\"b>=1",
            "\"\".a>=1",
        ] {
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
        for allowing in ["faults==0", "cache.faults>=0", "faults<=0", "calls>=0"] {
            assert!(read(allowing).allows_no_faults(), "{allowing}");
        }
        for other in ["faults>=1", "faults<9", "error==0", "opaque>=0"] {
            assert!(!read(other).allows_no_faults(), "{other}");
        }
    }

    #[test]
    fn counts_are_of_one_proxy_or_of_all() {
        let count = |name: &str, number| vec![(name.to_owned(), number)];
        let cache =
            Summary { calls: count("delay", 9), faults: count("delay", 7), connections: 2, ..Summary::default() };
        let api = Summary {
            calls: count("dummy", 5),
            faults: count("dummy", 0),
            connections: 3,
            backend_failures: 1,
            handshake_failures: 2,
            ..Summary::default()
        };
        let registry = Registry::default();
        let counted = |text: &str| read(text).count([("cache", &cache), ("api", &api)], &registry);
        assert_eq!(counted("delay>0"), 7);
        assert_eq!(counted("dummy>0"), 5, "it has no faults: calls count");
        assert_eq!(counted("cache.calls>0"), 9);
        assert_eq!(counted("calls>0"), 14);
        assert_eq!(counted("faults>0"), 7);
        assert_eq!(counted("api.connections>0"), 3);
        assert_eq!(counted("other.connections>0"), 0);
        assert_eq!((counted("dial_failures>0"), counted("handshake_failures>0")), (1, 2));
        assert_eq!(counted("error>0"), 0);
    }

    #[test]
    fn a_handler_is_counted_in_one_rule_or_in_all() {
        let counts = |counts: &[(&str, u64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let summary = Summary {
            calls: counts(&[("pay.error", 5), ("pay.dummy", 7), ("reads.error", 2), ("error", 1), ("dummy", 4)]),
            faults: counts(&[("pay.error", 4), ("pay.dummy", 0), ("reads.error", 2), ("error", 1), ("dummy", 0)]),
            connections: 3,
            ..Summary::default()
        };
        let registry = Registry::default();
        let counted = |text: &str| read(text).count([("cache", &summary), ("reads", &summary)], &registry);
        assert_eq!(counted("pay.error>0"), 8, "of two proxies");
        assert_eq!(counted("cache.pay.error>0"), 4);
        assert_eq!(counted("cache.error>0"), 7);
        assert_eq!(counted("cache.pay.dummy>0"), 7);
        assert_eq!(counted("cache.pay.calls>0"), 12);
        assert_eq!(counted("cache.pay.faults>0"), 4);
        assert_eq!(counted("reads.error>0"), 7, "a proxy of this name comes first");
        assert_eq!(counted("cache.reads.error>0"), 2);
    }
}
