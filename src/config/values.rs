//! What was asked for, by flag, variable or file: checked in one way, and the stronger source kept.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::mistake::{Mistake, Mistakes, shown};
use super::options::{ConnectionOptions, Options, Scope, Setting};
use crate::mix::{self, Mix};
use crate::settings::{self, Given, Settings};

/// Where a value was given: `--backend`, `VAURIEN_BACKEND`, or `vaurien.toml:4` and the key.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    at: String,
    key: String,
}

impl Place {
    pub(crate) fn new(at: impl Into<String>, key: impl Into<String>) -> Self {
        Self { at: at.into(), key: key.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.at, self.key)
    }
}

/// One value that was given for one option.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) setting: Setting<'a>,
    pub(crate) given: Given,
    pub(crate) place: Place,
}

/// The checked values, each with its place.
pub(crate) struct Values<'a> {
    options: &'a Options<'a>,
    scopes: BTreeMap<Scope, BTreeMap<String, (Value, Place)>>,
    /// The percentages and names of the mix.
    shares: Vec<(f64, String)>,
}

impl<'a> Values<'a> {
    /// Checks all that was asked for, also what a later one overrides: who asks later is stronger. What could not even be
    /// asked for keeps its place among the mistakes.
    pub(crate) fn check(
        options: &'a Options<'a>,
        asked: impl IntoIterator<Item = Result<Asked<'a>, Mistake>>,
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut values = Self { options, scopes: BTreeMap::new(), shares: Vec::new() };
        for asked in asked {
            let checked = asked.and_then(|Asked { setting, given, place }| match setting.field.check(&given) {
                Ok(value) => Ok((setting, value, place)),
                Err(what) => Err(Mistake::new(place, what)),
            });
            match checked {
                Ok((setting, value, place)) => values.take(setting, value, place, mistakes),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        values
    }

    fn take(&mut self, Setting { scope, field, .. }: Setting<'_>, value: Value, place: Place, mistakes: &mut Mistakes) {
        if let (Scope::Proxy, "handler", Some(text)) = (&scope, field.name.as_str(), value.as_str()) {
            match mix::read(text, self.options.registry) {
                Ok(shares) => self.shares = shares,
                // What is wrong with a mix names its entries, so that its line is enough of a place.
                Err(wrong) => wrong.into_iter().for_each(|what| mistakes.push(Mistake::new(&place.at, what))),
            }
        }
        self.scopes.entry(scope).or_default().insert(field.name.clone(), (value, place));
    }

    /// A scope's struct with the given values in place of defaults.
    pub(crate) fn build<T: Settings>(&self, scope: &Scope) -> Result<T, Mistakes> {
        settings::build(self.map(scope)).map_err(|why| Mistake::new("", why).into())
    }

    /// The mix, each of its handlers with its settings.
    pub(crate) fn mix(&self) -> Result<Mix, Mistakes> {
        let registry = self.options.registry;
        Mix::build(&self.shares, |name| {
            let entry = registry.get(name).ok_or_else(|| Mistake::new("", mix::unknown_handler(name, registry)))?;
            // One by one the values were right, so what is wrong is how they go together.
            let refused = |why| Mistake::new(format_args!("handlers.{name}"), why);
            entry.build(self.map(&Scope::Handler(name.to_owned()))).map_err(refused)
        })
    }

    /// Lets options of the connection that are set for handlers of the mix override the proxy's.
    pub(crate) fn settle(&mut self, mix: &Mix, mistakes: &mut Mistakes) {
        for field in &self.options.connection {
            let mut wishes = mix.shares().iter().filter_map(|share| self.wish(share.name(), &field.name));
            let Some((first, value, place)) = wishes.next() else { continue };
            for (other, differs, there) in wishes {
                if canonical(&field.name, differs) != canonical(&field.name, value) {
                    let (name, differs, value) = (&field.name, shown(differs), shown(value));
                    mistakes.push(Mistake::new(
                        there,
                        format_args!(
                            "`{other}` has {name} {differs}, `{first}` has {value} ({place}); handlers of one mix share it"
                        ),
                    ));
                }
            }
            let stronger = (value.clone(), place.clone());
            self.scopes.entry(Scope::Proxy).or_default().insert(field.name.clone(), stronger);
        }
    }

    /// What is set for `handler` as the connection's option `name`.
    fn wish<'h>(&self, handler: &'h str, name: &str) -> Option<(&'h str, &Value, &Place)> {
        // A setting of the handler's own that happens to have this name is something else.
        let own = self.options.registry.get(handler)?.fields().iter().any(|field| field.name == name);
        let (value, place) = self.scopes.get(&Scope::Handler(handler.to_owned()))?.get(name)?;
        (!own).then_some((handler, value, place))
    }

    fn map(&self, scope: &Scope) -> Map<String, Value> {
        let values = self.scopes.get(scope).into_iter().flatten();
        values.map(|(name, (value, _))| (name.clone(), value.clone())).collect()
    }
}

/// The value in the spelling of the struct that it is read into, so that two spellings are no disagreement.
fn canonical(name: &str, value: &Value) -> Option<Value> {
    let options: ConnectionOptions = settings::build(Map::from_iter([(name.to_owned(), value.clone())])).ok()?;
    serde_json::to_value(options).ok()?.get(name).cloned()
}
