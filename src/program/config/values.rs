//! What was asked for, by flag, variable or file: checked in one way, and the stronger source kept.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::options::{Options, Scope, Setting};
use super::spec::Spec;
use super::walk::HANDLERS;
use crate::diagnostic::{Diagnostic, Diagnostics, shown};
use crate::handler::Registry;
use crate::plan::mix;
use crate::plan::mix::Mix;
use crate::settings;
use crate::settings::{Given, Settings};

/// Where a value was given: `--backend`, `VAURIEN_BACKEND`, or `vaurien.toml:4` and the key; of JSON the key alone.
#[derive(Debug, Default, Clone)]
pub(crate) struct Place {
    at: String,
    key: String,
    /// Whether nobody gave it.
    is_default: bool,
}

impl Place {
    pub(crate) fn new(at: impl Into<String>, key: impl Into<String>) -> Self {
        Self { at: at.into(), key: key.into(), is_default: false }
    }

    /// That of a value which nobody gave, and which is not what it usually is; `why` says so.
    pub(super) fn by_default(why: impl Into<String>) -> Self {
        Self { at: why.into(), key: String::new(), is_default: true }
    }

    /// Whether nobody gave it.
    pub(super) fn is_default(&self) -> bool {
        self.is_default
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Without the key where there is a line, for what names the key itself.
    pub(crate) fn line(&self) -> &str {
        if self.at.is_empty() { &self.key } else { &self.at }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.key.is_empty() || self.at.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.at, self.key)
    }
}

/// One value that was given for one option.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) setting: Setting<'a>,
    pub(crate) given: Given,
    pub(crate) place: Place,
    /// The proxy that it is for; of the program's options, nothing.
    pub(crate) of: String,
}

/// The checked values of the program or of one proxy, each with its place.
pub(crate) struct Values<'a> {
    options: &'a Options<'a>,
    scopes: BTreeMap<Scope, BTreeMap<String, (Value, Place)>>,
    /// The percentages and names of the mix.
    shares: Vec<(f64, String)>,
    /// The proxy's own options that were given and cannot be used.
    wrong: Vec<String>,
}

/// What was asked for of the program, under the empty name, and of each proxy.
pub(crate) struct All<'a> {
    options: &'a Options<'a>,
    by_name: BTreeMap<String, Values<'a>>,
}

impl<'a> All<'a> {
    /// Checks all that was asked for, also what a later one overrides: who asks later is stronger. What could not even be
    /// asked for keeps its place among the mistakes.
    pub(crate) fn check(
        options: &'a Options<'a>,
        asked: impl IntoIterator<Item = Result<Asked<'a>, Diagnostic>>,
        mistakes: &mut Diagnostics,
    ) -> Self {
        let mut all = Self { options, by_name: BTreeMap::new() };
        for asked in asked {
            match asked {
                Ok(asked) => {
                    let name = if asked.setting.scope.is_programs() { "" } else { &asked.of };
                    let values = all.by_name.entry(name.to_owned()).or_insert_with(|| Values::new(options));
                    values.take(asked, mistakes);
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        all
    }

    /// As [`Self::of`], if there are any.
    pub(super) fn get(&self, name: &str) -> Option<&Values<'a>> {
        self.by_name.get(name)
    }

    /// The program's values for the empty name, or a proxy's.
    pub(crate) fn of(&mut self, name: &str) -> Values<'a> {
        self.by_name.remove(name).unwrap_or_else(|| Values::new(self.options))
    }
}

impl<'a> Values<'a> {
    fn new(options: &'a Options<'a>) -> Self {
        Self { options, scopes: BTreeMap::new(), shares: Vec::new(), wrong: Vec::new() }
    }

    fn take(&mut self, Asked { setting, given, place, .. }: Asked<'_>, mistakes: &mut Diagnostics) {
        let Setting { scope, field, .. } = setting;
        let value = match field.check(&given) {
            Ok(value) => value,
            Err(what) => {
                mistakes.push(Diagnostic::new(place, what));
                if scope == Scope::Proxy {
                    self.wrong.push(field.name.clone());
                }
                return;
            }
        };
        if let (Scope::Proxy, "handler", Some(text)) = (&scope, field.name.as_str(), value.as_str()) {
            match mix::read(text, self.options.registry) {
                Ok(shares) => self.shares = shares,
                // What is wrong with a mix names its entries, so that its line is enough of a place.
                Err(wrong) => wrong.into_iter().for_each(|what| mistakes.push(Diagnostic::new(place.line(), what))),
            }
        }
        self.scopes.entry(scope).or_default().insert(field.name.clone(), (value, place));
    }

