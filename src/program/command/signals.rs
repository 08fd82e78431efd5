//! Signals to the program while a command runs: they go on to the command.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What a command has to hear of: what would end the program, and is no sign of a mistake of its own.
const PASSED_ON: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
];

/// What a shell lets everything ignore that it starts in the background, be it meant or not. Like a daemon, a command hears
/// of them.
pub(super) const INTERRUPTS: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];

/// A signal that came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    pub(crate) signal: Signal,
    /// It was typed at the terminal, which has told the command as well.
    pub(crate) typed: bool,
}

impl Came {
    /// Whether it asks for the end of everything.
    pub(crate) fn is_to_end(self) -> bool {
        !matches!(self.signal, Signal::SIGUSR1 | Signal::SIGUSR2)
    }
}

/// The signals to the program, from when this is made.
#[derive(Debug)]
pub(crate) struct Signals(UnboundedReceiver<Came>);

impl Signals {
    /// To be made before there are other threads, which would take the signals in their own way.
    ///
    /// # Errors
    ///
    /// Signals cannot be waited for.
    pub(crate) fn listen() -> io::Result<Self> {
        // What is ignored, as behind `nohup`, is to stay so, also for the command.
        let ignored = system::ignored();
        let is_left = |signal: &Signal| is_in(*signal, ignored) && !INTERRUPTS.contains(signal);
        let signals: SigSet = PASSED_ON.into_iter().filter(|signal| !is_left(signal)).collect();
        signals.thread_block()?;
        let next = system::listen(signals)?;
        let (tell, told) = unbounded_channel();
        let wait = move || {
            loop {
                match next() {
                    Ok(came) if tell.send(came).is_ok() => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Self(told))
    }

    /// One that asks for the end of everything, if it came by now.
    pub(crate) fn asked(&mut self) -> Option<Signal> {
        std::iter::from_fn(|| self.0.try_recv().ok()).find(|came| came.is_to_end()).map(|came| came.signal)
    }

    /// The next one. A call that is given up loses nothing.
    pub(crate) async fn next(&mut self) -> Came {
        match self.0.recv().await {
            Some(came) => came,
            // Whoever waits for it has failed, and no signal will come.
            None => std::future::pending().await,
        }
    }
}

/// Whether the set of the system, a bit a signal, has it.
fn is_in(signal: Signal, set: u64) -> bool {
    set & (1 << (signal as i32 - 1)) != 0
}

/// Where the system tells who sent a signal.
#[cfg(target_os = "linux")]
mod system {
    use nix::sys::signalfd::{SfdFlags, SignalFd};

    use super::{Came, SigSet, Signal, io};

    /// The kernel itself, rather than a process.
    const KERNEL: i32 = 0x80;

    /// Signals that are ignored.
    pub(super) fn ignored() -> u64 {
        let status = procfs::process::Process::myself().and_then(|process| process.status());
        status.map(|status| status.sigign).unwrap_or_default()
    }

    pub(super) fn listen(signals: SigSet) -> io::Result<impl Fn() -> io::Result<Came>> {
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
        Ok(move || {
            let info = signals.read_signal()?.ok_or(io::ErrorKind::WouldBlock)?;
            Ok(Came { signal: Signal::try_from(info.ssi_signo.cast_signed())?, typed: info.ssi_code == KERNEL })
        })
    }
}

/// Elsewhere a signal that can be typed was, where there is a terminal.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::IsTerminal;

    use super::{Came, SigSet, Signal, io};

    pub(super) fn ignored() -> u64 {
        0
    }

    pub(super) fn listen(signals: SigSet) -> io::Result<impl Fn() -> io::Result<Came>> {
        Ok(move || {
            let signal = signals.wait()?;
            let typed = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && io::stdin().is_terminal();
            Ok(Came { signal, typed })
        })
    }
}
