//! Entries checked and merged: the value of each path, and where it was given.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::entry::{Entry, Origin};
use super::layout::{Found, Layout};
use super::schema::{BACKEND_TLS, HANDLERS, Schema, Setting};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::handler::DynHandler;
use crate::plan::mix::{Mix, Share};
use crate::plan::parse::{MixError, ParsedHandler, ParsedMix};
use crate::plan::rule::parse::ParsedRule;
use crate::plan::rule::table::mistakes;
use crate::plan::rule::{Rule, list};
use crate::protocol::FailureKind;
use crate::settings::{self, Field, Settings};
use crate::toxic;

/// A handler, with the settings that it was built with.
type Built = (Arc<dyn DynHandler>, Map<String, Value>);

/// The settings of handlers, by their names.
type HandlerSettings = Vec<(String, Map<String, Value>)>;

/// The rules in `value`, each as its text.
fn texts(field: &Field, value: &Value) -> Vec<String> {
    let canonical = field.canonical(value);
    let texts = canonical.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The checked values of all options that were given, by path: `http.port`.
pub(crate) struct Values<'a> {
    pub(super) schema: &'a Schema<'a>,
    pub(crate) layout: &'a Layout,
    given: BTreeMap<String, (Value, Origin)>,
    /// The paths whose value is invalid.
    wrong: BTreeSet<String>,
    /// What was given as protocol, by the path before the key.
    protocols: BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    /// Checks all entries, also those that a later, stronger one overrides.
    pub(crate) fn check(
        schema: &'a Schema<'a>,
        layout: &'a Layout,
        entries: &[Entry],
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let protocol = |entry: &Entry| {
            let path = entry.path.join(".");
            Some((path.strip_suffix("protocol")?.to_owned(), entry.value.as_str()?.to_owned()))
        };
        let protocols = entries.iter().filter_map(protocol).collect();
        let mut values = Self { schema, layout, given: BTreeMap::new(), wrong: BTreeSet::new(), protocols };
        // A key that should not be a table is reported once: the keys within it are skipped.
        let mut whole: &[String] = &[];
        for entry in entries {
            let is_of_a_tree = matches!(entry.origin, Origin::Line(_) | Origin::Lines(..) | Origin::Json);
            let is_within = !whole.is_empty() && entry.path.len() > whole.len() && entry.path.starts_with(whole);
            if is_of_a_tree && is_within {
                continue;
            }
            let found = layout.find(schema, entry);
            whole = if matches!(found, Ok(Found::Table | Found::Section)) { &[] } else { &entry.path };
            let path = entry.path.join(".");
            match found {
                Ok(Found::Setting(setting)) => values.take(setting, path, entry, diagnostics),
                Ok(Found::Section) if entry.path.last().is_some_and(|key| schema.get(&[key, "enabled"]).is_some()) => {
                    values.given.insert(path + ".enabled", (true.into(), entry.origin.clone()));
                }
                Ok(Found::Section | Found::Table) => {}
                Err(what) => diagnostics.push(Diagnostic::new(entry.origin.line(&path), what)),
            }
        }
        for (_, within) in layout.proxies() {
            values.switch_on(&format!("{within}{BACKEND_TLS}."));
        }
        values
    }

    /// Turns on a part of which something was given, unless it says that it is off.
    fn switch_on(&mut self, within: &str) {
        let switch = format!("{within}enabled");
        let first = self.table(within).next().map(|(.., origin)| origin.clone());
        if let Some(origin) = first.filter(|_| !self.given.contains_key(&switch) && !self.is_wrong(&switch)) {
            self.given.insert(switch, (true.into(), origin));
        }
    }

    fn take(&mut self, setting: &Setting<'_>, path: String, entry: &Entry, diagnostics: &mut Diagnostics) {
        let Entry { value, origin, .. } = entry;
        let within = path.strip_suffix("rules").unwrap_or_default();
        let rule = |rule: &Value| {
            let wrong = mistakes(rule, self.schema.registry).into_iter();
            wrong.map(|what| self.with_own_kinds(within, what)).collect::<Vec<_>>()
        };
        let mut toxics = Vec::new();
        let toxic = |toxic: &Value| {
            let wrong = match toxic::parse_item(toxic) {
                Ok(read) => {
                    toxics.extend(read);
                    Diagnostics::default()
                }
                Err(wrong) => wrong,
            };
            wrong.iter().map(|wrong| wrong.what().to_owned()).collect::<Vec<_>>()
        };
        let has_wrong_items = match setting.path.as_str() {
            "rules" => has_wrong_items(&path, entry, rule, diagnostics),
            "toxics" => has_wrong_items(&path, entry, toxic, diagnostics),
            _ => false,
        };
        if has_wrong_items {
            // A list without other mistakes is compared with the profile as well, once the proxy is built.
            let conflicts = toxic::conflicts(&toxics).map(|what| Diagnostic::new(origin.line(&path), what));
            diagnostics.extend(conflicts.collect());
            self.wrong.insert(path);
            return;
        }
        if let Err(what) = setting.field.check(value) {
            let within = path.find(HANDLERS).map_or("", |end| &path[..end]);
            let what = self.with_own_kinds(within, what) + &tls_of_url(setting, value, origin);
            diagnostics.push(Diagnostic::new(origin.place(&path), what));
            self.wrong.insert(path);
            return;
        }
        if setting.path == "handler"
            && let Err(errors) = ParsedMix::parse(value.as_str().unwrap_or_default(), self.schema.registry)
        {
            let within = path.strip_suffix("handler").unwrap_or_default();
            let error = |error: &MixError| self.with_own_kinds(within, error.to_string());
            // They quote the mix, so the line is enough.
            diagnostics.extend(errors.iter().map(|what| Diagnostic::new(origin.line(&path), error(what))).collect());
        }
        self.given.insert(path, (value.clone(), origin.clone()));
    }

    /// A message about a kind of failure lists those of the proxy's own protocol, whose keys are `within`.
    fn with_own_kinds(&self, within: &str, message: String) -> String {
        let protocol = self.protocols.get(within).and_then(|protocol| protocol.parse().ok()).unwrap_or_default();
        match FailureKind::of(protocol) {
            [] => message,
            own => message.replace(&FailureKind::names(&FailureKind::ALL), &FailureKind::names(own)),
        }
    }

    /// What was given for an option, and where.
    pub(super) fn get(&self, path: &str) -> Option<(&Value, &Origin)> {
        self.given.get(path).map(|(value, origin)| (value, origin))
    }

    /// Where an option was given, for a message.
    pub(super) fn place(&self, path: &str) -> Option<String> {
        self.get(path).map(|(_, origin)| origin.place(path))
    }

    /// Whether an option was given an invalid value.
    pub(super) fn is_wrong(&self, path: &str) -> bool {
        self.wrong.contains(path)
    }

    /// What was given in a table. `within` is the path before its keys: `http.`.
    pub(crate) fn table<'v>(&'v self, within: &'v str) -> impl Iterator<Item = (&'v str, &'v Value, &'v Origin)> {
        self.given.iter().filter_map(move |(path, (value, origin))| {
            let key = path.strip_prefix(within).filter(|key| !key.contains('.'))?;
            Some((key, value, origin))
        })
    }

    pub(super) fn map(&self, within: &str) -> Map<String, Value> {
        self.table(within).map(|(key, value, _)| (key.to_owned(), value.clone())).collect()
    }

    /// The settings struct of a table.
    pub(super) fn build<T: Settings>(&self, within: &str) -> Result<T, Diagnostics> {
        settings::build(self.map(within)).map_err(|why| Diagnostic::new("", why).into())
    }

    /// The mix of the proxy whose keys are `within`, each handler with its settings.
    pub(super) fn mix(&self, within: &str) -> Result<Mix, Diagnostics> {
        self.mix_with_settings(within).map(|(mix, _)| mix)
    }

    /// The same, with the settings that its handlers were built with.
    pub(super) fn mix_with_settings(&self, within: &str) -> Result<(Mix, HandlerSettings), Diagnostics> {
        let text = self.get(&format!("{within}handler")).and_then(|(value, _)| value.as_str()).unwrap_or("dummy");
        // If it is invalid, that has been reported.
        let parsed = ParsedMix::parse(text, self.schema.registry).unwrap_or_default();
        let all = RefCell::default();
        let place = self.place(&format!("{within}handler")).unwrap_or_default();
        let mix = parsed.build(&place, |parsed| {
            let (handler, settings) = self.handler(within, parsed)?;
            let all: &mut HandlerSettings = &mut all.borrow_mut();
            all.push((parsed.name.clone(), settings));
            Ok(handler)
        })?;
        Ok((mix, all.into_inner()))
    }

    /// The rules of the proxy whose keys are `within`; none if some are invalid, which has been reported.
    pub(super) fn rules(&self, within: &str) -> Result<Vec<Rule>, Diagnostics> {
        let (Some(setting), Some((value, origin))) = (self.schema.get(&["rules"]), self.get(&format!("{within}rules")))
        else {
            return Ok(Vec::new());
        };
        let (mut rules, mut diagnostics) = (Vec::new(), Diagnostics::default());
        for (place, text) in texts(setting.field, value).iter().enumerate() {
            let Ok(rule) = ParsedRule::parse(text, self.schema.registry) else { continue };
            match rule.build(&origin.item("rules", place), |parsed| self.handler(within, parsed)) {
                Ok(rule) => rules.push(rule),
                Err(wrong) => diagnostics.extend(wrong),
            }
        }
        list::name_all(&mut rules);
        diagnostics.none_or(rules)
    }

    /// A handler, with the settings that it was built with.
    fn handler(&self, within: &str, parsed: &ParsedHandler) -> Result<Built, Diagnostic> {
        let (ParsedHandler { name, settings: in_place, .. }, registry) = (parsed, self.schema.registry);
        let unknown = || Diagnostic::new("", MixError::unknown_handler(name, registry));
        let table = format!("{within}{HANDLERS}.{name}");
        let mut settings = self.map(&format!("{table}."));
        settings.extend(in_place.clone());
        // Each value is valid alone, so it is the combination that is refused.
        let built = registry.get(name).ok_or_else(unknown)?.build(settings.clone());
        Ok((built.map_err(|why| Diagnostic::new(table, why))?, settings))
    }

    /// The options of the connection that are set for handlers of these mixes: path, handler and value.
    pub(super) fn overrides<'m>(
        &self,
        within: &str,
        mixes: &[&'m Mix],
        option: &str,
    ) -> impl Iterator<Item = (&'m str, &Value, String)> {
        let handlers: Vec<&'m str> = mixes.iter().flat_map(|mix| mix.shares()).flat_map(Share::handlers).collect();
        handlers.into_iter().filter_map(move |handler| {
            let path = [HANDLERS, handler, option];
            self.schema.get(&path).filter(|setting| setting.inherited)?;
            let path = format!("{within}{}", path.join("."));
            let (value, origin) = self.get(&path)?;
            Some((handler, value, origin.place(&path)))
        })
    }
}

