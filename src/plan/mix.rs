//! A mix: handlers with percentages, one of which is drawn for each call.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::parse::{MixError, ParsedHandler, ParsedMix, negative, over, twice};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::{Dummy, DynHandler, Handler, Registry, Scope, Sequence};
use crate::net::tls::ClientTls;
use crate::protocol::Protocol;

/// The handler of the calls that the other percentages leave over.
pub(super) const REST: &str = "dummy";

/// Sums of decimals such as 33.3 are off by this much at most, in percent.
pub(super) const ROUNDING: f64 = 1e-9;

/// Handlers with percentages. What they leave over up to 100 is `dummy`'s.
///
/// ```
/// use vaurien::handler::Delay;
/// use vaurien::{Mix, Seconds};
///
/// let mix: Mix = "20:delay,0.5:error".parse()?;
/// assert_eq!(mix.shares().len(), 3);
/// assert_eq!(mix.shares()[2].name(), "dummy");
/// assert_eq!(mix.to_string(), "20:delay,0.5:error");
///
/// let slow = Mix::of("delay", Delay { sleep: Seconds::from_millis(250).into(), before: true });
/// assert_eq!(slow.to_string(), "delay");
/// # Ok::<(), vaurien::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mix {
    /// The last one is [`REST`], perhaps with 0 percent.
    shares: Vec<Share>,
}

/// One handler of a mix, with its percentage.
#[derive(Clone)]
pub struct Share {
    percent: f64,
    name: String,
    /// The handlers with their settings as they were written.
    written: String,
    handler: Sequence,
}

impl Share {
    /// Its percentage of the calls: 0 to 100, with decimals.
    #[must_use]
    pub fn percent(&self) -> f64 {
        self.percent
    }

    /// What counters and events call it: the name that the mix gives it, or that of its handler.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names that its handlers are registered under: one, or those of a sequence in order.
    pub fn handlers(&self) -> impl Iterator<Item = &str> {
        self.handler.steps().iter().map(|step| &*step.name)
    }

    /// As on the command line, without the percentage.
    fn written(&self) -> String {
        let kind = self.handlers().collect::<Vec<_>>().join("+");
        let Self { name, written, .. } = self;
        if *name == kind { written.clone() } else { format!("{name}={written}") }
    }

    /// The handler, or the sequence of handlers.
    pub(crate) fn handler(&self) -> &Sequence {
        &self.handler
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.percent, self.name)
    }
}

impl Default for Mix {
    /// All `dummy`.
    fn default() -> Self {
        Self::rest(Arc::new(Dummy::default()))
    }
}

impl Mix {
    /// A mix of one handler, for all calls.
    #[must_use]
    pub fn of(name: &str, handler: impl Handler) -> Self {
        Self::default().add(100.0, name, name, Sequence::one(name, Arc::new(handler)))
    }

    /// Adds a handler, which takes `percent` of the calls from `dummy`.
    ///
    /// # Errors
    ///
    /// `dummy` has less than `percent` left, `percent` is negative or not a number, or the mix has a handler of this name.
    pub fn with(self, percent: f64, name: &str, handler: impl Handler) -> Result<Self, Diagnostics> {
        let wrong = |what: String| Err(Diagnostic::new(name, what).into());
        let left = self.shares.last().map_or(0.0, Share::percent);
        if self.shares.iter().any(|share| share.name == name) && name != REST {
            return wrong(twice(name, name));
        }
        if !percent.is_finite() {
            return wrong(format!("`{percent}` is not a percentage"));
        }
        if percent < 0.0 {
            return wrong(negative(percent));
        }
        if percent > left + ROUNDING {
            return wrong(over(100.0 - left + percent));
        }
        Ok(self.add(percent, name, name, Sequence::one(name, Arc::new(handler))))
    }

    /// Reads `delay`, `20:delay,5:error` or `20:delay(sleep=250ms),1:late=delay(sleep=5s)`. Settings that are not in the text have
    /// their defaults.
    ///
    /// # Errors
    ///
    /// A diagnostic for each mistake in the text.
    pub fn parse(text: &str, registry: &Registry) -> Result<Self, Diagnostics> {
        let parsed = ParsedMix::parse(text, registry)
            .map_err(|errors| errors.into_iter().map(|error| Diagnostic::new("", error)).collect::<Diagnostics>())?;
        parsed.build("", |ParsedHandler { name, settings, .. }| {
            let entry =
                registry.get(name).ok_or_else(|| Diagnostic::new("", MixError::unknown_handler(name, registry)))?;
            entry.build(settings.clone()).map_err(|why| Diagnostic::new(name, why))
        })
    }