    pub(crate) fn registry(&self) -> &'a Registry {
        self.options.registry
    }

    /// Whether the proxy's own option was given, but not so that it could be used.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.iter().any(|wrong| wrong == name)
    }

    /// What was given for an option, and where.
    pub(super) fn get(&self, scope: &Scope, name: &str) -> Option<(&Value, &Place)> {
        self.scopes.get(scope)?.get(name).map(|(value, place)| (value, place))
    }

    /// Where an option was given.
    pub(crate) fn place(&self, scope: &Scope, name: &str) -> Option<&Place> {
        self.get(scope, name).map(|(_, place)| place)
    }

    /// The keys of the proxy as they were given.
    pub(crate) fn spec(&self) -> Spec {
        let mut keys = self.map(&Scope::Proxy);
        let handlers = self.scopes.keys().filter_map(|scope| match scope {
            Scope::Handler(name) => Some((name.clone(), Value::Object(self.map(scope)))),
            _ => None,
        });
        let handlers: Map<_, _> = handlers.collect();
        if !handlers.is_empty() {
            keys.insert(HANDLERS.to_owned(), Value::Object(handlers));
        }
        Spec::new(keys)
    }

    /// A scope's struct with the given values in place of defaults.
    pub(crate) fn build<T: Settings>(&self, scope: &Scope) -> Result<T, Diagnostics> {
        settings::build(self.map(scope)).map_err(|why| Diagnostic::new("", why).into())
    }

    /// The mix, each of its handlers with its settings. `within` is what stands before a key when its whole path is written.
    pub(crate) fn mix(&self, within: &str) -> Result<Mix, Diagnostics> {
        let registry = self.options.registry;
        Mix::build(&self.shares, |name| {
            let entry = registry.get(name).ok_or_else(|| Diagnostic::new("", mix::unknown_handler(name, registry)))?;
            // One by one the values were right, so what is wrong is how they go together.
            let refused = |why| Diagnostic::new(format_args!("{within}{HANDLERS}.{name}"), why);
            entry.build(self.map(&Scope::Handler(name.to_owned()))).map_err(refused)
        })
    }

    /// Lets options of the connection that are set for handlers of the mix override the proxy's.
    pub(crate) fn settle(&mut self, mix: &Mix, mistakes: &mut Diagnostics) {
        for field in self.options.connection {
            let mut wishes = mix.shares().iter().filter_map(|share| self.wish(share.name(), &field.name));
            let Some((first, value, place)) = wishes.next() else { continue };
            for (other, differs, there) in wishes {
                if field.canonical(differs) != field.canonical(value) {
                    let (name, differs, value) = (&field.name, shown(differs), shown(value));
                    mistakes.push(Diagnostic::new(
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
    pub(super) fn wish<'h>(&self, handler: &'h str, name: &str) -> Option<(&'h str, &Value, &Place)> {
        // A setting of the handler's own that happens to have this name is something else.
        let own = self.options.registry.get(handler)?.fields().iter().any(|field| field.name == name);
        let (value, place) = self.scopes.get(&Scope::Handler(handler.to_owned()))?.get(name)?;
        (!own).then_some((handler, value, place))
    }

    /// The places of what was given for a part of the program that nothing turned on or off, and does nothing therefore.
    /// They are flags and variables: in the file the table itself turns it on.
    pub(crate) fn idle(&self, scope: &Scope) -> impl Iterator<Item = &Place> {
        let given = self.scopes.get(scope).filter(|given| !given.contains_key("enabled"));
        given.into_iter().flatten().map(|(_, (_, place))| place).filter(|place| !place.is_default)
    }

    fn map(&self, scope: &Scope) -> Map<String, Value> {
        let values = self.scopes.get(scope).into_iter().flatten();
        values.map(|(name, (value, _))| (name.clone(), value.clone())).collect()
    }
}
