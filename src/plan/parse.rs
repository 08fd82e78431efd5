//! The grammar of a mix: `delay`, or `20:delay,5:error`.

use std::sync::Arc;

use super::mix::{Mix, REST, ROUNDING};
use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::handler::{DynHandler, Registry};

/// A mix as it is written, before its handlers have their settings.
#[derive(Debug, Default)]
pub(crate) struct ParsedMix {
    entries: Vec<ParsedEntry>,
}

#[derive(Debug)]
struct ParsedEntry {
    percent: f64,
    name: String,
}

/// What is wrong with a mix; it quotes the entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MixError {
    /// No handler has this name.
    #[error("unknown handler `{name}` {known}")]
    UnknownHandler {
        name: String,
        /// The handlers that there are, and which was probably meant.
        known: String,
    },
    #[error("{0}")]
    Invalid(String),
}

impl MixError {
    pub(crate) fn unknown_handler(name: &str, registry: &Registry) -> Self {
        let known: Vec<_> = registry.names().collect();
        let hint = did_you_mean(name, known.iter().copied());
        Self::UnknownHandler { name: name.to_owned(), known: format!("(known: {}){hint}", known.join(", ")) }
    }
}

impl ParsedMix {
    /// Reads `text`, or answers all that is wrong with it.
    pub(crate) fn parse(text: &str, registry: &Registry) -> Result<Self, Vec<MixError>> {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        let is_alone = !text.contains(',');
        for entry in text.split(',').map(str::trim) {
            if entry.is_empty() {
                let what = format!("`{text}` has an empty entry, write `delay` or `20:delay,5:error`");
                errors.push(MixError::Invalid(what));
            } else {
                entries.extend(ParsedEntry::parse(entry, is_alone, registry, &mut errors));
            }
        }
        for (number, ParsedEntry { name, .. }) in entries.iter().enumerate() {
            let earlier = entries[..number].iter().filter(|other| other.name == *name).count();
            if earlier == 1 && !name.is_empty() {
                errors.push(MixError::Invalid(twice(name)));
            }
        }
        let sum: f64 = entries.iter().map(|entry| entry.percent).sum();
        if sum > 100.0 + ROUNDING {
            errors.push(MixError::Invalid(over(sum)));
        }
        if errors.is_empty() { Ok(Self { entries }) } else { Err(errors) }
    }

    /// The handlers' names, in the order of the text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The mix with the handlers that `handler` makes for their names.
    pub(crate) fn build(
        &self,
        handler: impl Fn(&str) -> Result<Arc<dyn DynHandler>, Diagnostic>,
    ) -> Result<Mix, Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let mut mix = Mix::rest(handler(REST)?);
        for ParsedEntry { percent, name } in self.entries.iter().filter(|entry| entry.name != REST) {
            match handler(name) {
                Ok(handler) => mix = mix.add(*percent, name, handler),
                Err(refused) => diagnostics.push(refused),
            }
        }
        diagnostics.none_or(mix)
    }
}

impl ParsedEntry {
    /// Reads `20:delay`; `delay` where it `is_alone`.
    fn parse(entry: &str, is_alone: bool, registry: &Registry, errors: &mut Vec<MixError>) -> Option<Self> {
        let mut invalid = |what: String| errors.push(MixError::Invalid(what));
        let (percent, name) = match entry.split_once(':') {
            Some((name, percent)) if registry.get(name).is_some() && percent.parse::<f64>().is_ok() => {
                invalid(format!("`{entry}` is the wrong way round, write `{percent}:{name}`"));
                return None;
            }
            Some((percent, name)) => (percent.trim(), name.trim()),
            None if entry.parse::<f64>().is_ok() => (entry, ""),
            None if is_alone => ("100", entry),
            None => ("", entry),
        };
        let is_unknown = !name.is_empty() && registry.get(name).is_none();
        let number = percent.parse::<f64>().ok().filter(|number| number.is_finite());
        match number {
            // There is no such handler, so there is nothing to write before it.
            _ if percent.is_empty() && is_unknown => {}
            _ if percent.is_empty() => invalid(format!("`{entry}` has no percentage, write `20:{name}`")),
            None => invalid(format!("`{percent}` is not a percentage, write `20:delay`")),
            Some(..0.0) => invalid(negative(percent)),
            Some(_) => {}
        }
        if name.is_empty() {
            invalid(format!("`{entry}` names no handler, write `20:delay`"));
        } else if is_unknown {
            errors.push(MixError::unknown_handler(name, registry));
        }
        Some(Self { percent: number.filter(|number| *number >= 0.0)?, name: name.to_owned() })
    }
}

pub(super) fn negative(percent: impl std::fmt::Display) -> String {
    format!("`{percent}` is negative, a percentage is 0 to 100")
}

/// What is wrong with a name that is repeated.
pub(super) fn twice(name: &str) -> String {
    format!("`{name}` is given twice, give each handler one percentage")
}

/// What is wrong with percentages of more than 100.
pub(super) fn over(sum: f64) -> String {
    // Without what decimals add up to beyond the ninth digit.
    let sum = (sum / ROUNDING).round() * ROUNDING;
    let sum = format!("{sum:.9}");
    let sum = sum.trim_end_matches('0').trim_end_matches('.');
    format!("the percentages add up to {sum}, at most 100 is possible")
}
