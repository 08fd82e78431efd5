//! Times and rates of toxics. Toxiproxy's are milliseconds and KB/s, ours seconds and bytes/s: so a number needs its unit.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::duration::Seconds;
use crate::size::Rate;
use crate::text_value::text_value;

/// A length of time with its unit: `100ms`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(0.0) => Ok(Self::default()),
            Ok(number) if number > 0.0 => Err(format!("`{text}` has no unit, write `{text}ms` or `{text}s`")),
            _ => text
                .parse()
                .map(|time: Seconds| Self(time.duration()))
                .map_err(|_| format!("invalid time `{text}`: write `100ms`, at most a year")),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without blanks, which would need quotes.
        if self.0.is_zero() {
            f.write_str("0")
        } else {
            f.write_str(&humantime::format_duration(self.0).to_string().replace(' ', ""))
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Time, "write a time with its unit, such as `100ms`", { "type": ["number", "string"], "minimum": 0, "x-unit": "time" });

/// So many bytes a second, with the unit: `50KB/s`; 0 for none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Speed(pub(crate) u64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(0.0) => Ok(Self::default()),
            Ok(number) if number > 0.0 => Err(format!("`{text}` has no unit, write `{text}KB/s`")),
            _ => text.parse().map(|rate: Rate| Self(rate.bytes().get())).map_err(|why| why.to_string()),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NonZeroU64::new(self.0) {
            None => f.write_str("0"),
            Some(rate) => Rate::from_bytes(rate).fmt(f),
        }
    }
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Speed, "write a rate with its unit, such as `50KB/s`", { "type": ["number", "string"], "minimum": 0, "x-unit": "rate" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_have_a_unit() {
        for (text, time, written) in
            [("100ms", 100, "100ms"), ("0", 0, "0"), ("1m 30s", 90_000, "1m30s"), ("1.5s", 1500, "1s500ms")]
        {
            let read: Time = text.parse().unwrap();
            assert_eq!((read.0, read.to_string()), (Duration::from_millis(time), written.to_owned()));
            assert_eq!(written.parse(), Ok(read));
        }
        for (text, rate, written) in [("50KB/s", 50_000, "50KB/s"), ("0", 0, "0"), ("1MiB", 1 << 20, "1MiB/s")] {
            let read: Speed = text.parse().unwrap();
            assert_eq!((read.0, read.to_string()), (rate, written.to_owned()));
            assert_eq!(written.parse(), Ok(read));
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_the_way_to_write_it() {
        assert_eq!("100".parse::<Time>(), Err("`100` has no unit, write `100ms` or `100s`".to_owned()));
        assert_eq!("50".parse::<Speed>(), Err("`50` has no unit, write `50KB/s`".to_owned()));
        assert_eq!("soon".parse::<Time>(), Err("invalid time `soon`: write `100ms`, at most a year".to_owned()));
        assert_eq!("-1".parse::<Time>(), Err("invalid time `-1`: write `100ms`, at most a year".to_owned()));
        assert_eq!("-1KB/s".parse::<Speed>(), Err("invalid rate `-1KB/s`: write more than 0".to_owned()));
    }
}
