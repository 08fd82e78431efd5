//! Times that are drawn: `100ms..300ms`, `normal(100ms, 20ms)`, or always the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::Rng;
use rand_distr::{Distribution as _, Exp, LogNormal, Normal, Pareto, Uniform};
use serde::{Serialize, Serializer};

use crate::diagnostic::did_you_mean;
use crate::duration::{NotSeconds, Seconds};
use crate::text_value::text_value;

/// The longest time that is drawn: 24 hours.
const LONGEST: f64 = 24.0 * 60.0 * 60.0;

/// A time, or a distribution of times. What is drawn is cut at 0 and at 24 hours, and rounded to nanoseconds.
///
/// | text | mean | median | 99th percentile |
/// | --- | --- | --- | --- |
/// | `a..b`: uniform | (a + b) / 2 | (a + b) / 2 | a + 0.99 (b − a) |
/// | `normal(µ, σ)` | µ | µ | µ + 2.326 σ |
/// | `lognormal(m, σ)`: m is the median, σ a number | m · exp(σ² / 2) | m | m · exp(2.326 σ) |
/// | `pareto(s, α)`: s is the shortest, α a number | s α / (α − 1), for α > 1 | s · 2^(1/α) | s · 100^(1/α) |
/// | `exponential(m)` | m | m · ln 2 | m · ln 100 |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Always(Seconds),
    Uniform(Seconds, Seconds),
    Normal(Seconds, Seconds),
    LogNormal(Seconds, f64),
    Pareto(Seconds, f64),
    Exponential(Seconds),
}

/// How each is written.
const WRITTEN: [(&str, &str); 4] = [
    ("normal", "normal(100ms, 20ms)"),
    ("lognormal", "lognormal(100ms, 0.5)"),
    ("pareto", "pareto(50ms, 2)"),
    ("exponential", "exponential(100ms)"),
];

/// A text or number that is no time and no distribution of times, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADistribution {
    /// A time that is none.
    #[error(transparent)]
    Time(#[from] NotSeconds),
    /// Anything else.
    #[error("invalid distribution `{text}`: {why}")]
    Invalid {
        /// The text.
        text: String,
        /// What is wrong with it, or what would be right.
        why: String,
    },
}

impl Distribution {
    /// The time, if it is always the same.
    pub(crate) fn always(&self) -> Option<Duration> {
        match self.0 {
            Kind::Always(time) => Some(time.duration()),
            _ => None,
        }
    }

    /// Draws a time. One that is always the same takes nothing of `random`.
    pub fn draw(&self, random: &mut impl Rng) -> Duration {
        let seconds = |time: Seconds| time.duration().as_secs_f64();
        let drawn = match self.0 {
            Kind::Always(time) => return time.duration(),
            Kind::Uniform(low, high) => {
                Uniform::new_inclusive(seconds(low), seconds(high)).map(|uniform| uniform.sample(random)).ok()
            }
            Kind::Normal(mean, deviation) => {
                Normal::new(seconds(mean), seconds(deviation)).map(|normal| normal.sample(random)).ok()
            }
            // The logarithm of nothing is not finite.
            Kind::LogNormal(median, _) if median == Seconds::default() => None,
            Kind::LogNormal(median, sigma) => {
                LogNormal::new(seconds(median).ln(), sigma).map(|lognormal| lognormal.sample(random)).ok()
            }
            Kind::Pareto(scale, shape) => Pareto::new(seconds(scale), shape).map(|pareto| pareto.sample(random)).ok(),
            Kind::Exponential(mean) => {
                Exp::new(seconds(mean).recip()).map(|exponential| exponential.sample(random)).ok()
            }
        };
        // What has no distribution is nothing: `exponential(0)`.
        Duration::from_secs_f64(drawn.filter(|drawn| !drawn.is_nan()).unwrap_or(0.0).clamp(0.0, LONGEST))
    }
}

impl From<Seconds> for Distribution {
    fn from(time: Seconds) -> Self {
        Self(Kind::Always(time))
    }
}

