//! Times as people write them in settings.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::text_value::text_value;

/// A length of time in a handler's settings: a number of seconds (`1`, `0.25`) or a text with a unit (`"250ms"`, `"1m 30s"`).
///
/// What is read from flags, variables and files is at most [`Seconds::MAX`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(Duration);

/// A text or number that is no length of time, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSeconds {
    /// Less than nothing.
    #[error("invalid duration `{0}`: it is negative, write 0 or more")]
    Negative(String),
    /// More than [`Seconds::MAX`].
    #[error("invalid duration `{0}`: at most a year (31536000 seconds)")]
    TooLong(String),
    /// No number, or an unknown unit.
    #[error("invalid duration `{0}`: write `10s`, `250ms` or seconds")]
    Unreadable(String),
}

impl Seconds {
    /// The longest time that can be asked for: a year.
    pub const MAX: Self = Self(Duration::from_secs(365 * 24 * 60 * 60));

    /// This many whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// This many thousandths of a second.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The same time as the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// `text` is how the number was written, for the message.
    fn from_number(seconds: f64, text: &str) -> Result<Self, NotSeconds> {
        if seconds.is_nan() {
            return Err(NotSeconds::Unreadable(text.to_owned()));
        }
        if seconds < 0.0 {
            return Err(NotSeconds::Negative(text.to_owned()));
        }
        Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|duration| Self(duration).within_max())
            .ok_or_else(|| NotSeconds::TooLong(text.to_owned()))
    }

    fn within_max(self) -> Option<Self> {
        (self <= Self::MAX).then_some(self)
    }
}

impl FromStr for Seconds {
    type Err = NotSeconds;

    fn from_str(text: &str) -> Result<Self, NotSeconds> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Self::from_number(number, text);
        }
        let unsigned = text.strip_prefix('-');
        match humantime::parse_duration(unsigned.unwrap_or(text)) {
            Ok(_) if unsigned.is_some() => Err(NotSeconds::Negative(text.to_owned())),
            Ok(duration) => Self(duration).within_max().ok_or_else(|| NotSeconds::TooLong(text.to_owned())),
            Err(humantime::DurationError::NumberOverflow) => Err(NotSeconds::TooLong(text.to_owned())),
            Err(_) => Err(NotSeconds::Unreadable(text.to_owned())),
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A whole number where it is one: `1` reads better than `1.0` as the default in the help.
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

text_value!(Seconds, "write a number of seconds or a text with a unit", { "type": ["number", "string"], "minimum": 0, "x-unit": "seconds" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units_are_times() {
        for (text, millis) in
            [("0", 0), ("1", 1000), ("0.25", 250), (" 2 ", 2000), ("1e-3", 1), ("250ms", 250), ("1m 30s", 90_000)]
        {
            assert_eq!(text.parse(), Ok(Seconds::from_millis(millis)), "{text}");
        }
        assert_eq!("31536000".parse(), Ok(Seconds::MAX));
    }

    #[test]
    fn what_is_no_time_says_what_would_be() {
        for (text, message) in [
            ("-1", "invalid duration `-1`: it is negative, write 0 or more"),
            ("-0.5", "invalid duration `-0.5`: it is negative, write 0 or more"),
            ("-250ms", "invalid duration `-250ms`: it is negative, write 0 or more"),
            ("31536001", "invalid duration `31536001`: at most a year (31536000 seconds)"),
            ("2years", "invalid duration `2years`: at most a year (31536000 seconds)"),
            ("1e999", "invalid duration `1e999`: at most a year (31536000 seconds)"),
            ("inf", "invalid duration `inf`: at most a year (31536000 seconds)"),
            ("nan", "invalid duration `nan`: write `10s`, `250ms` or seconds"),
            ("soon", "invalid duration `soon`: write `10s`, `250ms` or seconds"),
            ("1 fortnight", "invalid duration `1 fortnight`: write `10s`, `250ms` or seconds"),
            ("", "invalid duration ``: write `10s`, `250ms` or seconds"),
        ] {
            assert_eq!(text.parse::<Seconds>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for text in ["1", "0.25", "31536000", "0.000000001"] {
            let time: Seconds = serde_json::from_str(text).unwrap();
            let written = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Seconds>(&written).unwrap(), time);
        }
        assert_eq!(serde_json::to_string(&Seconds::from_secs(1)).unwrap(), "1");
        assert_eq!(serde_json::to_string(&Seconds::from_millis(250)).unwrap(), "0.25");
    }
}
