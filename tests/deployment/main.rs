//! What is in `examples/` for Docker, Kubernetes, systemd and CI servers is right: the program takes its files and its command
//! lines, names and ports that belong together are the same, and those whose formats they are accept them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod accepted;
mod commands;
mod image;
mod names;

use std::fs;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, Yaml};

/// What is in the repository under this path.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a file of YAML. A key that is not there fails the test that asks for it.
fn documents(text: &str) -> Vec<Yaml<'_>> {
    Yaml::load_from_str(text).unwrap()
}

fn string<'a>(yaml: &'a Yaml<'_>) -> &'a str {
    yaml.as_str().unwrap_or_else(|| panic!("no string: {yaml:?}"))
}

fn strings<'a>(yaml: &'a Yaml<'_>) -> Vec<&'a str> {
    list(yaml).iter().map(string).collect()
}

fn list<'a, 'b>(yaml: &'a Yaml<'b>) -> &'a [Yaml<'b>] {
    yaml.as_vec().unwrap_or_else(|| panic!("no list: {yaml:?}"))
}

fn port(yaml: &Yaml<'_>) -> u16 {
    yaml.as_integer().and_then(|port| port.try_into().ok()).unwrap_or_else(|| panic!("no port: {yaml:?}"))
}