impl From<Duration> for Distribution {
    fn from(time: Duration) -> Self {
        Seconds::from(time).into()
    }
}

impl FromStr for Distribution {
    type Err = NotADistribution;

    fn from_str(text: &str) -> Result<Self, NotADistribution> {
        let text = text.trim();
        let invalid = |why: String| NotADistribution::Invalid { text: text.to_owned(), why };
        if let Some((name, rest)) = text.split_once('(') {
            let name = name.trim();
            let Some((_, written)) = WRITTEN.iter().find(|(known, _)| *known == name) else {
                let names = WRITTEN.map(|(name, _)| name);
                let hint = did_you_mean(name, names);
                return Err(invalid(format!("unknown name `{name}` (known: {}){hint}", names.join(", "))));
            };
            let wrong = || invalid(format!("write `{written}`"));
            let arguments: Vec<&str> = rest.strip_suffix(')').ok_or_else(wrong)?.split(',').map(str::trim).collect();
            let number = |text: &str, more_than_nothing: bool| {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.filter(|number| *number > 0.0 || !more_than_nothing && *number == 0.0).ok_or_else(wrong)
            };
            let kind = match (name, arguments.as_slice()) {
                ("normal", [mean, deviation]) => Kind::Normal(mean.parse()?, deviation.parse()?),
                ("lognormal", [median, sigma]) => Kind::LogNormal(median.parse()?, number(sigma, false)?),
                ("pareto", [scale, shape]) => Kind::Pareto(scale.parse()?, number(shape, true)?),
                ("exponential", [mean]) => Kind::Exponential(mean.parse()?),
                _ => return Err(wrong()),
            };
            return Ok(Self(kind));
        }
        let Some((low, high)) = text.split_once("..") else { return Ok(text.parse::<Seconds>()?.into()) };
        let (low, high): (Seconds, Seconds) = (low.parse()?, high.parse()?);
        if low > high {
            return Err(invalid(format!("the shorter time comes first, write `{high}..{low}`")));
        }
        Ok(Self(Kind::Uniform(low, high)))
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Always(time) => time.fmt(f),
            Kind::Uniform(low, high) => write!(f, "{low}..{high}"),
            Kind::Normal(mean, deviation) => write!(f, "normal({mean}, {deviation})"),
            Kind::LogNormal(median, sigma) => write!(f, "lognormal({median}, {sigma})"),
            Kind::Pareto(scale, shape) => write!(f, "pareto({scale}, {shape})"),
            Kind::Exponential(mean) => write!(f, "exponential({mean})"),
        }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Kind::Always(time) => time.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }
}

