//! A part of a whole.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::is_decimal;
use crate::text_value::text_value;

/// What a JSON schema says of a text with a percentage.
pub(super) const PATTERN: &str = r"^ *(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?) *% *$";

/// A percentage in a handler's settings, from `"0%"` to `"100%"`, with decimals. Always with its sign: a number alone would
/// leave open what it counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

/// A text that is no percentage, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPercent {
    /// Less than 0 % or more than 100 %.
    #[error("invalid percentage `{0}`: write 0% to 100%")]
    OutOfRange(String),
    /// No number, or no `%` behind it.
    #[error("invalid percentage `{0}`: write `50%`")]
    Unreadable(String),
}

impl Percent {
    /// All of it.
    pub const MAX: Self = Self(100.0);

    /// Half of it.
    pub const HALF: Self = Self(50.0);

    /// This many hundredths of the whole, if they are 0 to 100.
    #[must_use]
    pub fn new(hundredths: f64) -> Option<Self> {
        // No minus in front of zero.
        (0.0..=100.0).contains(&hundredths).then(|| Self(hundredths.abs()))
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// So much of `whole`, without the last fraction.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part is not negative and not more than the whole"
    )]
    pub fn of(self, whole: u64) -> u64 {
        // In this order 29 % of 100 is 29.
        ((whole as f64 * self.0 / 100.0) as u64).min(whole)
    }
}

impl FromStr for Percent {
    type Err = NotPercent;

    fn from_str(text: &str) -> Result<Self, NotPercent> {
        let text = text.trim();
        let unreadable = || NotPercent::Unreadable(text.to_owned());
        let number = text.strip_suffix('%').ok_or_else(unreadable)?.trim_end();
        if !number.strip_prefix('-').unwrap_or(number).chars().all(is_decimal) {
            return Err(unreadable());
        }
        let hundredths = number.parse().map_err(|_| unreadable())?;
        Self::new(hundredths).ok_or_else(|| NotPercent::OutOfRange(text.to_owned()))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

text_value!(Percent, "write a text with a percentage: `50%`", { "type": "string", "pattern": PATTERN, "x-unit": "percent" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_sign_are_percentages() {
        for (text, hundredths) in
            [("0%", 0.0), ("-0%", 0.0), ("50%", 50.0), (" 0.5 % ", 0.5), ("99.999%", 99.999), ("100%", 100.0)]
        {
            assert_eq!(text.parse(), Ok(Percent(hundredths)), "{text}");
        }
    }

    #[test]
    fn what_is_no_percentage_says_what_would_be() {
        for (text, message) in [
            ("-1%", "invalid percentage `-1%`: write 0% to 100%"),
            ("100.1%", "invalid percentage `100.1%`: write 0% to 100%"),
            ("50", "invalid percentage `50`: write `50%`"),
            ("half", "invalid percentage `half`: write `50%`"),
            ("%", "invalid percentage `%`: write `50%`"),
            ("5 0%", "invalid percentage `5 0%`: write `50%`"),
            ("1e1%", "invalid percentage `1e1%`: write `50%`"),
            ("nan%", "invalid percentage `nan%`: write `50%`"),
        ] {
            assert_eq!(text.parse::<Percent>().unwrap_err().to_string(), message);
        }
        let not_read = serde_json::from_str::<Percent>("50").unwrap_err().to_string();
        assert_eq!(not_read, "invalid percentage `50`: write `50%`");
    }

    #[test]
    fn a_percentage_is_written_as_it_is_read() {
        for text in ["0%", "50%", "0.1%", "99.999%", "100%"] {
            let percent: Percent = text.parse().unwrap();
            let written = serde_json::to_string(&percent).unwrap();
            assert_eq!(written, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Percent>(&written).unwrap(), percent);
        }
    }

    #[test]
    fn parts_of_a_whole() {
        for whole in 0..=100 {
            assert_eq!(Percent(29.0).of(whole), whole * 29 / 100);
        }
        assert_eq!(Percent::MAX.of(u64::MAX), u64::MAX);
        assert!((Percent(25.0).fraction() - 0.25).abs() < f64::EPSILON);
        assert_eq!(Percent::new(f64::NAN), None);
    }
}
