//! A rule: which calls, how many of them, and the mix they get.

pub(crate) mod counts; // how many
pub(crate) mod list; // several rules, checked together
pub(crate) mod matcher; // which calls
mod network; // networks of clients
pub(crate) mod parse; // a rule as text
pub(crate) mod patch; // changing the text of a rule
pub(super) mod pattern; // what a word has to be
pub(crate) mod suspect; // what a rule says and can hardly mean
pub(crate) mod table; // a rule as a table
mod words; // the words of a text

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::{DynHandler, Registry};
use crate::plan::mix::Mix;
use crate::plan::parse::MixError;
use counts::Counts;
use matcher::Matcher;
use parse::{Conditions, ParsedRule};

/// Which calls, how many of them, and the handlers they get. The first rule of a proxy that matches a call decides.
///
/// ```
/// use vaurien::handler::Reset;
/// use vaurien::{Mix, Rule};
///
/// let rule: Rule = "GET /api/pay* times=3 name=pay => 20:error,5:reset".parse()?;
/// assert_eq!((rule.name(), rule.mix().to_string().as_str()), ("pay", "20:error,5:reset"));
///
/// let rule = Rule::of("SET user:* every=10", Mix::of("reset", Reset::default()))?;
/// assert_eq!(rule.to_string(), "SET user:* every=10 => reset");
/// # Ok::<(), vaurien::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
pub struct Rule {
    name: Arc<str>,
    /// The name was given, and not its place in the list.
    is_named: bool,
    /// The name stays as it is, wherever the rule stands.
    is_fixed: bool,
    content: Arc<Content>,
}

/// What a rule says, whatever its name is.
#[derive(Debug)]
struct Content {
    /// The conditions as they were written, without the name.
    conditions: String,
    matcher: Matcher,
    counts: Counts,
    mix: Mix,
    /// The mix as it was written.
    written: String,
    /// The settings that its handlers were built with; none if they were given as values.
    settings: Option<Vec<(String, Map<String, Value>)>>,
}

impl Rule {
    /// Reads `GET /api/pay* times=3 => error`. Settings of handlers that are not in the text have their defaults.
    ///
    /// # Errors
    ///
    /// A diagnostic for each mistake in the text.
    pub fn parse(text: &str, registry: &Registry) -> Result<Self, Diagnostics> {
        ParsedRule::parse(text, registry).map_err(diagnostics)?.build("", |handler| {
            let unknown = || Diagnostic::new("", MixError::unknown_handler(&handler.name, registry));
            let settings = handler.settings.clone();
            let built = registry.get(&handler.name).ok_or_else(unknown)?.build(settings.clone());
            Ok((built.map_err(|why| Diagnostic::new(&handler.name, why))?, settings))
        })
    }

    /// A rule whose handlers are values: `conditions` is what stands before `=>`.
    ///
    /// # Errors
    ///
    /// A diagnostic for each mistake in the conditions.
    pub fn of(conditions: &str, mix: Mix) -> Result<Self, Diagnostics> {
        let written = mix.to_string();
        Ok(Self::new(Conditions::parse(conditions).map_err(diagnostics)?, mix, written, None))
    }

    fn new(
        Conditions { name, written: conditions, matcher, counts }: Conditions,
        mix: Mix,
        written: String,
        settings: Option<Vec<(String, Map<String, Value>)>>,
    ) -> Self {
        let content = Content { conditions, matcher, counts, mix, written, settings };
        let is_named = name.is_some();
        Self {
            name: name.unwrap_or_else(|| list::name(1)).into(),
            is_named,
            is_fixed: false,
            content: Arc::new(content),
        }
    }

    /// Its name: the one that it was given, or `rule-N` for the Nth of a proxy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its calls get.
    #[must_use]
    pub fn mix(&self) -> &Mix {
        &self.content.mix
    }

    /// Replaces each handler with what `other` makes of it.
    #[cfg(feature = "program")]
    pub(crate) fn map(self, other: impl Fn(&str, Arc<dyn DynHandler>) -> Arc<dyn DynHandler>) -> Self {
        let Content { conditions, matcher, counts, mix, written, settings } = &*self.content;
        let content = Content {
            conditions: conditions.clone(),
            matcher: matcher.clone(),
            counts: *counts,
            mix: mix.clone().map(other),
            written: written.clone(),
            settings: settings.clone(),
        };
        Self { content: Arc::new(content), ..self }
    }

    /// Whether its text has its name.
    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    /// Gives it this name for good. Its text does not change.
    pub(crate) fn keep_name(&mut self, name: &str) {
        self.name = name.into();
        self.is_fixed = true;
    }

    pub(crate) fn matcher(&self) -> &Matcher {
        &self.content.matcher
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.content.counts
    }

    /// The settings that the handlers of its mix were built with, `dummy` first; none if they were given as values.
    #[cfg(feature = "program")]
    pub(crate) fn settings(&self) -> Option<&[(String, Map<String, Value>)]> {
        self.content.settings.as_deref()
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The text without the name.
    fn text(&self) -> String {
        let Content { conditions, written, .. } = &*self.content;
        let blank = if conditions.is_empty() { "" } else { " " };
        format!("{conditions}{blank}=> {written}")
    }

    /// Whether both say the same, whatever their names are.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
            || (self.content.conditions == other.content.conditions && self.content.written == other.content.written)
    }

    /// Whether the handlers of both are interchangeable.
    pub(super) fn has_the_same_handlers(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.content.settings, &other.content.settings);
        Arc::ptr_eq(&self.content, &other.content) || (ours.is_some() && ours == theirs)
    }
}

impl fmt::Display for Rule {
    /// As on the command line. The name is left out unless it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_named {
            return f.write_str(&self.text());
        }
        let Content { conditions, written, .. } = &*self.content;
        let blank = if conditions.is_empty() { "" } else { " " };
        write!(f, "{conditions}{blank}name={} => {written}", self.name)
    }
}

impl FromStr for Rule {
    type Err = Diagnostics;

    /// With the handlers that come with the program.
    fn from_str(text: &str) -> Result<Self, Diagnostics> {
        Self::parse(text, &Registry::default())
    }
}

impl TryFrom<&str> for Rule {
    type Error = Diagnostics;

    fn try_from(text: &str) -> Result<Self, Diagnostics> {
        text.parse()
    }
}

/// The counts in the text of a rule that may exclude all calls, as they are written: `after=100 every=10`.
#[cfg(feature = "program")]
pub(crate) fn excluding_counts(text: &str) -> String {
    let is_one = |word: &&str| ["after=", "every=", "during="].iter().any(|count| word.starts_with(count));
    let words = words::Words::split(text).map(|split| split.words).unwrap_or_default();
    words.into_iter().filter(is_one).collect::<Vec<_>>().join(" ")
}

fn diagnostics(wrong: Vec<String>) -> Diagnostics {
    wrong.into_iter().map(|what| Diagnostic::new("", what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, written) in [
            ("GET  /api/pay*  times=3=>error", "GET /api/pay* times=3 => error"),
            ("GET name=a => 20:delay( sleep=1s )", "GET name=a => 20:delay( sleep=1s )"),
            ("=>reset", "=> reset"),
            (r#"GET "a b" header.x="=>" => error"#, r#"GET "a b" header.x="=>" => error"#),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), written);
            assert_eq!(rule.to_string().parse::<Rule>().unwrap().to_string(), written);
        }
        assert!(Rule::of("GET => error", Mix::default()).is_err());
    }
}
