//! Checks `vaurien.toml.example`: it has every option and no other, and its values are the defaults.

use std::path::Path;

use serde_json::Value;

use super::file;
use super::schema::Schema;
use crate::handler::Registry;

const EXAMPLE: &str = include_str!("../../../vaurien.toml.example");

/// The paths of the options in this file, and their values.
fn parse(text: &str) -> Vec<(String, Value)> {
    let entries = file::parse(Path::new("vaurien.toml.example"), text).unwrap();
    let entries = entries.into_iter().filter(|entry| !entry.value.is_object());
    entries.map(|entry| (entry.path.join("."), entry.value)).collect()
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
    let schema = Schema::new(&registry);
    let mut known: Vec<_> = schema.all().map(|setting| setting.path.clone()).collect();
    let given = parse(&with_optional_keys());
    let mut shown: Vec<_> = given.iter().map(|(path, _)| path.clone()).collect();
    known.sort();
    shown.sort();
    assert_eq!(shown, known);
    for (path, value) in &given {
        let setting = schema.all().find(|setting| setting.path == *path).unwrap();
        assert!(setting.field.check(value).is_ok(), "{path}");
    }
    for name in registry.names() {
        assert!(EXAMPLE.contains(&format!("\n[handlers.{name}]\n")), "{name} has no table");
    }
}

#[test]
fn its_values_are_the_defaults() {
    let registry = Registry::default();
    let given = parse(EXAMPLE);
    for setting in Schema::new(&registry).all() {
        let path = &setting.path;
        match given.iter().find(|(known, _)| known == path) {
            given if path == "backend" => assert!(given.is_some()),
            Some((_, value)) => assert_eq!(*value, setting.field.default, "{path}"),
            // Behind a `#`: an option without a default, or one whose default is the proxy's.
            None => assert!(setting.inherited || setting.field.default.is_null(), "{path} is behind a `#`"),
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
