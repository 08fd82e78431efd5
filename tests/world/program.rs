//! The program as its user runs it: arguments in, lines on standard error and an exit code out.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Api, Backend, Client, PATIENCE, eventually};

/// A running `vaurien`, ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    /// Reads its lines until nobody wants them any more.
    reader: Option<JoinHandle<()>>,
    lines: Receiver<String>,
    seen: Vec<String>,
    addresses: Vec<SocketAddr>,
    seed: String,
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

    /// The program with these arguments, and no variables of its own but those that a test gives it.
    pub(crate) fn command(arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VAURIEN_")) {
            command.env_remove(name);
        }
        command.args(arguments.split_ascii_whitespace());
        command
    }

    /// Starts it in front of `backend` with room for so many descriptors and no more.
    pub(crate) fn start_with_descriptors(limit: usize, backend: &Backend, arguments: &str) -> Self {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_vaurien"), "--proxy", "127.0.0.1:0"]);
        command.args(["--backend", &backend.address().to_string()]).args(arguments.split_ascii_whitespace());
        Self::spawn(&mut command)
    }

    /// Starts `command`, whose lines say when it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_stdout(command, Stdio::null())
    }

    /// The same, with what it says on standard output going to `stdout`.
    pub(crate) fn spawn_with_stdout(command: &mut Command, stdout: Stdio) -> Self {
        let mut program = Self::launch(command.stdout(stdout));
        let ready = program.line("ready: ");
        let (_, rest) = ready.split_once("ready: ").unwrap();
        let (what, seed) = rest.split_once(", seed ").unwrap();
        // Several are announced each on a line of its own, and the API tells where they are.
        if let Some((addresses, _)) = what.split_once(" -> ") {
            program.addresses = addresses.split(" and ").map(|address| address.parse().unwrap()).collect();
        }
        program.seed = seed.chars().take_while(char::is_ascii_digit).collect();
        program
    }

    /// Runs `command` until it ends by itself.
    pub(crate) fn run(command: &mut Command) -> Ended {
        let mut program = Self::launch(command.stdout(Stdio::piped()));
        let code = program.wait();
        let mut stdout = String::new();
        program.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Ended { code, stdout, lines: program.lines.iter().collect() }
    }

    fn launch(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        let reader = thread::spawn(move || {
            let _ = stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line));
        });
        Self { child, reader: Some(reader), lines, seen: Vec::new(), addresses: Vec::new(), seed: String::new() }
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

    /// Wants no more of its lines: once it has said one more, its standard error is a broken pipe, and the thread ends.
    pub(crate) fn stop_listening(&mut self) -> JoinHandle<()> {
        self.lines = channel().1;
        self.reader.take().unwrap()
    }

    /// The lines that were read so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Where it listens, or the first such place.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where its HTTP API is.
    pub(crate) fn api(&self) -> Api {
        let address = self.seen.iter().find_map(|line| line.split_once("HTTP API on http://"));
        Api(address.expect("it has one").1.trim_end().parse().unwrap())
    }

    /// The seed that it says it has.
    pub(crate) fn seed(&self) -> &str {
        &self.seed
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The lowest number that none of its descriptors has: with this as its limit it can open no other.
    pub(crate) fn next_descriptor(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let open: BTreeSet<u64> = open.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        (0..=open.len() as u64).find(|number| !open.contains(number)).unwrap()
    }

    /// The most memory that it has had at once, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that it has, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The processor time that it has used.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name, in parentheses, may contain anything; behind it the 12th and 13th are user and system time.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        // Of these ticks Linux counts a hundred a second on every machine.
        Duration::from_millis(ticks.sum::<u64>() * 10)
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
    pub(crate) fn stop(self) -> Counts {
        self.signal("TERM");
        self.stopped()
    }

    /// What it said, to its last line, once it has stopped as it was asked to.
    pub(crate) fn stopped(mut self) -> Counts {
        let code = self.wait();
        let lines: Vec<String> = self.seen.drain(..).chain(self.lines.iter()).collect();
        assert_eq!(code, Some(0), "{lines:#?}");
        Counts { lines }
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// What it said on standard error.
    pub(crate) lines: Vec<String>,
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
        // A row of the table: perhaps the proxy, the handler, and its calls.
        let calls = |line: &String| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let at = words.iter().take(2).position(|word| *word == handler)?;
            words.get(at + 1)?.parse().ok()
        };
        self.lines.iter().rev().find_map(calls).unwrap_or_else(|| panic!("no row of {handler:?} in {:#?}", self.lines))
    }
}

/// Whether the program with `arguments` ends with `code`, having complained in these lines and printed nothing.
#[track_caller]
pub(crate) fn assert_complains(arguments: &str, code: i32, lines: &[&str]) {
    let ended = Program::run(&mut Program::command(arguments));
    let expected: Vec<String> = lines.iter().map(|line| format!("vaurien: {line}")).collect();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.lines), (Some(code), "", expected), "{arguments}");
}
