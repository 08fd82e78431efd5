//! `--print-config`: all options as a file that asks for the same, each value with its origin.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use toml::ser::ValueSerializer;

use super::entry::{self, Entry, Origin};
use super::layout::Layout;
use super::schema::{HANDLERS, PROXIES, PROXY_TABLES, SECTIONS, Schema, Setting};
use super::values::Values;
use crate::diagnostic::{Diagnostics, one_line};
use crate::plan::mix::Mix;
use crate::plan::rule::Rule;
use crate::proxy::config::{DEFAULT, ProxyConfig};
use crate::toxic::Profile;

/// Longer values, in columns, do not move the comments of other lines to the right.
const MAX_ALIGNED: usize = 60;

/// The same where `listed` proxies come from Toxiproxy's `file`: all proxies are in tables, one that `entries` ask for as well.
pub(crate) fn with_listed(
    schema: &Schema<'_>,
    entries: &[Entry],
    has_own: bool,
    listed: &[ProxyConfig],
    file: &str,
) -> String {
    let from_file = Origin::Line(file.to_owned());
    let own = has_own.then(|| (DEFAULT.to_owned(), from_file.clone()));
    let names = listed.iter().map(|config| (config.name.clone(), from_file.clone()));
    let layout = Layout::Several(own.into_iter().chain(names).collect());
    let is_proxys = |entry: &Entry| {
        let path: Vec<&str> = entry.path.iter().map(String::as_str).collect();
        path[0] == HANDLERS
            || PROXY_TABLES.contains(&path[0])
            || schema.get(&path).is_some_and(|setting| setting.per_proxy)
    };
    let (of_proxy, mut all): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_proxys);
    let table = |name: &str| vec![PROXIES.to_owned(), name.to_owned()];
    let within = |entry: Entry| Entry { path: [table(DEFAULT), entry.path].concat(), ..entry };
    all.extend(of_proxy.into_iter().filter(|_| has_own).map(within));
    for config in listed {
        let keys = entry::of_json(&config.keys.given, &table(&config.name));
        all.extend(keys.into_iter().map(|entry| Entry { origin: from_file.clone(), ..entry }));
    }
    // What is wrong has been told.
    text(&Values::check(schema, &layout, &all, &mut Diagnostics::default()))
}

pub(crate) fn text(values: &Values<'_>) -> String {
    let schema = values.schema;
    let mut file = String::new();
    let is_alone = matches!(values.layout, Layout::One);
    let own = schema.of_proxy("").filter(|_| is_alone).chain(schema.of_program(""));
    table(&mut file, &lines(values, "", own, |_| true));
    if is_alone {
        tables(&mut file, values, "", "");
    }
    for section in SECTIONS {
        headed(&mut file, section, &lines(values, "", schema.of_program(section), |_| true));
    }
    for (name, within) in values.layout.proxies().into_iter().filter(|_| !is_alone) {
        let own = lines(values, &within, schema.of_proxy(""), |_| true);
        let table = format!("{PROXIES}.{}", key(name));
        headed(&mut file, &table, &own);
        tables(&mut file, values, &within, &(table + "."));
    }
    file
}

/// A key with its value, or a comment in their place; and the value's origin.
type Line = (String, String);

/// The tables of a proxy. `table` is `within` as TOML has it.
fn tables(file: &mut String, values: &Values<'_>, within: &str, table: &str) {
    for name in PROXY_TABLES {
        headed(file, &format!("{table}{name}"), &lines(values, within, values.schema.of_proxy(name), |_| true));
    }
    handlers(file, values, within, table);
}

/// The handlers of the mix and of rules with all their settings, and others with those that were given. `table` is `within` as
/// TOML has it.
fn handlers(file: &mut String, values: &Values<'_>, within: &str, table: &str) {
    // An invalid mix has been reported already.
    let (mix, rules) = (values.mix(within).unwrap_or_default(), values.rules(within).unwrap_or_default());
    for name in values.schema.registry.names() {
        let mut mixes = rules.iter().map(Rule::mix).chain([&mix]);
        let in_mix = mixes.any(|mix| mix.shares().iter().any(|share| share.handlers().any(|handler| handler == name)));
        // An option of the connection that nobody gave is the proxy's.
        let shown = |setting: &Setting<'_>| in_mix && !setting.inherited;
        let lines = lines(values, within, values.schema.of_handler(name), shown);
        headed(file, &format!("{table}{HANDLERS}.{name}"), &lines);
    }
}

