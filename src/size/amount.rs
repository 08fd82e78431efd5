//! A size or a percentage.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{NotPercent, NotSize, PATTERN, Percent, Size, percent};
use crate::text_value::text_value;

/// How much of something, in a handler's settings: a number of bytes (`1000`, `"1KB"`) or a part of the whole (`"50%"`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many bytes, whatever the whole is.
    Size(Size),
    /// A part of the whole.
    Percent(Percent),
}

/// A text or number that is no amount, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAmount {
    /// Bytes that are too few or too many.
    #[error(transparent)]
    Size(NotSize),
    /// It ends with `%` and is no percentage.
    #[error(transparent)]
    Percent(#[from] NotPercent),
    /// Neither.
    #[error("invalid amount `{0}`: write `1000`, `1KB` or `50%`")]
    Unreadable(String),
}

impl Amount {
    /// So many bytes of a whole of `whole` bytes: not more than there are.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Size(size) => size.bytes().min(whole),
            Self::Percent(percent) => percent.of(whole),
        }
    }
}

impl From<Size> for Amount {
    fn from(size: Size) -> Self {
        Self::Size(size)
    }
}

impl From<Percent> for Amount {
    fn from(percent: Percent) -> Self {
        Self::Percent(percent)
    }
}

impl FromStr for Amount {
    type Err = NotAmount;

    fn from_str(text: &str) -> Result<Self, NotAmount> {
        if text.trim_end().ends_with('%') {
            return Ok(Self::Percent(text.parse()?));
        }
        text.parse().map(Self::Size).map_err(|why| match why {
            NotSize::Unreadable(text) => NotAmount::Unreadable(text),
            why => NotAmount::Size(why),
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Size(size) => size.serialize(serializer),
            Self::Percent(percent) => percent.serialize(serializer),
        }
    }
}

text_value!(Amount, "write a number of bytes, or a text such as `1KB` or `50%`", {
    "type": ["integer", "string"],
    "minimum": 0,
    "maximum": Size::MAX.bytes(),
    "pattern": format!("{PATTERN}$|{}", percent::PATTERN),
    "x-unit": "size|percent",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_percentages_are_amounts() {
        for (text, amount) in [
            ("1000", Size::from_bytes(1000).into()),
            (" 1KB ", Size::from_bytes(1000).into()),
            ("50%", Amount::Percent(Percent::new(50.0).unwrap())),
            (" 0.5 % ", Amount::Percent(Percent::new(0.5).unwrap())),
        ] {
            assert_eq!(text.parse(), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_says_what_would_be() {
        for (text, message) in [
            ("-1", "invalid size `-1`: it is negative, write 0 or more"),
            ("101%", "invalid percentage `101%`: write 0% to 100%"),
            ("half%", "invalid percentage `half%`: write `50%`"),
            ("half", "invalid amount `half`: write `1000`, `1KB` or `50%`"),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_amount_is_written_as_it_is_read() {
        for (text, shown) in [("\"1KB\"", "1KB"), ("\"50%\"", "50%")] {
            let amount: Amount = serde_json::from_str(text).unwrap();
            assert_eq!(amount.to_string(), shown);
            assert_eq!(serde_json::to_string(&amount).unwrap(), text);
        }
    }

    #[test]
    fn an_amount_is_part_of_the_whole() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert_eq!([amount("50%").of(101), amount("10").of(101), amount("1KB").of(101)], [50, 10, 101]);
    }
}
