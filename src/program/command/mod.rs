//! Runs a command in front of the proxies.

mod again;
mod child_env;
mod process;
mod signals;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::Signal;
use rlimit::Resource;
use serde::Serialize;
use tokio::time::sleep;
use tracing::warn;

use crate::duration::Seconds;
use crate::error::plain;

pub(crate) use again::{Again, typed};
pub(crate) use child_env::{ChildEnv, GIVEN, Placeholder, Subject, conflict, variable};
pub(crate) use signals::Signals;

use process::Process;

/// Why the command, which each of these names, could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotRun {
    #[error("`{0}`: command not found")]
    NotFound(String),
    /// It is a script whose first line names a program that does not exist.
    #[error("`{0}`: its interpreter does not exist, see its first line")]
    NoInterpreter(String),
    #[error("`{0}` cannot be executed: {1}")]
    NotExecutable(String, String),
}

impl CannotRun {
    fn new(command: &OsString, error: &io::Error) -> Self {
        let exists = command.as_bytes().contains(&b'/') && Path::new(command).exists();
        let command = command.display().to_string();
        match error.kind() {
            io::ErrorKind::NotFound if exists => Self::NoInterpreter(command),
            io::ErrorKind::NotFound => Self::NotFound(command),
            _ => Self::NotExecutable(command, plain(error)),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum End {
    /// The daemon was asked to stop.
    Stopped,
    /// The command exited by itself.
    Exited { code: u8 },
    /// A signal ended the command.
    Signalled { signal: i32 },
    /// The command took longer than `--timeout` and was stopped.
    TimedOut,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Stopped => write!(f, "stopped"),
            Self::Exited { code } => write!(f, "exit code {code}"),
            Self::Signalled { signal } => match Signal::try_from(signal) {
                Ok(signal) => write!(f, "ended by {signal}"),
                // Real-time signals have no names.
                Err(_) => write!(f, "ended by signal {signal}"),
            },
            Self::TimedOut => write!(f, "timed out"),
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) end: End,
    /// The signal that asked the program to stop, if one did.
    pub(crate) stopped_by: Option<Signal>,
}

/// Runs `command` with a soft limit of `descriptors` until it exits, or until the timeout or a signal ends it. No process
/// that it started is left afterwards.
/// Fails with [`CannotRun`] if it cannot be started.
pub(crate) async fn run(
    command: &[OsString],
    child_env: &ChildEnv,
    timeout: Option<Seconds>,
    descriptors: Option<u64>,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    let [program, arguments @ ..] = command else { anyhow::bail!("no command given") };
    let mut words = vec![program.clone()];
    words.extend(arguments.iter().map(|argument| child_env.fill(argument)));
    let environment = child_env.environment();
    let started = with_descriptors(descriptors, || Process::start(&words, &environment));
    let mut process = started.map_err(|error| CannotRun::new(program, &error))?;
    let mut stopped_by = None;
    let mut too_long = std::pin::pin!(async {
        match timeout {
            Some(time) => sleep(time.duration()).await,
            None => std::future::pending().await,
        }
    });
    let end = loop {
        tokio::select! {
            end = process.end() => break end,
            () = &mut too_long => break End::TimedOut,
            received = signals.next() => {
                if received.stops() {
                    stopped_by = Some(received.signal);
                }
                process.forward(received);
            }
        }
    };
    if end == End::TimedOut {
        warn!("the command has run for {}, stopping it", timeout.unwrap_or_default());
    }
    let is_killed = tokio::select! {
        () = process.end_all() => false,
        signal = signals.next_stop() => {
            stopped_by = Some(signal);
            true
        }
    };
    if is_killed {
        process.kill_all().await;
    }
    Ok(Ended { end, stopped_by })
}

/// Calls `start` with the soft limit of descriptors that the program itself was started with: some programs fail under a
/// higher one.
fn with_descriptors<T>(limit: Option<u64>, start: impl FnOnce() -> T) -> T {
    let ours = Resource::NOFILE.get().ok().zip(limit);
    if let Some(((_, hard), limit)) = ours {
        let _ = Resource::NOFILE.set(limit, hard);
    }
    let started = start();
    if let Some(((soft, hard), _)) = ours {
        let _ = Resource::NOFILE.set(soft, hard);
    }
    started
}
