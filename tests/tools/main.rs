//! What the program does instead of running: checks, prints, and asks a daemon how it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod check;
mod completions;
mod health;
mod man;
mod print_config;
#[path = "../world/mod.rs"]
mod world;

use std::process::Command;

use world::Program;
use world::program::assert_complains;

/// What is printed for these arguments, without a complaint.
#[track_caller]
fn printed(arguments: &str) -> String {
    printed_by(&mut Program::command(arguments))
}

#[track_caller]
fn printed_by(command: &mut Command) -> String {
    let ended = Program::run(command);
    assert_eq!((ended.code, ended.lines), (Some(0), Vec::new()), "{command:?}");
    ended.stdout
}

#[test]
fn only_one_of_them_can_be_asked_for() {
    assert_complains("--check --man", 2, &["`--check` and `--man` cannot be combined, give one of them"]);
    assert_complains(
        "--health --print-config",
        2,
        &["`--health` and `--print-config` cannot be combined, give one of them"],
    );
    assert_complains("--check --check", 2, &["`--check` is given twice, give it once"]);
}
