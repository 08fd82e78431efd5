//! The program: arguments, logging, run, one error line, exit code.

// From what stands on nothing to what stands on all of it, as in the crate's root: a module uses those above it.

mod output; // opens a file, device or pipe without waiting for a reader

mod columns; // tables for terminals

mod atomic_file; // a file that appears complete

mod stderr; // written without waiting for its reader

mod logging; // lines on standard error
mod systemd; // readiness notifications

mod expectation; // `error>=1`, compared with counts
mod health; // asks a running daemon whether it is well

mod command; // runs a command and ends all that it started

mod exit_code; // what the program exits with

mod http_client; // requests to a running server

mod web; // the live page, and the style that reports share with it

mod report; // table, JSON, JUnit, HTML, annotations

mod export; // metrics, statsd, events file

mod toxiproxy_json; // proxies and toxics in Toxiproxy's JSON

mod tls; // the authority of `--tls auto`, and what a command trusts

pub mod config; // options from command line, variables and file, merged and checked

mod ctl; // `vaurien ctl`: changes a running daemon

pub mod cli; // flags, help, completions

mod api; // the HTTP API

mod toxiproxy; // Toxiproxy's HTTP API

mod demo; // `--demo`: a backend and a client

mod run; // the runs: services, signals, ready file

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tracing::{error, warn};

use crate::handler::Registry;
use crate::program::cli::{Check, Exit};
use crate::program::command::Signals;
use crate::program::config::{Config, Format};
use crate::program::http_client::Failure;
use crate::program::run::runner;
use crate::program::stderr::Stderr;
use crate::program::toxiproxy::Called;

/// Runs the program with the handlers of `registry`: all that a program with handlers of its own has to call.
///
/// Exit codes of a daemon: 0 when it was stopped, 1 when it failed while running, 2 for a wrong command line or file, 3 when
/// an expectation was not met. With a command: that of the command, 128 plus the number of the signal that ended it, 3 when it
/// succeeded and an expectation was not met or no call could meet the faults that were asked for, 124 when it timed out, 125 when the program itself failed, 126 when the command
/// cannot be executed, 127 when it was not found.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if called() == Some(Called::Cli) {
        let args: Vec<_> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
        let done = toxiproxy::cli::run(&args, std::env::var("TOXIPROXY_URL").ok().as_deref());
        return done.map_or_else(|failure| fail(&failure), |text| print(&text));
    }
    if called().is_none() && ctl::is_asked(&args) {
        let done = ctl::run(&args[1..], |name| std::env::var_os(name));
        return done.map_or_else(|failure| fail(&failure), |()| ExitCode::SUCCESS);
    }
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
            print_error(format_args!("{error:#}"));
        }
        exit_code::of_failure(&error, runs_a_command)
    });
    stderr::finish();
    ExitCode::from(exit_code)
}

/// Reads the command line, the variables and the file as they are now.
fn read(registry: &Registry) -> Result<Config, Exit> {
    let (args, environment) = (std::env::args_os(), std::env::vars_os());
    match called() {
        Some(Called::Server) => toxiproxy::server::read(args, environment, registry),
        _ => Config::from_args(args, environment, registry),
    }
}

/// Whether the program is called by the name of one of Toxiproxy's.
fn called() -> Option<Called> {
    Called::by(&std::env::args_os().next()?)
}

/// Does what was asked for instead of a run, or prints what is wrong.
fn leave(exit: Exit) -> ExitCode {
    match exit {
        Exit::Text(text) => print(&text),
        Exit::Check(Check { lines, warnings, log }) => {
            logging::start(log);
            for warning in &warnings {
                warn!("{warning}");
            }
            print(&lines)
        }
        Exit::Health(address) => match health::check(&address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                print_error(format_args!("{}: {error}", health::url(&address)));
                ExitCode::from(exit_code::FAILED)
            }
        },
        Exit::Diagnostics(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| print_error(format_args!("{diagnostic}")));
            let options: Vec<_> = std::env::args_os().take_while(|arg| arg != "--").collect();
            let runs_a_command =
                options.len() < std::env::args_os().len() && !options.iter().any(|arg| arg == "--check");
            ExitCode::from(if runs_a_command { exit_code::OWN_FAILURE } else { exit_code::WRONG_USE })
        }
    }
}

/// Says why a command that asks a server is not done.
fn fail(failure: &Failure) -> ExitCode {
    print_error(format_args!("{failure}"));
    ExitCode::from(failure.exit_code())
}

/// Prints what was asked for. A reader that stops early, such as `head`, is no failure.
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints what is wrong, after the name that the program was called by. If standard error is closed, the exit code remains.
fn print_error(what: fmt::Arguments<'_>) {
    let program = std::env::args_os().next().unwrap_or_default();
    let called = Called::by(&program).and_then(|_| Path::new(&program).file_name()?.to_str());
    let name = called.unwrap_or("vaurien");
    let _ = Stderr.write_all(format!("{name}: {what}\n").as_bytes());
}

fn run(config: Config, registry: &Registry) -> anyhow::Result<u8> {
    let descriptors = rlimit::Resource::NOFILE.get().map(|(soft, _)| soft);
    // If the limit cannot be raised, the accept loop handles running out of descriptors.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // Before there are other threads.
    let signals = if config.run.command.is_empty() { None } else { Some(Signals::listen()?) };
    stderr::start().context("cannot start")?;
    // Connections have workers of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let exit_code = runtime.block_on(runner::run(config, registry, read, signals, descriptors.ok()));
    // Looking up a name cannot be cancelled: do not wait for it.
    runtime.shutdown_background();
    exit_code
}
