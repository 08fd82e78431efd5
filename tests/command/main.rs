//! Running a command in front of the proxies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod ends;
mod exit_codes;
mod expectations;
mod left;
mod no_silent_green;
mod no_tls;
mod ready_file;
mod repeat;
mod report;
mod terminal;
mod told;
mod waiting;

use std::process::{Child, Command, Output, Stdio};

use world::{Backend, Program};

/// `vaurien` with these options, split at blanks, in front of `backend`, with the command after `--`.
fn around(backend: &Backend, options: &str, command: &[&str]) -> Command {
    let plain = Program::command(options);
    // The tests themselves may run with signals ignored.
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

/// Runs the command and collects its output.
fn run(backend: &Backend, options: &str, command: &[&str]) -> Ran {
    Ran::from(around(backend, options, command).output().unwrap())
}

/// The same for a shell script.
fn run_script(backend: &Backend, options: &str, script: &str) -> Ran {
    run(backend, options, &["sh", "-c", script])
}

/// A run that has ended.
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
    /// Its exit code is this.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// A line of its standard error contains this.
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
