//! The program: arguments, logging, run, one error line, exit code.

mod api;
mod atomic_file;
pub mod cli;
mod command;
pub mod config;
mod demo;
mod expectation;
mod export;
mod health;
mod logging;
mod output;
mod report;
mod run;
mod systemd;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use tracing::{error, warn};

use crate::handler::Registry;
use crate::program::cli::{Check, Exit};
use crate::program::command::{CannotRun, Signals};
use crate::program::config::{Config, Format};
use crate::program::run::runner;

/// How many connections with news are looked after before others are asked for theirs. With 128 connections in ping-pong
/// the slowest of a hundred calls takes 0.81 of the time that it takes with tokio's default of 1024.
const EVENTS: usize = 16;

/// The exit code of a daemon that failed.
const FAILED: u8 = 1;

/// The exit code for a wrong command line or file.
const WRONG_USE: u8 = 2;

/// The exit code where a command was to be run, and the program itself is what failed: 1 and 2 are the command's.
const OWN_FAILURE: u8 = 125;

/// Runs the program with the handlers of `registry`: a program with handlers of its own needs no more than this.
///
/// Exit codes of a daemon: 0 when it was asked to stop, 1 when it failed while running, 2 for a wrong command line or file,
/// 3 when an expectation was not met. Where it runs a command: that of the command, 128 and its number when a signal ended
/// the command, 3 when the command succeeded and an expectation was not met, 124 when the command took too long, 125 when the program
/// itself failed, 126 when the command cannot be executed, 127 when there is no such command.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let config = match read(registry) {
        Ok(config) => config,
        Err(exit) => return leave(exit),
    };
    logging::start(config.log);
    let runs_a_command = !config.run.command.is_empty();
    let is_json = config.log.format == Format::Json;
    let exit_code = run(config, registry).unwrap_or_else(|error| {
        if is_json {
            error!("{error:#}");
        } else {
            complain(format_args!("{error:#}"));
        }
        exit_code(&error, runs_a_command)
    });
    ExitCode::from(exit_code)
}

/// The exit code that tells of the program's own failure.
pub(crate) fn exit_code(error: &anyhow::Error, runs_a_command: bool) -> u8 {
    let failed = if runs_a_command { OWN_FAILURE } else { FAILED };
    error.downcast_ref::<CannotRun>().map_or(failed, |error| error.exit_code)
}

/// What command line, variables and file ask for now.
pub(crate) fn read(registry: &Registry) -> Result<Config, Exit> {
    Config::from_args(std::env::args_os(), |name| std::env::var(name).ok(), registry)
}

/// Does what was asked for instead, or says what is wrong.
fn leave(exit: Exit) -> ExitCode {
    match exit {
        Exit::Text(text) => say(&text),
        Exit::Check(Check { lines, warnings, log }) => {
            logging::start(log);
            for warning in &warnings {
                warn!("{warning}");
            }
            say(&lines)
        }
        Exit::Health(address) => match health::ask(&address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(ill) => {
                complain(format_args!("{}: {ill}", health::url(&address)));
                ExitCode::from(FAILED)
            }
        },
        Exit::Diagnostics(mistakes) => {
            mistakes.iter().for_each(|mistake| complain(format_args!("{mistake}")));
            let options: Vec<_> = std::env::args_os().take_while(|arg| arg != "--").collect();
            let runs_a_command =
                options.len() < std::env::args_os().len() && !options.iter().any(|arg| arg == "--check");
            ExitCode::from(if runs_a_command { OWN_FAILURE } else { WRONG_USE })
        }
    }
}

/// Says what was asked for. A reader that has seen enough, such as `head`, is no failure.
fn say(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says what is wrong; if nobody reads it, the exit code still tells.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "vaurien: {what}");
}

fn run(config: Config, registry: &Registry) -> anyhow::Result<u8> {
    let descriptors = rlimit::Resource::NOFILE.get().map(|(soft, _)| soft);
    // Where the limit cannot be raised, running out of descriptors is met when it happens.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // Before there are other threads.
    let signals = if config.run.command.is_empty() { None } else { Some(Signals::listen()?) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_io_events_per_tick(EVENTS)
        .enable_all()
        .build()
        .context("cannot start")?;
    let exit_code = runtime.block_on(async {
        match signals {
            Some(signals) => runner::of_a_command(config, registry, signals, descriptors.ok()).await,
            None => runner::of_a_daemon(config, registry).await,
        }
    });
    // Resolving a name cannot be broken off. It is not waited for.
    runtime.shutdown_background();
    exit_code
}
