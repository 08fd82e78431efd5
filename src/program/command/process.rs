//! A child process and all processes that it starts.

use std::collections::HashSet;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpgid};
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::End;
use super::signals::{INTERRUPTS, Received};

/// How long processes that the command left behind have to exit by themselves: they may have something to write.
const LINGER: Duration = Duration::from_millis(500);

/// How long processes have to exit after SIGTERM or SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a script that has no `#!` line.
const SHELL: &str = "/bin/sh";

/// A command that was started, in the program's own process group: a signal from the terminal reaches both, and so does
/// one to the whole group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// SIGCHLD: a process has ended.
    ended: tokio::signal::unix::Signal,
    status: Option<End>,
    /// Processes that existed before, which the command did not start.
    before: HashSet<Known>,
}

/// Identifies a process even if its number is used again: the number and the start time.
type Known = (i32, u64);

impl Process {
    /// Starts `command`, whose first word is looked up in `PATH`, with `variables` as its whole environment.
    /// [`io::ErrorKind::NotFound`] says that there is no such program.
    pub(super) fn start(command: &[OsString], variables: &[(OsString, OsString)]) -> io::Result<Self> {
        // Before the command starts, so that its end is not missed.
        let ended = signal(SignalKind::child())?;
        let before = family().into_iter().map(|process| process.known).collect();
        adopt_orphans()?;
        let pid = match spawn(command, variables) {
            Err(nix::errno::Errno::ENOEXEC) => spawn(&[&[OsString::from(SHELL)], command].concat(), variables)?,
            started => started?,
        };
        Ok(Self { pid, ended, status: None, before })
    }

    /// Waits for its end. Cancel safe.
    pub(super) async fn end(&mut self) -> End {
        loop {
            self.reap();
            if let Some(end) = self.status {
                return end;
            }
            self.ended.recv().await;
        }
    }

    /// Forwards a signal to it, unless the terminal has sent it to the whole group.
    pub(super) fn forward(&self, received: Received) {
        let has_it = received.to_group && getpgid(Some(self.pid)) == getpgid(None);
        if !has_it {
            let _ = kill(self.pid, received.signal);
        }
        if received.stops() {
            // A suspended process does not handle signals.
            let _ = kill(self.pid, Signal::SIGCONT);
        }
    }

    /// Waits a moment for all that it started, sends SIGTERM to what is left, and after a while SIGKILL.
    pub(super) async fn end_all(&mut self) {
        if self.status.is_some() && self.are_gone_by(Instant::now() + LINGER, None).await {
            return;
        }
        let left = self.all().len();
        if self.status.is_some() && left > 0 {
            warn!("the command left {left} process{} running, stopping", if left == 1 { "" } else { "es" });
        }
        self.signal_all(Signal::SIGTERM);
        if !self.are_gone_by(Instant::now() + GRACE, None).await {
            self.kill_all().await;
        }
    }

    /// Kills it and all that it started, including what they start meanwhile.
    pub(super) async fn kill_all(&mut self) {
        self.signal_all(Signal::SIGKILL);
        if !self.are_gone_by(Instant::now() + GRACE, Some(Signal::SIGKILL)).await {
            let left: Vec<String> = self.all().iter().map(Pid::to_string).collect();
            if !left.is_empty() {
                warn!("processes of the command do not end: {}", left.join(", "));
            }
        }
    }

    /// Whether all have ended by the `deadline`. Whenever one ends, the others get `signal`, if there is one.
    async fn are_gone_by(&mut self, deadline: Instant, signal: Option<Signal>) -> bool {
        while self.reap() && !self.all().is_empty() {
            if timeout_at(deadline, self.ended.recv()).await.is_err() {
                return false;
            }
            if let Some(signal) = signal {
                self.signal_all(signal);
            }
        }
        true
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.all() {
            let _ = kill(pid, signal);
            // A suspended process does not handle signals.
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    /// Reaps all children that have ended. Whether there are others.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.pid.as_raw() => self.status = end(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// It and all that it started, as far as they run. Only Linux tells the latter.
    fn all(&self) -> Vec<Pid> {
        if cfg!(not(target_os = "linux")) {
            return if self.status.is_none() { vec![self.pid] } else { Vec::new() };
        }
        let family = family();
        let mut ours: Vec<i32> = vec![Pid::this().as_raw()];
        let mut next = 0;
        while let Some(&parent) = ours.get(next) {
            let children =
                family.iter().filter(|process| process.parent == parent && !self.before.contains(&process.known));
            ours.extend(children.map(|process| process.known.0));
            next += 1;
        }
        let lives = |pid: &i32| family.iter().any(|process| process.known.0 == *pid && process.lives);
        ours.into_iter().skip(1).filter(lives).map(Pid::from_raw).collect()
    }
}

fn spawn(command: &[OsString], variables: &[(OsString, OsString)]) -> nix::Result<Pid> {
    let text = |word: Vec<u8>| CString::new(word).map_err(|_| nix::errno::Errno::EINVAL);
    let arguments = command.iter().map(|argument| text(argument.as_bytes().to_vec()));
    let arguments = arguments.collect::<nix::Result<Vec<_>>>()?;
    let variables = variables.iter().map(|(name, value)| text([&**name, value].join(OsStr::new("=")).into_vec()));
    let variables = variables.collect::<nix::Result<Vec<_>>>()?;
    let mut attributes = PosixSpawnAttr::init()?;
    // The child gets signals as if the program had not changed them, and interrupts as in the foreground.
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&INTERRUPTS.into_iter().chain([Signal::SIGPIPE]).collect())?;
    let program = arguments.first().ok_or(nix::errno::Errno::ENOENT)?;
    posix_spawnp(program, &PosixSpawnFileActions::init()?, &attributes, &arguments, &variables)
}

fn end(status: WaitStatus) -> Option<End> {
    let code = |code: i32| u8::try_from(code & 0xff).unwrap_or(u8::MAX);
    let exited = status.exit_status().map(|status| End::Exited { code: code(status) });
    exited.or_else(|| status.terminating_signal().map(|signal| End::Signalled { signal }))
}

/// A process on this machine.
struct Relative {
    known: Known,
    parent: i32,
    /// It is not a zombie.
    lives: bool,
}

/// All processes.
#[cfg(target_os = "linux")]
fn family() -> Vec<Relative> {
    let processes = procfs::process::all_processes().into_iter().flatten().filter_map(|process| {
        let stat = process.ok()?.stat().ok()?;
        // A process whose first thread has ended runs as long as another thread does.
        let lives = stat.state != 'Z' || stat.num_threads > 1;
        Some(Relative { known: (stat.pid, stat.starttime), parent: stat.ppid, lives })
    });
    processes.collect()
}

#[cfg(not(target_os = "linux"))]
fn family() -> Vec<Relative> {
    Vec::new()
}

/// A process whose parent ends becomes the program's child, so that it is found.
fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(())
}
