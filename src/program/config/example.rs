//! `vaurien.toml.example` tells the truth: it has every option, knows no other, and its values are the defaults.

use std::path::Path;

use super::file;
use super::options::Options;
use super::values::Asked;
use crate::handler::Registry;
use crate::settings::Given;

const EXAMPLE: &str = include_str!("../../../vaurien.toml.example");

fn parse<'a>(text: &str, options: &'a Options<'_>) -> Vec<Asked<'a>> {
    let walk = file::parse(Path::new("vaurien.toml.example"), text, options).unwrap();
    let mut keys: Vec<_> = walk.keys.into_iter().map(|key| key.unwrap_or_else(|mistake| panic!("{mistake}"))).collect();
    // That a table is there turns on what it is about, unless it says otherwise.
    let tables = ["run", "http", "statsd"];
    keys.retain(|asked| !tables.contains(&asked.place.key()));
    keys
}

/// The text with its optional keys: `# seed = 42`.
fn with_optional_keys() -> String {
    let is_key = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let line = |line: &'static str| line.strip_prefix("# ").filter(|line| is_key(line)).unwrap_or(line);
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_has_every_option_and_no_other() {
    let registry = Registry::default();
    let options = Options::new(&registry);
    let mut known: Vec<_> = options.all().map(|setting| setting.flag()).collect();
    let text = with_optional_keys();
    let asked = parse(&text, &options);
    let mut shown: Vec<_> = asked.iter().map(|asked| asked.setting.flag()).collect();
    known.sort();
    shown.sort();
    assert_eq!(shown, known);
    for asked in &asked {
        assert!(asked.setting.field.check(&asked.given).is_ok(), "{}", asked.place);
    }
    for name in registry.names() {
        assert!(EXAMPLE.contains(&format!("\n[handlers.{name}]\n")), "{name} has no table");
    }
}

#[test]
fn its_values_are_the_defaults() {
    let registry = Registry::default();
    let options = Options::new(&registry);
    let asked = parse(EXAMPLE, &options);
    for setting in options.all() {
        let name = setting.flag();
        let given = asked.iter().find(|asked| asked.setting.flag() == name).map(|asked| &asked.given);
        match given {
            _ if name == "backend" => assert!(given.is_some()),
            Some(Given::Value(value)) => assert_eq!(*value, setting.field.default, "{name}"),
            Some(Given::Text(_)) => unreachable!("the file has typed values"),
            // Behind a `#`: an option without a default, or one whose default is the proxy's.
            None => assert!(setting.inherited || setting.field.default.is_null(), "{name} is behind a `#`"),
        }
    }
}

#[test]
fn every_option_is_commented() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        if line.starts_with('[') {
            assert!(above.starts_with("# "), "{line} has no comment");
        }
        // A group of keys shares the comment above it.
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(!above.is_empty(), "{line} has no comment");
        }
    }
}