/// A line for each setting that was given under `within`, and for others if `by_default` says so.
fn lines<'s>(
    values: &Values<'_>,
    within: &str,
    settings: impl IntoIterator<Item = &'s Setting<'s>>,
    by_default: impl Fn(&Setting<'_>) -> bool,
) -> Vec<Line> {
    let line = |setting: &Setting<'_>| {
        let Setting { field, path, .. } = setting;
        let but =
            overridden(values, within, setting).or_else(|| stands_for(values, within, setting)).unwrap_or_default();
        let key = key(&field.name);
        match values.get(&format!("{within}{path}")) {
            // An empty secret is refused, so nobody runs without it by mistake.
            Some((_, origin)) if field.secret => {
                Some((pair(&key, &"".into()), format!("{origin}, not shown: write it here, or take this line out")))
            }
            Some((value, origin)) => Some((pair(&key, &field.canonical(value)), format!("{origin}{but}"))),
            None => by_default(setting).then(|| (pair(&key, &field.default), default(setting) + &but)),
        }
    };
    settings.into_iter().filter_map(line).collect()
}

/// What a handler of the mix has in place of the proxy's value.
fn overridden(values: &Values<'_>, within: &str, setting: &Setting<'_>) -> Option<String> {
    if !setting.per_proxy || setting.path.contains('.') {
        return None;
    }
    let (mix, rules) = (values.mix(within).unwrap_or_default(), values.rules(within).unwrap_or_default());
    let mixes: Vec<&Mix> = [&mix].into_iter().chain(rules.iter().map(Rule::mix)).collect();
    let (handler, value, _) = values.overrides(within, &mixes, &setting.field.name).next()?;
    Some(format!(", but {} for {handler}", toml(&setting.field.canonical(value))?))
}

/// The toxics that a profile stands for.
fn stands_for(values: &Values<'_>, within: &str, setting: &Setting<'_>) -> Option<String> {
    let (value, _) = values.get(&format!("{within}{}", setting.path)).filter(|_| setting.path == "profile")?;
    let profile: Profile = serde_json::from_value(value.clone()).ok()?;
    Some(format!(", stands for {}", profile.texts().join("; ")))
}

/// `default`, or what the help says it is where there is no value.
fn default(setting: &Setting<'_>) -> String {
    let said = setting.field.help.split_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
    let is_empty = setting.field.default.as_array().is_some_and(Vec::is_empty);
    match said {
        Some(said) if setting.field.default.is_null() => format!("default: {said}"),
        None if setting.field.default.is_null() || is_empty => "default: none".to_owned(),
        _ => "default".to_owned(),
    }
}

/// `key = value`, or a comment where there is no value.
fn pair(key: &str, value: &Value) -> String {
    toml(value).map_or_else(|| format!("# {key} ="), |value| format!("{key} = {value}"))
}

/// `None` if TOML has no such value: null.
fn toml(value: &Value) -> Option<String> {
    let mut text = String::new();
    value.serialize(ValueSerializer::new(&mut text)).ok()?;
    Some(text)
}

/// Quoted if TOML needs it.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { Value::from(name).to_string() }
}

fn headed(file: &mut String, name: &str, lines: &[Line]) {
    if !lines.is_empty() {
        let _ = writeln!(file, "\n[{name}]");
        table(file, lines);
    }
}

/// The lines, with the comments at their ends below each other.
fn table(file: &mut String, lines: &[Line]) {
    let width = |text: &str| text.chars().count();
    let widest = lines.iter().map(|(pair, _)| width(pair)).filter(|width| *width <= MAX_ALIGNED).max();
    let widest = widest.unwrap_or_default();
    for (pair, place) in lines {
        let _ = writeln!(file, "{pair:widest$}  # {}", one_line(place));
    }
}
