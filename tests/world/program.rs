//! The program as its user runs it: arguments in, lines on standard error and an exit code out.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::{Backend, Client, PATIENCE};

/// A running `vaurien`, ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    address: SocketAddr,
}

impl Program {
    /// Starts it in front of `backend` on a free port, and waits until it is ready. `arguments` are split at blanks.
    pub(crate) fn start(backend: &Backend, arguments: &str) -> Self {
        Self::start_at(&backend.address().to_string(), arguments)
    }

    /// The same in front of any address.
    pub(crate) fn start_at(backend: &str, arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
        command.args(["--proxy", "127.0.0.1:0", "--backend", backend]).args(arguments.split_ascii_whitespace());
        Self::spawn(&mut command)
    }

    /// Starts `command`, whose lines say when it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut program = Self { child, lines, seen: Vec::new(), address };
        let ready = program.line("ready: ");
        let (_, rest) = ready.split_once("ready: ").unwrap();
        program.address = rest.split([' ', ',']).next().unwrap().parse().unwrap();
        program
    }

    /// The next line that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}), but: {:#?}", self.seen),
            }
        }
    }

    /// The lines that were read so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The most memory that it has had at once, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends it a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Asks it to stop, and answers what it said last: its counts.
    pub(crate) fn stop(mut self) -> Counts {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        let lines: Vec<String> = self.seen.drain(..).chain(self.lines.iter()).collect();
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        Counts { lines }
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program counted.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) lines: Vec<String>,
}

impl Counts {
    /// The number before or after `word` in the last lines: `12 calls`, `3 opaque`.
    pub(crate) fn of(&self, what: &str) -> u64 {
        let line = self.lines.iter().rev().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no count of {what:?} in {:#?}", self.lines));
        let (before, _) = line.split_once(what).unwrap();
        let number = before.trim_end().rsplit([' ', ',', ':']).next().unwrap();
        number.parse().unwrap_or_else(|_| panic!("no number before {what:?} in {line:?}"))
    }

    /// How many calls a handler took.
    pub(crate) fn calls(&self, handler: &str) -> u64 {
        let start = format!(" {handler}: ");
        let line = self.lines.iter().rev().find(|line| line.contains(&start));
        let line = line.unwrap_or_else(|| panic!("no line of {handler:?} in {:#?}", self.lines));
        line.split_once(&start).unwrap().1.split(' ').next().unwrap().parse().unwrap()
    }
}
