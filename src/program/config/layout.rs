//! Which paths there are: in a file with one proxy, in a file with several, and in JSON of one proxy.

use serde_json::{Map, Value};

use super::entry::{Entry, Origin};
use super::hints;
use super::schema::{BACKEND_TLS, HANDLERS, PROXIES, PROXY_TABLES, SECTIONS, Schema, Setting, TLS};
use crate::diagnostic::{did_you_mean, shown};
use crate::plan::parse::MixError;
use crate::proxy::config::{DEFAULT, check_any_name};

/// Where the options of proxies are.
#[derive(Debug)]
pub(crate) enum Layout {
    /// At the top, beside the program's: there is one proxy.
    One,
    /// In the table of each proxy: its name, and where it begins.
    Several(Vec<(String, Origin)>),
    /// At the top, without the program's.
    Json,
}

/// What a path leads to.
pub(super) enum Found<'s> {
    Setting(&'s Setting<'s>),
    Table,
    /// A table whose presence enables the feature: `[http]`.
    Section,
}

/// What can be in one table.
#[derive(Default)]
struct Known<'s> {
    settings: Vec<&'s Setting<'s>>,
    tables: Vec<&'s str>,
}

impl Layout {
    /// That of a file.
    pub(crate) fn of(entries: &[Entry]) -> Self {
        if !entries.iter().any(|entry| entry.path == [PROXIES]) {
            return Self::One;
        }
        let named = entries.iter().filter_map(|entry| match entry.path.as_slice() {
            [table, name] if table == PROXIES && entry.value.is_object() && check_any_name(name).is_ok() => {
                Some((name.clone(), entry.origin.clone()))
            }
            _ => None,
        });
        Self::Several(named.collect())
    }

    /// The name of each proxy, and the prefix of its paths: `proxies.cache.`.
    pub(super) fn proxies(&self) -> Vec<(&str, String)> {
        match self {
            Self::One | Self::Json => vec![(DEFAULT, String::new())],
            Self::Several(named) => named.iter().map(|(name, _)| (&**name, format!("{PROXIES}.{name}."))).collect(),
        }
    }

    /// What `entry` gives a value to, or what is wrong with its path.
    pub(super) fn find<'s>(&self, schema: &'s Schema<'s>, entry: &Entry) -> Result<Found<'s>, String> {
        let path: Vec<&str> = entry.path.iter().map(String::as_str).collect();
        let Some((key, table)) = path.split_last() else { return Ok(Found::Table) };
        let known = self.known(schema, table);
        if let Some(wrong) = self.belongs_elsewhere(schema, entry, &path) {
            return Err(wrong);
        }
        if let Some(setting) = known.settings.iter().find(|setting| setting.field.name == *key) {
            return Ok(Found::Setting(setting));
        }
        let is_table = known.tables.contains(key) || (*table == [PROXIES] && check_any_name(key).is_ok());
        let full = path.join(".");
        match &entry.value {
            value if !is_table => Err(unknown(schema, &known, &path, value.is_object())),
            value if *path == [PROXIES] && value.as_object().is_some_and(Map::is_empty) => {
                Err(format!("`[{PROXIES}]` is empty, write a table for each proxy, `[{PROXIES}.cache]`"))
            }
            Value::Object(keys) if *key == TLS && keys.is_empty() && !matches!(self, Self::Json) => {
                Err(format!("`[{full}]` is empty, write `auto = true`, or `cert` and `key`"))
            }
            Value::Object(_) if *key == BACKEND_TLS || SECTIONS.contains(&full.as_str()) => Ok(Found::Section),
            Value::Object(_) => Ok(Found::Table),
            value if *key == HANDLERS && *table != [PROXIES] && value.is_string() => {
                Err(format!("`{full}` holds a table for each handler, did you mean `handler = {value}`?"))
            }
            // Its value may be secret, so it is not shown.
            _ if SECTIONS.contains(&full.as_str()) => Err(format!("`{full}` is not a table, write `[{full}]`")),
            value if PROXY_TABLES.contains(key) => {
                let switch = if *key == TLS { "auto" } else { "enabled" };
                let meant = match self {
                    Self::Json => format!("`{{\"{switch}\": true}}`"),
                    _ => format!("`{full}.{switch} = true`"),
                };
                Err(format!("`{full}` is {}, and has options of its own: {meant}", shown(value)))
            }
            value => {
                let within = [(HANDLERS, ".delay"), (PROXIES, ".cache")].into_iter().find(|(table, _)| table == key);
                let within = within.map_or("", |(_, within)| within);
                Err(format!("`{full}` is {}, write a table, `[{full}{within}]`", shown(value)))
            }
        }
    }

    fn known<'s>(&self, schema: &'s Schema<'s>, table: &[&str]) -> Known<'s> {
        let own = || schema.of_proxy("");
        let top = || [PROXIES].into_iter().chain(SECTIONS);
        let of_proxy = || [HANDLERS].into_iter().chain(PROXY_TABLES);
        match (self, table) {
            (Self::One, []) => Known {
                settings: own().chain(schema.of_program("")).collect(),
                tables: of_proxy().chain(top()).collect(),
            },
            (Self::Several(_), []) => Known { settings: schema.of_program("").collect(), tables: top().collect() },
            (Self::Json, []) | (_, [PROXIES, _]) => Known { settings: own().collect(), tables: of_proxy().collect() },
            (_, [table] | [PROXIES, _, table]) if PROXY_TABLES.contains(table) => {
                Known { settings: schema.of_proxy(table).collect(), tables: Vec::new() }
            }
            (_, [HANDLERS] | [PROXIES, _, HANDLERS]) => {
                Known { settings: Vec::new(), tables: schema.registry.names().collect() }
            }
            (_, [HANDLERS, name] | [PROXIES, _, HANDLERS, name]) => {
                Known { settings: schema.of_handler(name), tables: Vec::new() }
            }
            (_, [section]) => Known { settings: schema.of_program(section).collect(), tables: Vec::new() },
            _ => Known::default(),
        }
    }

