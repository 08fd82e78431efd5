//! A mix as it is written: `delay`, or `20:delay,5:error`.

use super::mix::ROUNDING;
use crate::diagnostic::did_you_mean;
use crate::handler::Registry;

/// The percentages and names of `delay` or `20:delay,5:error`, or all that is wrong with it.
pub(crate) fn read(text: &str, registry: &Registry) -> Result<Vec<(f64, String)>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut shares: Vec<(f64, String)> = Vec::new();
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    for entry in &entries {
        let (percent, name) = match entry.split_once(':') {
            _ if entry.is_empty() => {
                wrong.push(format!("`{text}` has an empty entry, write `delay` or `20:delay,5:error`"));
                continue;
            }
            Some((name, percent)) if registry.get(name).is_some() && percent.parse::<f64>().is_ok() => {
                wrong.push(format!("`{entry}` is the wrong way round, write `{percent}:{name}`"));
                continue;
            }
            Some((percent, name)) => (percent.trim(), name.trim()),
            None if entry.parse::<f64>().is_ok() => (*entry, ""),
            None if entries.len() == 1 => ("100", *entry),
            None => ("", *entry),
        };
        match percent.parse::<f64>() {
            // What to write would name it, and there is no such handler.
            _ if percent.is_empty() && !name.is_empty() && registry.get(name).is_none() => {}
            _ if percent.is_empty() => wrong.push(format!("`{entry}` has no percentage, write `20:{name}`")),
            Ok(number) if number.is_finite() && number < 0.0 => {
                wrong.push(format!("`{percent}` is negative, a percentage is 0 to 100"));
            }
            Ok(number) if number.is_finite() => shares.push((number, name.to_owned())),
            _ => wrong.push(format!("`{percent}` is no percentage, write `20:delay`")),
        }
        if name.is_empty() {
            wrong.push(format!("`{entry}` names no handler, write `20:delay`"));
        } else if registry.get(name).is_none() {
            wrong.push(unknown_handler(name, registry));
        }
    }
    for (number, (_, name)) in shares.iter().enumerate() {
        let earlier = shares[..number].iter().filter(|(_, other)| other == name).count();
        if earlier == 1 && !name.is_empty() {
            wrong.push(twice(name));
        }
    }
    let sum: f64 = shares.iter().map(|(percent, _)| percent).sum();
    if sum > 100.0 + ROUNDING {
        wrong.push(over(sum));
    }
    if wrong.is_empty() { Ok(shares) } else { Err(wrong) }
}

/// What is wrong with a name that no handler has.
pub(crate) fn unknown_handler(name: &str, registry: &Registry) -> String {
    let known: Vec<_> = registry.names().collect();
    let hint = did_you_mean(name, known.iter().copied());
    format!("unknown handler `{name}` (known: {}){hint}", known.join(", "))
}

/// What is wrong with a name that is repeated.
pub(super) fn twice(name: &str) -> String {
    format!("`{name}` is there twice, give each handler one percentage")
}

/// What is wrong with percentages of more than 100.
pub(super) fn over(sum: f64) -> String {
    // Without what decimals add up to beyond the ninth digit.
    let sum = (sum / ROUNDING).round() * ROUNDING;
    let sum = format!("{sum:.9}");
    let sum = sum.trim_end_matches('0').trim_end_matches('.');
    format!("the percentages add up to {sum}, at most 100 is possible")
}
