//! The README tells the truth. Its Rust code is compiled with the documentation tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::path::Path;
use std::process::{Command, Stdio};

use vaurien::Registry;
use vaurien::program::cli::Exit;
use vaurien::program::config::Config;
use world::Program;

const README: &str = include_str!("../README.md");

/// The blocks of code in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    let blocks: Vec<_> = README.split(&start).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "no {language}");
    blocks
}

fn parse(arguments: &[&str]) -> Result<Config, Exit> {
    let args = ["vaurien"].iter().chain(arguments).map(Into::into);
    Config::from_args(args, |_| None, &Registry::default())
}

#[test]
fn the_help_is_what_the_program_says() {
    let mut vaurien = Command::new(env!("CARGO_BIN_EXE_vaurien"));
    // Without a terminal, and so as wide as it gets.
    let help = vaurien.arg("--help").env_remove("COLUMNS").stdin(Stdio::null()).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    assert!(blocks("text").iter().any(|block| *block == help), "the README has to quote this:\n{help}");
}

#[test]
fn the_commands_are_right() {
    let commands: Vec<&str> = blocks("sh").into_iter().flat_map(str::lines).collect();
    let mut checked = 0;
    for command in commands {
        let words = shlex::split(command.split(" #").next().unwrap()).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["vaurien", arguments @ ..] | ["cargo", "run", "--release", "--", arguments @ ..] => {
                parse(arguments).unwrap_or_else(|exit| panic!("{command}: {exit}"));
                checked += 1;
            }
            _ => {}
        }
    }
    assert_eq!(checked, 4);
}

#[test]
fn the_static_program_is_built_as_for_the_image() {
    let built = blocks("sh").into_iter().flat_map(str::lines).find(|line| line.starts_with("cargo build ")).unwrap();
    let image = include_str!("../examples/docker/Dockerfile").replace("$(uname -m)", "x86_64").replace('"', "");
    assert!(image.contains(built), "{built}");
}

#[test]
fn the_file_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vaurien.toml");
    let mut proxies = Vec::new();
    for block in blocks("toml") {
        std::fs::write(&path, block).unwrap();
        let config = parse(&["--config", path.to_str().unwrap()]).unwrap();
        proxies.push(config.proxies.iter().map(|proxy| proxy.name.clone()).collect::<Vec<_>>());
        assert_eq!((config.seed, config.proxies[0].mix.to_string().as_str()), (42, "20:delay,5:error"));
    }
    assert_eq!(proxies, [vec!["default"], vec!["cache", "api"]]);
}

#[test]
fn the_demo_begins_as_it_is_quoted() {
    let quoted = blocks("text").into_iter().find(|block| block.contains("drawn for")).unwrap();
    let calls: Vec<&str> = quoted.lines().filter(|line| line.contains("GET /")).collect();
    let mut demo = Command::new("sh");
    demo.args(["-c", "exec \"$0\" --demo --proxy 127.0.0.1:0 >&2", env!("CARGO_BIN_EXE_vaurien")]);
    let mut demo = Program::spawn(&mut demo);
    assert!(calls.len() > 4);
    for call in calls {
        // How long it took is not always the same.
        let call = call.split_once(" after ").map_or(call, |(call, _)| call);
        demo.line(call);
    }
}

#[test]
fn what_it_links_to_is_there() {
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let there = match link.strip_prefix('#') {
            Some(section) => README.lines().any(|line| {
                let title = line.trim_start_matches('#').trim();
                line.starts_with('#') && title.to_lowercase().replace(' ', "-") == section
            }),
            None => link.starts_with("https://") || Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(),
        };
        assert!(there, "{link}");
    }
}