    /// The message for an option in the wrong place.
    fn belongs_elsewhere(&self, schema: &Schema<'_>, entry: &Entry, path: &[&str]) -> Option<String> {
        let is_table = entry.value.is_object();
        let setting = schema.get(path).filter(|setting| setting.per_proxy);
        match (self, path) {
            (Self::One, ["proxy"]) if is_table => {
                Some(format!("`proxy` is where to listen, proxies are in `[{PROXIES}.cache]`"))
            }
            (Self::Several(named), path)
                if setting.is_some()
                    || matches!(path, [table] if *table == HANDLERS || PROXY_TABLES.contains(table)) =>
            {
                let first = named.first().map_or("cache", |(name, _)| name.as_str());
                let table =
                    |table: &str| format!("[{PROXIES}.{first}{}{table}]", if table.is_empty() { "" } else { "." });
                Some(match (setting, &entry.origin) {
                    (Some(setting), Origin::Named(_)) => {
                        let (key, table) = (&setting.field.name, table(setting.table()));
                        format!("belongs to one proxy, write `{key}` under `{table}` in the file")
                    }
                    (Some(_), _) => format!("`{}` belongs to one proxy, write it under `{}`", path[0], table("")),
                    (None, _) if path[0] != HANDLERS => {
                        format!("`{}` belongs to one proxy, write `{}`", path[0], table(path[0]))
                    }
                    (None, _) => {
                        let handler = entry.value.as_object().and_then(|handlers| handlers.keys().next());
                        let table = table(&format!("{HANDLERS}.{}", handler.map_or("delay", String::as_str)));
                        format!("`{HANDLERS}` belongs to one proxy, write `{table}`")
                    }
                })
            }
            (_, [within @ .., "handler"]) if is_table && matches!(within, [] | [PROXIES, _]) => {
                let table = [within, &[HANDLERS, "delay"]].concat().join(".");
                Some(format!("`handler` is a name or a mix, settings are in `[{table}]`"))
            }
            _ => None,
        }
    }
}

/// Where to write a key or a table of the program.
fn of_the_program(schema: &Schema<'_>, key: &str) -> Option<String> {
    if SECTIONS.contains(&key) {
        return Some(format!("write `[{key}]` without `{PROXIES}`"));
    }
    let is_in = |table: &str| schema.of_program(table).any(|setting| setting.field.name == key);
    if is_in("") {
        return Some("write it at the top of the file, before all tables".to_owned());
    }
    // Other programs have some of these keys for what is a proxy here.
    let section = SECTIONS.iter().find(|section| is_in(section)).filter(|_| hints::of_key(key).is_none());
    section.map(|section| format!("write it under `[{section}]`"))
}

/// The message for a key that is not `known`.
fn unknown(schema: &Schema<'_>, known: &Known<'_>, path: &[&str], is_table: bool) -> String {
    let (key, within) = (path[path.len() - 1], &path[..path.len() - 1]);
    match within {
        [PROXIES] => return check_any_name(key).err().map(|wrong| wrong.what().to_owned()).unwrap_or_default(),
        [HANDLERS] | [PROXIES, _, HANDLERS] => return MixError::unknown_handler(key, schema.registry).to_string(),
        _ => {}
    }
    let is_proxys = known.tables.contains(&HANDLERS);
    if let ([PROXIES, _], Some(meant)) = (within, of_the_program(schema, key)) {
        return format!("`{key}` is for all proxies together, {meant}");
    }
    if is_proxys && is_table && schema.registry.get(key).is_some() {
        let meant = [within, &[HANDLERS, key]].concat().join(".");
        return format!("unknown key `{}`, did you mean `{meant}`?", path.join("."));
    }
    let has_key = |section: &&&str| schema.of_program(section).any(|setting| setting.field.name == key);
    let section = SECTIONS.iter().filter(|section| known.tables.contains(section)).find(has_key);
    let hint = hints::of_key(key).filter(|_| is_proxys);
    match (section, hint) {
        (Some(section), None) => return format!("`{key}` belongs to `[{section}]`, write it there"),
        (Some(section), Some(hint)) => {
            return format!("unknown key `{key}`, {hint} (`[{section}]` has a `{key}` as well)");
        }
        (None, _) => {}
    }
    // Flags name what is in a table as well.
    let belongs = |setting: &&Setting<'_>| if setting.per_proxy { is_proxys } else { within.is_empty() };
    let flag = key.replace('_', "-");
    let meant = schema.all().filter(belongs).find(|setting| !setting.table().is_empty() && setting.flag() == flag);
    if let Some(meant) = meant {
        let meant = [within, &[meant.path.as_str()]].concat().join(".");
        return format!("unknown key `{key}`, did you mean `{meant}`?");
    }
    // Where there are tables, a table was meant to be one of them.
    let settings = known.settings.iter().filter(|_| !is_table || known.tables.is_empty());
    let names: Vec<&str> = settings.map(|setting| &*setting.field.name).chain(known.tables.iter().copied()).collect();
    let hint = match (hint, did_you_mean(key, names.iter().copied())) {
        (Some(hint), _) => format!(", {hint}"),
        (_, near) if !near.is_empty() => near,
        _ if names.is_empty() => " (it has no keys)".to_owned(),
        _ => format!(" (known: {})", names.join(", ")),
    };
    let within = if within.is_empty() { String::new() } else { format!(" in `[{}]`", within.join(".")) };
    format!("unknown key `{key}`{within}{hint}")
}
