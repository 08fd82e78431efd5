//! Bytes per second.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{NotBytes, PATTERN, Size, parse_bytes};
use crate::text_value::text_value;

/// How many bytes pass each second, in a handler's settings: a text (`"64KB/s"`, `"64KB"`) or a number of bytes (`64000`).
///
/// More than 0 and at most [`Size::MAX`] each second; units are those of [`Size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

/// A text or number that is no rate, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRate {
    /// Nothing, or less than that.
    #[error("invalid rate `{0}`: write more than 0")]
    NotPositive(String),
    /// More than [`Size::MAX`] each second.
    #[error("invalid rate `{0}`: at most 1TiB/s (1099511627776 bytes each second)")]
    TooHigh(String),
    /// No number, a fraction of bytes, or an unknown unit.
    #[error("invalid rate `{0}`: write `64KB/s`")]
    Unreadable(String),
}

impl Rate {
    /// This many bytes each second.
    #[must_use]
    pub const fn from_bytes(bytes: NonZeroU64) -> Self {
        Self(bytes)
    }

    /// How many bytes pass each second.
    #[must_use]
    pub const fn bytes(self) -> NonZeroU64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = NotRate;

    fn from_str(text: &str) -> Result<Self, NotRate> {
        let text = text.trim();
        let per_second = text.strip_suffix(['s', 'S']).and_then(|rest| rest.trim_end().strip_suffix('/'));
        match parse_bytes(per_second.unwrap_or(text).trim_end()) {
            Ok(bytes) => NonZeroU64::new(bytes).map(Self).ok_or_else(|| NotRate::NotPositive(text.to_owned())),
            Err(NotBytes::Negative) => Err(NotRate::NotPositive(text.to_owned())),
            Err(NotBytes::TooLarge) => Err(NotRate::TooHigh(text.to_owned())),
            Err(NotBytes::Unreadable) => Err(NotRate::Unreadable(text.to_owned())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Size::from_bytes(self.0.get())))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Rate, "write a text such as `64KB/s`, or a number of bytes each second", {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": Size::MAX.bytes(),
    "pattern": format!("{PATTERN}(/ *[Ss] *)?$"),
    "x-unit": "size/s",
});

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes: u64) -> Rate {
        Rate(NonZeroU64::new(bytes).unwrap())
    }

    #[test]
    fn sizes_are_rates_with_and_without_their_second() {
        for (text, bytes) in [
            ("64KB/s", 64_000),
            ("64 KB / s", 64_000),
            ("64kb/S", 64_000),
            ("64KB", 64_000),
            ("64000", 64_000),
            ("64000/s", 64_000),
            ("0.5KiB/s", 512),
            ("1TiB/s", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(rate(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_says_what_would_be() {
        for (text, message) in [
            ("0", "invalid rate `0`: write more than 0"),
            ("-1KB/s", "invalid rate `-1KB/s`: write more than 0"),
            ("0.0001KB/s", "invalid rate `0.0001KB/s`: write more than 0"),
            ("2TiB/s", "invalid rate `2TiB/s`: at most 1TiB/s (1099511627776 bytes each second)"),
            ("64KB/min", "invalid rate `64KB/min`: write `64KB/s`"),
            ("64KBs", "invalid rate `64KBs`: write `64KB/s`"),
            ("64Kbit/s", "invalid rate `64Kbit/s`: write `64KB/s`"),
            ("/s", "invalid rate `/s`: write `64KB/s`"),
            ("fast", "invalid rate `fast`: write `64KB/s`"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_rate_is_written_as_it_is_read() {
        for (bytes, shown) in [(1, "1B/s"), (64_000, "64KB/s"), (1 << 20, "1MiB/s")] {
            assert_eq!(rate(bytes).to_string(), shown);
            assert_eq!(shown.parse(), Ok(rate(bytes)));
            let written = serde_json::to_string(&rate(bytes)).unwrap();
            assert_eq!(written, format!("\"{}\"", rate(bytes)));
            assert_eq!(serde_json::from_str::<Rate>(&written).unwrap(), rate(bytes));
        }
    }
}
