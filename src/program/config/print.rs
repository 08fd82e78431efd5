//! `--print-config`: all that a program would run with as a file that asks for the same, each value with where it came from.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use toml::ser::ValueSerializer;

use super::options::{Options, Scope, Setting};
use super::values::{All, Values};
use super::walk::{HANDLERS, Named, PROXIES};
use crate::diagnostic::one_line;
use crate::plan::mix::Mix;
use crate::proxy::config::DEFAULT;

/// Values that are longer than this do not push the comments of others to the right, in columns.
const MAX_ALIGNED: usize = 60;

/// The text of the file; `proxies` are those that have names.
pub(super) fn text(options: &Options<'_>, all: &All<'_>, proxies: Option<&[Named]>) -> String {
    let mut file = String::new();
    let (program, only) = (all.get(""), all.get(DEFAULT));
    let mut top = if proxies.is_none() { every(options, &Scope::Proxy, only) } else { Vec::new() };
    top.extend(every(options, &Scope::Program, program));
    table(&mut file, &top);
    if proxies.is_none() {
        handlers(&mut file, "", options, only);
    }
    for (name, scope) in &Scope::SECTIONS {
        headed(&mut file, name, &every(options, scope, program));
    }
    for Named { name, .. } in proxies.unwrap_or_default() {
        let path = format!("{PROXIES}.{name}");
        headed(&mut file, &path, &every(options, &Scope::Proxy, all.get(name)));
        handlers(&mut file, &format!("{path}."), options, all.get(name));
    }
    file
}

/// A key with its value, or a comment in their place; and where it is from.
type Line = (String, String);

/// The handlers of the mix with all their settings, and others with those that were given.
fn handlers(file: &mut String, within: &str, options: &Options<'_>, values: Option<&Values<'_>>) {
    let mix = values.map(mix).unwrap_or_default();
    for name in options.registry.names() {
        let in_mix = mix.shares().iter().any(|share| share.name() == name);
        // An option of the connection that nobody gave is the proxy's.
        let lines = lines(options, &Scope::Handler(name.to_owned()), values, |setting| in_mix && !setting.inherited);
        headed(file, &format!("{within}{HANDLERS}.{name}"), &lines);
    }
}

/// Where it is wrong, that has been said.
fn mix(values: &Values<'_>) -> Mix {
    values.mix("").unwrap_or_default()
}

/// All settings of `scope`.
fn every(options: &Options<'_>, scope: &Scope, values: Option<&Values<'_>>) -> Vec<Line> {
    lines(options, scope, values, |_| true)
}

/// The settings of `scope` that were given, and of the others those that `all_the_same` says.
fn lines(
    options: &Options<'_>,
    scope: &Scope,
    values: Option<&Values<'_>>,
    all_the_same: impl Fn(&Setting<'_>) -> bool,
) -> Vec<Line> {
    let line = |setting: Setting<'_>| {
        let Setting { field, .. } = &setting;
        let given = values.and_then(|values| values.get(scope, &field.name));
        let but = values.and_then(|values| overridden(values, &setting)).unwrap_or_default();
        let key = key(&field.name);
        match given {
            // Nobody but who gave it may see it. What is empty is refused, so that nothing runs without it unseen.
            Some((_, place)) if field.secret => Some((
                pair(&key, &"".into()),
                format!("{}, not shown: write it here, or take this line out", place.line()),
            )),
            Some((value, place)) => Some((pair(&key, &field.canonical(value)), format!("{}{but}", place.line()))),
            None => all_the_same(&setting).then(|| (pair(&key, &field.default), by_default(&setting) + &but)),
        }
    };
    options.of(scope).into_iter().filter_map(line).collect()
}

/// What a handler of the mix has in place of the proxy's value.
fn overridden(values: &Values<'_>, setting: &Setting<'_>) -> Option<String> {
    if setting.scope != Scope::Proxy {
        return None;
    }
    let mix = mix(values);
    let (handler, value, _) = mix.shares().iter().find_map(|share| values.wish(share.name(), &setting.field.name))?;
    Some(format!(", but {} for {handler}", toml(&setting.field.canonical(value))?))
}

/// `default`, or what the help says it is where there is no value.
fn by_default(setting: &Setting<'_>) -> String {
    let said = setting.field.help.split_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
    match said {
        Some(said) if setting.field.default.is_null() => format!("default: {said}"),
        None if setting.field.default.is_null() => "default: none".to_owned(),
        _ => "default".to_owned(),
    }
}

/// `key = value`, or a comment where there is no value.
fn pair(key: &str, value: &Value) -> String {
    toml(value).map_or_else(|| format!("# {key} ="), |value| format!("{key} = {value}"))
}

/// Nothing for what TOML has no value for.
fn toml(value: &Value) -> Option<String> {
    let mut text = String::new();
    value.serialize(ValueSerializer::new(&mut text)).ok()?;
    Some(text)
}

/// In quotes where it has to be.
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
