//! Durations, numbers and other texts for people.

use std::borrow::Cow;
use std::time::Duration;

/// Three digits and a unit, `1.25 s`; from a minute on whole seconds, `2 m 5 s`.
pub(crate) fn time(time: Duration) -> String {
    if let Some(text) =
        [("µs", 1e-6), ("ms", 1e-3)].into_iter().find_map(|(name, unit)| below(1_000.0, time, name, unit))
    {
        return text;
    }
    below(60.0, time, "s", 1.0).unwrap_or_else(|| parts(time))
}

/// In this unit, if the rounded value is below `limit`.
fn below(limit: f64, time: Duration, name: &str, unit: f64) -> Option<String> {
    let value = time.as_secs_f64() / unit;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    let rounded = format!("{value:.digits$}");
    let rounded = if digits > 0 { rounded.trim_end_matches('0').trim_end_matches('.') } else { &rounded };
    (rounded.parse::<f64>().is_ok_and(|rounded| rounded < limit)).then(|| format!("{rounded} {name}"))
}

/// In hours, minutes and seconds, without those that are zero.
fn parts(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_millis() >= 500));
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    parts.collect::<Vec<_>>().join(" ")
}

/// The text with its control characters escaped, but for line ends.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_invisible = |char: char| char.is_control() && char != '\n';
    if !text.contains(is_invisible) {
        return text.into();
    }
    let mut visible = String::with_capacity(text.len() + 64);
    for char in text.chars() {
        if is_invisible(char) { visible.extend(char.escape_unicode()) } else { visible.push(char) }
    }
    visible.into()
}

/// The same on one line.
pub(crate) fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

/// A narrow space that does not break.
const NARROW: char = '\u{202f}';

/// `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(NARROW);
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `2 calls`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_a_unit() {
        for (nanoseconds, expected) in [
            (0, "0 µs"),
            (400, "0.4 µs"),
            (850_000, "850 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (1_200_000, "1.2 ms"),
            (9_996_000, "10 ms"),
            (100_000_000, "100 ms"),
            (250_400_000, "250 ms"),
            (999_600_000, "1 s"),
            (1_250_000_000, "1.25 s"),
            (21_440_000_000, "21.4 s"),
            (59_940_000_000, "59.9 s"),
            (59_960_000_000, "1 m"),
            (125_000_000_000, "2 m 5 s"),
            (3_599_500_000_000, "1 h"),
            (90_061_000_000_000, "25 h 1 m 1 s"),
        ] {
            assert_eq!(super::time(Duration::from_nanos(nanoseconds)), expected, "{nanoseconds} ns");
        }
        assert!(super::time(Duration::MAX).ends_with(" s"));
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567"), (100_000, "100 000")]
        {
            assert_eq!(grouped(number).replace(NARROW, " "), text);
        }
        assert_eq!(counted(1, "call"), "1 call");
        assert_eq!(counted(0, "call"), "0 calls");
    }
}
