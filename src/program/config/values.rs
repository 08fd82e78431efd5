//! Entries checked and merged: the value of each path, and where it was given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::entry::{Entry, Origin};
use super::layout::{Found, Layout};
use super::schema::{HANDLERS, Schema, Setting};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::mix::{Mix, Share};
use crate::plan::parse::{MixError, ParsedHandler, ParsedMix};
use crate::settings::{self, Settings};

/// The checked values of all options that were given, by path: `http.port`.
pub(crate) struct Values<'a> {
    pub(super) schema: &'a Schema<'a>,
    pub(super) layout: &'a Layout,
    given: BTreeMap<String, (Value, Origin)>,
    /// The paths whose value is invalid.
    wrong: BTreeSet<String>,
}

impl<'a> Values<'a> {
    /// Checks all entries, also those that a later, stronger one overrides.
    pub(crate) fn check(
        schema: &'a Schema<'a>,
        layout: &'a Layout,
        entries: &[Entry],
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut values = Self { schema, layout, given: BTreeMap::new(), wrong: BTreeSet::new() };
        // A key that should not be a table is reported once: the keys within it are skipped.
        let mut whole: &[String] = &[];
        for entry in entries {
            let is_of_a_tree = matches!(entry.origin, Origin::Line(_) | Origin::Json);
            let is_within = !whole.is_empty() && entry.path.len() > whole.len() && entry.path.starts_with(whole);
            if is_of_a_tree && is_within {
                continue;
            }
            let found = layout.find(schema, entry);
            whole = if matches!(found, Ok(Found::Table | Found::Section)) { &[] } else { &entry.path };
            let path = entry.path.join(".");
            match found {
                Ok(Found::Setting(setting)) => values.take(setting, path, entry, diagnostics),
                Ok(Found::Section) if schema.get(&[path.as_str(), "enabled"]).is_some() => {
                    values.given.insert(path + ".enabled", (true.into(), entry.origin.clone()));
                }
                Ok(Found::Section | Found::Table) => {}
                Err(what) => diagnostics.push(Diagnostic::new(entry.origin.line(&path), what)),
            }
        }
        values
    }

    fn take(&mut self, setting: &Setting<'_>, path: String, entry: &Entry, diagnostics: &mut Diagnostics) {
        let Entry { value, origin, .. } = entry;
        if let Err(what) = setting.field.check(value) {
            diagnostics.push(Diagnostic::new(origin.place(&path), what));
            self.wrong.insert(path);
            return;
        }
        if setting.path == "handler"
            && let Err(errors) = ParsedMix::parse(value.as_str().unwrap_or_default(), self.schema.registry)
        {
            // They quote the mix, so the line is enough.
            diagnostics.extend(errors.iter().map(|error| Diagnostic::new(origin.line(&path), error)).collect());
        }
        self.given.insert(path, (value.clone(), origin.clone()));
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
    pub(super) fn table<'v>(&'v self, within: &'v str) -> impl Iterator<Item = (&'v str, &'v Value, &'v Origin)> {
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
        let registry = self.schema.registry;
        let text = self.get(&format!("{within}handler")).and_then(|(value, _)| value.as_str()).unwrap_or("dummy");
        // If it is invalid, that has been reported.
        let parsed = ParsedMix::parse(text, registry).unwrap_or_default();
        let place = self.place(&format!("{within}handler")).unwrap_or_default();
        parsed.build(&place, |ParsedHandler { name, settings: in_place, .. }| {
            let unknown = || Diagnostic::new("", MixError::unknown_handler(name, registry));
            let table = format!("{within}{HANDLERS}.{name}");
            let mut settings = self.map(&format!("{table}."));
            settings.extend(in_place.clone());
            // Each value is valid alone, so it is the combination that is refused.
            registry.get(name).ok_or_else(unknown)?.build(settings).map_err(|why| Diagnostic::new(table, why))
        })
    }

    /// The options of the connection that are set for handlers of the mix: path, handler and value.
    pub(super) fn overrides<'m>(
        &self,
        within: &str,
        mix: &'m Mix,
        option: &str,
    ) -> impl Iterator<Item = (&'m str, &Value, String)> {
        mix.shares().iter().flat_map(Share::handlers).filter_map(move |handler| {
            let path = [HANDLERS, handler, option];
            self.schema.get(&path).filter(|setting| setting.inherited)?;
            let path = format!("{within}{}", path.join("."));
            let (value, origin) = self.get(&path)?;
            Some((handler, value, origin.place(&path)))
        })
    }
}
