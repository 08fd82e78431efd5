//! One line around a command.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod ends;
mod exit_codes;
mod expectations;
mod left;
mod ready_file;
mod repeat;
mod report;
mod terminal;
mod told;
mod waiting;

use std::process::{Child, Command, Output, Stdio};

use world::{Backend, Program};

/// `vaurien` with these options, split at blanks, in front of `backend`, and the command behind them.
fn around(backend: &Backend, options: &str, command: &[&str]) -> Command {
    let plain = Program::command(options);
    // Whatever the tests themselves were told to ignore.
    let mut vaurien = Command::new("env");
    vaurien.arg("--default-signal").arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => vaurien.env(name, value),
            None => vaurien.env_remove(name),
        };
    }
    vaurien.args(["--backend", &backend.address().to_string(), "--"]).args(command).stdin(Stdio::null());
    vaurien
}

/// What `around` the command says in the end.
fn run(backend: &Backend, options: &str, command: &[&str]) -> Ran {
    Ran::from(around(backend, options, command).output().unwrap())
}

/// The same for a script of the shell.
fn run_script(backend: &Backend, options: &str, script: &str) -> Ran {
    run(backend, options, &["sh", "-c", script])
}

/// What a run came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Ended with this code.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Said so on standard error, on one line.
    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.lines().any(|line| line.contains(text)), "no {text:?}: {self:#?}");
        self
    }

    #[track_caller]
    fn never_says(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?}: {self:#?}");
        self
    }
}

/// Sends the program a signal.
fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}
