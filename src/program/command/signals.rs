//! Signals to the program while a command runs: they are forwarded to the command.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Signals that are forwarded: those that would end the program and do not report a fault of its own, such as SIGSEGV.
const FORWARDED: [Signal; 10] = [
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

/// Signals that a shell sets to be ignored in everything that it starts in the background. They are forwarded nevertheless,
/// as a daemon handles them.
pub(super) const INTERRUPTS: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// The terminal has sent it to its whole foreground group, and so to the command as well.
    pub(crate) to_group: bool,
}

impl Received {
    /// Whether it asks the program to stop.
    pub(crate) fn stops(self) -> bool {
        !matches!(self.signal, Signal::SIGUSR1 | Signal::SIGUSR2)
    }
}

/// The signals that the program receives from now on.
#[derive(Debug)]
pub(crate) struct Signals(UnboundedReceiver<Received>);

impl Signals {
    /// Call it before other threads exist: signals sent to those would not be blocked.
    pub(crate) fn listen() -> io::Result<Self> {
        // What is ignored, as under `nohup`, stays ignored, also in the command.
        let ignored = system::ignored();
        let stays_ignored = |signal: &Signal| is_in(*signal, ignored) && !INTERRUPTS.contains(signal);
        let signals: SigSet = FORWARDED.into_iter().filter(|signal| !stays_ignored(signal)).collect();
        signals.thread_block()?;
        let next = system::listen(signals)?;
        let (sender, signals) = unbounded_channel();
        let wait = move || {
            loop {
                match next() {
                    Ok(received) if sender.send(received).is_ok() => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Self(signals))
    }

    /// A signal that asks the program to stop, if one has arrived.
    pub(crate) fn stop_received(&mut self) -> Option<Signal> {
        std::iter::from_fn(|| self.0.try_recv().ok()).find(|received| received.stops()).map(|received| received.signal)
    }

    /// The next signal that asks the program to stop.
    pub(crate) async fn next_stop(&mut self) -> Signal {
        loop {
            let received = self.next().await;
            if received.stops() {
                return received.signal;
            }
        }
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Some(received) => received,
            // The thread that waits for signals has failed: no more will come.
            None => std::future::pending().await,
        }
    }
}

/// Whether `set`, one bit for each signal, has it.
fn is_in(signal: Signal, set: u64) -> bool {
    set & (1 << (signal as i32 - 1)) != 0
}

/// Linux tells who sent a signal.
#[cfg(target_os = "linux")]
mod system {
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    use nix::unistd::{getpid, getsid};

    use super::{Received, SigSet, Signal, io};

    /// `SI_KERNEL`: sent by the kernel, as for the terminal.
    const KERNEL: i32 = 0x80;

    /// The signals that are ignored, one bit for each.
    pub(super) fn ignored() -> u64 {
        let status = procfs::process::Process::myself().and_then(|process| process.status());
        status.map(|status| status.sigign).unwrap_or_default()
    }

    pub(super) fn listen(signals: SigSet) -> io::Result<impl Fn() -> io::Result<Received>> {
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
        Ok(move || {
            let info = signals.read_signal()?.ok_or(io::ErrorKind::WouldBlock)?;
            let signal = Signal::try_from(info.ssi_signo.cast_signed())?;
            let to_group = info.ssi_code == KERNEL
                && match signal {
                    Signal::SIGINT | Signal::SIGQUIT => true,
                    // A terminal that hangs up tells the leader of its session; its foreground group hears of it when that ends.
                    Signal::SIGHUP => getsid(None) != Ok(getpid()),
                    // A timer or a limit of this process.
                    _ => false,
                };
            Ok(Received { signal, to_group })
        })
    }
}

/// Other systems do not tell: SIGINT and SIGQUIT count as typed if there is a terminal.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io::IsTerminal;

    use super::{Received, SigSet, Signal, io};

    pub(super) fn ignored() -> u64 {
        0
    }

    pub(super) fn listen(signals: SigSet) -> io::Result<impl Fn() -> io::Result<Received>> {
        Ok(move || {
            let signal = signals.wait()?;
            let to_group = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && io::stdin().is_terminal();
            Ok(Received { signal, to_group })
        })
    }
}
