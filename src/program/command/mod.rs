//! The command that is run in front of the proxies.

mod again;
mod end;
mod given;
mod process;
mod signals;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use rlimit::Resource;
use tokio::time::sleep;
use tracing::warn;

pub(crate) use again::{Again, typed};
pub(crate) use end::End;
pub(crate) use given::{About, GIVEN, Given, Word, told_twice, variable};
pub(crate) use signals::Signals;

use process::Process;

/// The exit code for a command that is there and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The exit code for a command that is not there.
const NOT_FOUND: u8 = 127;

/// The command could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct CannotRun {
    what: String,
    /// What the program exits with.
    pub(crate) exit_code: u8,
}

impl CannotRun {
    fn new(command: &OsString, error: &io::Error) -> Self {
        let is_there = command.as_bytes().contains(&b'/') && Path::new(command).exists();
        let command = command.display();
        let (what, exit_code) = match error.kind() {
            io::ErrorKind::NotFound if is_there => {
                (format!("`{command}`: what it is to be run by is not there"), NOT_FOUND)
            }
            io::ErrorKind::NotFound => (format!("`{command}`: there is no such command"), NOT_FOUND),
            _ => (format!("`{command}` cannot be executed: {}", crate::error::plain(error)), NOT_EXECUTABLE),
        };
        Self { what, exit_code }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) end: End,
    /// A signal to the program that asked for the end of everything.
    pub(crate) asked: Option<Signal>,
}

/// Runs `command`, which may have so many descriptors open, until it ends, or until it has to be ended; then nothing that it
/// started is left.
///
/// # Errors
///
/// [`CannotRun`] when it cannot be started.
pub(crate) async fn run(
    command: &[OsString],
    given: &Given,
    timeout: Option<Duration>,
    descriptors: Option<u64>,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    let [program, arguments @ ..] = command else { anyhow::bail!("there is no command") };
    let mut words = vec![program.clone()];
    words.extend(arguments.iter().map(|argument| given.fill(argument)));
    let environment = given.environment();
    let started = with_descriptors(descriptors, || Process::start(&words, &environment));
    let mut process = started.map_err(|error| CannotRun::new(program, &error))?;
    let mut asked = None;
    let mut too_long = std::pin::pin!(async {
        match timeout {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    });
    let end = loop {
        tokio::select! {
            end = process.end() => break end,
            () = &mut too_long => break End::TimedOut,
            came = signals.next() => {
                if came.is_to_end() {
                    asked = Some(came.signal);
                }
                process.pass_on(came);
            }
        }
    };
    if end == End::TimedOut {
        warn!("the command has taken {}, and is ended", humantime::format_duration(timeout.unwrap_or_default()));
    }
    let is_killed = tokio::select! {
        () = process.end_all() => false,
        signal = end_of_everything(signals) => {
            asked = Some(signal);
            true
        }
    };
    if is_killed {
        process.kill_all().await;
    }
    Ok(Ended { end, asked })
}

/// The next signal that asks for the end of everything.
pub(crate) async fn end_of_everything(signals: &mut Signals) -> Signal {
    loop {
        let came = signals.next().await;
        if came.is_to_end() {
            return came.signal;
        }
    }
}

/// Does `start` with the limit of descriptors that the program itself found: some programs cannot do with more.
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