    /// The handlers in the order of the mix, `dummy` last. Their percentages add up to 100, but for rounding.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        match self.shares.split_last() {
            Some((rest, others)) if rest.percent < ROUNDING && !others.is_empty() => others,
            _ => &self.shares,
        }
    }

    /// Replaces each handler with what `other` makes of it.
    pub(crate) fn map(mut self, other: impl Fn(&str, Arc<dyn DynHandler>) -> Arc<dyn DynHandler>) -> Self {
        for share in &mut self.shares {
            share.handler = share.handler.map(|step| other(&share.name, step.handler.clone()));
        }
        self
    }

    /// What is wrong with its handlers under this protocol: each handler, and why.
    pub(crate) fn check(&self, protocol: Protocol) -> impl Iterator<Item = String> {
        let wrong = self.shares().iter().flat_map(move |share| share.handler.check(protocol));
        wrong.map(|(handler, why)| format!("`{handler}`: {why}"))
    }

    /// What is wrong with its handlers where clients speak TLS like this, or do not: each handler, and why.
    pub(crate) fn check_tls(&self, tls: Option<&ClientTls>) -> impl Iterator<Item = String> {
        let wrong = self.shares().iter().flat_map(move |share| share.handler.check_tls(tls));
        wrong.map(|(handler, why)| format!("`{handler}`: {why}"))
    }

    /// The first of its handlers that acts in the TLS handshake.
    pub(crate) fn of_handshake(&self) -> Option<&str> {
        let share = self.shares().iter().find(|share| share.handler.scope() == Scope::Handshake);
        share.map(|share| share.name.as_str())
    }

    pub(super) fn rest(handler: Arc<dyn DynHandler>) -> Self {
        let handler = Sequence::one(REST, handler);
        Self { shares: vec![Share { percent: 100.0, name: REST.to_owned(), written: REST.to_owned(), handler }] }
    }

    /// `written` are the handlers with their settings that are part of the mix.
    pub(super) fn add(mut self, percent: f64, name: &str, written: &str, handler: Sequence) -> Self {
        let last = self.shares.len() - 1;
        let rest = &mut self.shares[last];
        if name == REST {
            rest.handler = handler;
        } else {
            rest.percent = (rest.percent - percent).max(0.0);
            let (name, written) = (name.to_owned(), written.to_owned());
            self.shares.insert(last, Share { percent, name, written, handler });
        }
        self
    }
}

impl fmt::Display for Mix {
    /// As on the command line. `dummy` is left out unless it is alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shares() {
            [one] => f.write_str(&one.written()),
            shares => {
                let others = shares.iter().filter(|share| share.name != REST);
                let written: Vec<_> = others.map(|share| format!("{}:{}", share.percent, share.written())).collect();
                f.write_str(&written.join(","))
            }
        }
    }
}

impl FromStr for Mix {
    type Err = Diagnostics;

    /// With the handlers that come with the program.
    fn from_str(text: &str) -> Result<Self, Diagnostics> {
        Self::parse(text, &Registry::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percents(mix: &str) -> Vec<(f64, String)> {
        let mix: Mix = mix.parse().unwrap();
        mix.shares().iter().map(|share| ((share.percent() * 1e6).round() / 1e6, share.name().to_owned())).collect()
    }

    fn shares<const N: usize>(shares: [(f64, &str); N]) -> Vec<(f64, String)> {
        shares.map(|(percent, name)| (percent, name.to_owned())).to_vec()
    }

    #[test]
    fn what_others_leave_is_dummys() {
        assert_eq!(percents("delay"), shares([(100.0, "delay")]));
        assert_eq!(percents("20:delay, 0.5:error"), shares([(20.0, "delay"), (0.5, "error"), (79.5, "dummy")]));
        assert_eq!(percents("20:dummy,30:delay"), shares([(30.0, "delay"), (70.0, "dummy")]));
        assert_eq!(percents("33.3:delay,33.3:error,33.4:hang").len(), 3);
        assert_eq!(percents("0:error"), shares([(0.0, "error"), (100.0, "dummy")]));
        assert_eq!(percents("5:dummy"), shares([(100.0, "dummy")]));
    }

    #[test]
    fn a_mix_is_written_as_it_is_read() {
        for (text, written) in [
            ("delay", "delay"),
            ("100:delay", "delay"),
            ("50:delay,50:error", "50:delay,50:error"),
            ("20:delay,0.5:error", "20:delay,0.5:error"),
            ("20:delay,80:dummy", "20:delay"),
            ("100:dummy", "dummy"),
        ] {
            let mix: Mix = text.parse().unwrap();
            assert_eq!(mix.to_string(), written);
            assert_eq!(percents(written), percents(text));
        }
    }

    #[test]
    fn handlers_given_as_values_take_from_dummy() {
        let mix = Mix::default().with(20.0, "slow", Dummy::default()).unwrap();
        assert_eq!(mix.to_string(), "20:slow");
        for (percent, name, message) in [
            (80.5, "more", "more: the percentages add up to 100.5, at most 100 is possible"),
            (1.0, "slow", "slow: `slow` is given twice, give one of them a name of its own: `NAME=slow`"),
            (-1.0, "less", "less: `-1` is negative, a percentage is 0 to 100"),
            (f64::NAN, "none", "none: `NaN` is not a percentage"),
        ] {
            assert_eq!(mix.clone().with(percent, name, Dummy::default()).unwrap_err().to_string(), message);
        }
        assert_eq!(mix.with(80.0, "more", Dummy::default()).unwrap().to_string(), "20:slow,80:more");
    }
}