text_value!(Distribution, "write a number of seconds, a text with a unit or a distribution", {
    "type": ["number", "string"], "minimum": 0, "x-unit": "seconds", "x-distribution": true
});

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    use super::*;

    fn read(text: &str) -> Distribution {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Mean, median and 99th percentile of 100,000 draws, in milliseconds.
    fn figures(text: &str) -> [f64; 3] {
        const DRAWS: usize = 100_000;
        let (distribution, mut random) = (read(text), ChaCha8Rng::seed_from_u64(42));
        let mut drawn: Vec<f64> = (0..DRAWS).map(|_| distribution.draw(&mut random).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let mean = drawn.iter().sum::<f64>() / DRAWS as f64;
        [mean, drawn[DRAWS / 2], drawn[DRAWS * 99 / 100]]
    }

    #[test]
    fn draws_follow_their_distribution() {
        // The 99th percentile of the standard normal distribution.
        let z = 2.326_348;
        for (text, expected) in [
            ("250ms", [250.0; 3]),
            ("100ms..300ms", [200.0, 200.0, 298.0]),
            ("normal(100ms, 20ms)", [100.0, 100.0, 100.0 + z * 20.0]),
            ("lognormal(100ms, 0.5)", [100.0 * 0.125_f64.exp(), 100.0, 100.0 * (z * 0.5).exp()]),
            ("pareto(50ms, 3)", [75.0, 50.0 * 2_f64.powf(1.0 / 3.0), 50.0 * 100_f64.powf(1.0 / 3.0)]),
            ("exponential(100ms)", [100.0, 100.0 * 2_f64.ln(), 100.0 * 100_f64.ln()]),
        ] {
            for (drawn, expected) in figures(text).into_iter().zip(expected) {
                assert!((drawn / expected - 1.0).abs() < 0.03, "{text}: {:?}, not {expected:?}", figures(text));
            }
        }
    }

    #[test]
    fn draws_are_the_same_on_every_platform() {
        let texts =
            ["100ms..300ms", "normal(100ms, 20ms)", "lognormal(100ms, 0.5)", "pareto(50ms, 2)", "exponential(100ms)"];
        let drawn = texts.map(|text| {
            let (distribution, mut random) = (read(text), ChaCha8Rng::seed_from_u64(42));
            [(); 3].map(|()| distribution.draw(&mut random).as_nanos())
        });
        assert_eq!(drawn, DRAWN);
    }

    /// In nanoseconds.
    const DRAWN: [[u128; 3]; 5] = [
        [236_379_238, 290_055_082, 185_503_281],
        [109_559_625, 126_681_412, 95_782_666],
        [126_996_662, 194_845_218, 89_993_446],
        [60_549_543, 51_291_483, 76_470_444],
        [87_588_338, 149_393_675, 65_166_364],
    ];

    #[test]
    fn draws_are_cut_at_nothing_and_at_a_day() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for text in ["normal(0, 1h)", "pareto(23h, 0.1)", "exponential(0)", "lognormal(0, 1)", "pareto(0, 1)", "1s..1s"]
        {
            let distribution = read(text);
            for _ in 0..1000 {
                assert!(distribution.draw(&mut random) <= Duration::from_secs_f64(LONGEST), "{text}");
            }
        }
        assert_eq!(read("exponential(0)").draw(&mut random), Duration::ZERO);
        assert_eq!(read("1s..1s").draw(&mut random), Duration::from_secs(1));
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in [
            "250ms",
            "100ms..300ms",
            "normal(100ms, 20ms)",
            "lognormal(1m 30s, 0.5)",
            "pareto(50ms, 2)",
            "exponential(100ms)",
        ] {
            assert_eq!(read(text).to_string(), text);
            let json = serde_json::to_value(read(text)).unwrap();
            assert_eq!(serde_json::from_value::<Distribution>(json).unwrap(), read(text));
        }
        assert_eq!(read(" 0.1 .. 0.3 "), read("100ms..300ms"));
        assert_eq!(serde_json::to_string(&read("250ms")).unwrap(), "0.25");
    }

    #[test]
    fn what_is_none_says_what_would_be() {
        for (text, message) in [
            ("soon", "invalid duration `soon`: write `10s`, `250ms` or seconds"),
            ("-1", "invalid duration `-1`: it is negative, write 0 or more"),
            ("300ms..100ms", "invalid distribution `300ms..100ms`: the shorter time comes first, write `100ms..300ms`"),
            ("1s..", "invalid duration ``: write `10s`, `250ms` or seconds"),
            ("normal(100ms)", "invalid distribution `normal(100ms)`: write `normal(100ms, 20ms)`"),
            ("normal(100ms, 20ms", "invalid distribution `normal(100ms, 20ms`: write `normal(100ms, 20ms)`"),
            ("normal(100ms, x)", "invalid duration `x`: write `10s`, `250ms` or seconds"),
            ("pareto(50ms, 0)", "invalid distribution `pareto(50ms, 0)`: write `pareto(50ms, 2)`"),
            ("lognormal(50ms, -1)", "invalid distribution `lognormal(50ms, -1)`: write `lognormal(100ms, 0.5)`"),
            (
                "norml(1s, 1s)",
                "invalid distribution `norml(1s, 1s)`: unknown name `norml` (known: normal, lognormal, pareto, exponential), did you mean `normal`?",
            ),
        ] {
            assert_eq!(text.parse::<Distribution>().unwrap_err().to_string(), message);
        }
    }
}
