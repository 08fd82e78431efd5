//! Numbers of bytes as people write them in settings: sizes, rates, and percentages of either.

mod amount; // a size or a percentage
mod percent; // a part of a whole
mod rate; // bytes per second

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::text_value::text_value;

pub use amount::{Amount, NotAmount};
pub use percent::{NotPercent, Percent};
pub use rate::{NotRate, Rate};

/// The units, without case. Decimal ones come first, so that equally short texts prefer them.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// What a JSON schema says of a text with a size.
const PATTERN: &str = r"^ *([0-9]+ *[Bb]?|[0-9]+(\.[0-9]+)? *[KkMmGgTt][Ii]?[Bb]) *";

/// A number of bytes in a handler's settings: a number (`1000`) or a text with a unit (`"1KB"`, `"1.5MiB"`).
///
/// `KB`, `MB`, `GB` and `TB` are powers of 1000, `KiB`, `MiB`, `GiB` and `TiB` powers of 1024, in upper or lower case. A
/// fraction needs such a unit, and is rounded to whole bytes. What is read is at most [`Size::MAX`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A text or number that is no size, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSize {
    /// Less than nothing.
    #[error("invalid size `{0}`: it is negative, write 0 or more")]
    Negative(String),
    /// More than [`Size::MAX`].
    #[error("invalid size `{0}`: at most 1TiB (1099511627776 bytes)")]
    TooLarge(String),
    /// No number, a fraction of bytes, or an unknown unit.
    #[error("invalid size `{0}`: write `1000`, `1KB` or `1KiB`")]
    Unreadable(String),
}

impl Size {
    /// The largest size that can be asked for: 1 TiB.
    pub const MAX: Self = Self(1 << 40);

    /// This many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes they are.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Why a text is no size or rate, before either says so in its own words.
enum NotBytes {
    Negative,
    TooLarge,
    Unreadable,
}

/// Reads a number of bytes, at most [`Size::MAX`].
fn parse_bytes(text: &str) -> Result<u64, NotBytes> {
    if let Some(unsigned) = text.strip_prefix('-') {
        return Err(parse_bytes(unsigned).err().unwrap_or(NotBytes::Negative));
    }
    let (number, unit) = text.split_at(text.find(|char: char| !is_decimal(char)).unwrap_or(text.len()));
    let unit = unit.trim_start();
    let bytes = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        // No bytes are cut in parts.
        None | Some((_, 1)) if number.contains('.') => None,
        None if unit.is_empty() => number.parse().ok(),
        Some((_, bytes)) => number.parse::<f64>().ok().map(|number| number * to_float(*bytes)),
        None => None,
    };
    to_bytes(bytes.ok_or(NotBytes::Unreadable)?.round())
}

/// The characters of a number: no sign, no exponent, nothing that stands for infinity.
fn is_decimal(char: char) -> bool {
    char.is_ascii_digit() || char == '.'
}

#[expect(clippy::cast_precision_loss, reason = "up to the largest size every whole number is exact")]
fn to_float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and within the limits")]
fn to_bytes(number: f64) -> Result<u64, NotBytes> {
    if number <= to_float(Size::MAX.0) { Ok(number as u64) } else { Err(NotBytes::TooLarge) }
}

impl FromStr for Size {
    type Err = NotSize;

    fn from_str(text: &str) -> Result<Self, NotSize> {
        let text = text.trim();
        parse_bytes(text).map(Self).map_err(|why| match why {
            NotBytes::Negative => NotSize::Negative(text.to_owned()),
            NotBytes::TooLarge => NotSize::TooLarge(text.to_owned()),
            NotBytes::Unreadable => NotSize::Unreadable(text.to_owned()),
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The shortest text that is exact.
        let exact = UNITS.iter().filter(|(_, bytes)| self.0.is_multiple_of(*bytes) && (self.0 > 0 || *bytes == 1));
        let texts = exact.map(|(unit, bytes)| format!("{}{unit}", self.0 / bytes));
        f.pad(&texts.min_by_key(String::len).unwrap_or_default())
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // With a unit where that is exact: `64MiB` reads better than `67108864`.
        let text = self.to_string();
        if text.strip_suffix('B').is_some_and(|number| number.parse::<u64>().is_ok()) {
            serializer.serialize_u64(self.0)
        } else {
            serializer.serialize_str(&text)
        }
    }
}

text_value!(Size, "write a number of bytes or a text with a unit", {
    "type": ["integer", "string"],
    "minimum": 0,
    "maximum": Size::MAX.0,
    "pattern": format!("{PATTERN}$"),
    "x-unit": "size",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units_are_sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            (" 7 ", 7),
            ("7B", 7),
            ("1KB", 1000),
            ("1kB", 1000),
            ("1 kb", 1000),
            ("1KiB", 1024),
            ("1kib", 1024),
            ("1.5MB", 1_500_000),
            ("0.1 MiB", 104_858),
            ("2GB", 2_000_000_000),
            ("1GiB", 1 << 30),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        assert_eq!("1TiB".parse(), Ok(Size::MAX));
    }

    #[test]
    fn what_is_no_size_says_what_would_be() {
        for (text, message) in [
            ("-1", "invalid size `-1`: it is negative, write 0 or more"),
            ("-1KB", "invalid size `-1KB`: it is negative, write 0 or more"),
            ("1099511627777", "invalid size `1099511627777`: at most 1TiB (1099511627776 bytes)"),
            ("1025GiB", "invalid size `1025GiB`: at most 1TiB (1099511627776 bytes)"),
            ("10x", "invalid size `10x`: write `1000`, `1KB` or `1KiB`"),
            ("1K", "invalid size `1K`: write `1000`, `1KB` or `1KiB`"),
            ("1.5", "invalid size `1.5`: write `1000`, `1KB` or `1KiB`"),
            ("1.5B", "invalid size `1.5B`: write `1000`, `1KB` or `1KiB`"),
            ("1.2.3KB", "invalid size `1.2.3KB`: write `1000`, `1KB` or `1KiB`"),
            ("1e3", "invalid size `1e3`: write `1000`, `1KB` or `1KiB`"),
            ("--1", "invalid size `--1`: it is negative, write 0 or more"),
            ("-x", "invalid size `-x`: write `1000`, `1KB` or `1KiB`"),
            (".KB", "invalid size `.KB`: write `1000`, `1KB` or `1KiB`"),
            ("KB", "invalid size `KB`: write `1000`, `1KB` or `1KiB`"),
            ("inf", "invalid size `inf`: write `1000`, `1KB` or `1KiB`"),
            ("50%", "invalid size `50%`: write `1000`, `1KB` or `1KiB`"),
            ("", "invalid size ``: write `1000`, `1KB` or `1KiB`"),
        ] {
            assert_eq!(text.parse::<Size>().unwrap_err().to_string(), message);
        }
        let not_read = serde_json::from_str::<Size>("true").unwrap_err().to_string();
        assert_eq!(not_read, "write a number of bytes or a text with a unit");
    }

    #[test]
    fn a_size_is_shown_as_it_is_read() {
        for text in
            ["0B", "7B", "1001B", "1KB", "1KiB", "128KB", "1500KB", "1537B", "64MiB", "1TB", "1TiB", "500GB", "3GiB"]
        {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for (text, written) in
            [("0", "0"), ("1000", "\"1KB\""), ("1537", "1537"), ("\"1.5KiB\"", "1536"), ("\"1TiB\"", "\"1TiB\"")]
        {
            let size: Size = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&size).unwrap(), written);
            assert_eq!(serde_json::from_str::<Size>(written).unwrap(), size);
        }
    }
}
