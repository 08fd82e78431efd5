//! How likely it is that no call draws a handler.

/// The part of all runs in which none of `calls` draws a handler of `percent`, for people; `None` if each call draws it.
pub(super) fn of_none(percent: f64, calls: u64) -> Option<String> {
    let each = 1.0 - percent / 100.0;
    if each <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rounded percentage is shown")]
    let none = 100.0 * each.powf(calls as f64);
    Some(match none {
        99.9.. => "more than 99.9%".to_owned(),
        10.0.. => format!("{none:.0}%"),
        0.1.. => format!("{none:.1}%"),
        _ => "less than 0.1%".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_independent_draws() {
        for (percent, calls, none) in [
            (0.2, 40, Some("92%")),
            (50.0, 1, Some("50%")),
            (50.0, 5, Some("3.1%")),
            (10.0, 1_000_000_000_000, Some("less than 0.1%")),
            (0.001, 2, Some("more than 99.9%")),
            (100.0, 1, None),
        ] {
            assert_eq!(of_none(percent, calls).as_deref(), none, "{percent}% of {calls}");
        }
    }
}