/// The end of the message about a URL in place of an address, if the URL asks for TLS.
fn tls_of_url(setting: &Setting<'_>, value: &Value, origin: &Origin) -> String {
    let scheme = value.as_str().and_then(|text| text.split_once("://")).map_or("", |(scheme, _)| scheme);
    if !["https", "wss", "rediss"].contains(&scheme) {
        return String::new();
    }
    let with = match (setting.path.as_str(), origin) {
        ("backend", Origin::Named(_)) => "`--backend-tls`",
        ("backend", _) => "`backend_tls.enabled`",
        ("proxy", Origin::Named(_)) => "`--tls auto`",
        ("proxy", _) => "`tls.auto`",
        _ => return String::new(),
    };
    format!(" with {with}")
}

/// Whether one of the items in `entry`, a list or a text with an item a line, is invalid; each is reported in its place.
fn has_wrong_items(
    path: &str,
    Entry { value, origin, .. }: &Entry,
    mut check: impl FnMut(&Value) -> Vec<String>,
    diagnostics: &mut Diagnostics,
) -> bool {
    let wrong: Vec<(usize, Vec<String>)> = match value {
        Value::Array(items) => {
            items.iter().map(&mut check).enumerate().filter(|(_, wrong)| !wrong.is_empty()).collect()
        }
        Value::String(lines) => {
            let items = lines.lines().filter(|line| !line.trim().is_empty());
            items.map(|item| (0, check(&item.trim().into()))).filter(|(_, wrong)| !wrong.is_empty()).collect()
        }
        _ => Vec::new(),
    };
    for (place, what) in &wrong {
        diagnostics.extend(what.iter().map(|what| Diagnostic::new(origin.item(path, *place), what)).collect());
    }
    !wrong.is_empty()
}
