//! The program as a user runs it: arguments in, lines on standard error and an exit code out.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Api, Backend, Client, PATIENCE, eventually};

/// A running `vaurien`, ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    /// The thread that reads standard error until nobody needs more lines.
    reader: Option<JoinHandle<()>>,
    lines: Receiver<String>,
    seen: Vec<String>,
    addresses: Vec<SocketAddr>,
    seed: String,
}

impl Program {
    /// Starts the program in front of `backend` on a free port, and waits until it is ready. `arguments` are split at
    /// blanks.
    pub(crate) fn start(backend: &Backend, arguments: &str) -> Self {
        Self::start_at(&backend.address().to_string(), arguments)
    }

    /// The same in front of any address.
    pub(crate) fn start_at(backend: &str, arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
        command.args(["--proxy", "127.0.0.1:0", "--backend", backend]).args(arguments.split_ascii_whitespace());
        Self::spawn(&mut command)
    }

    /// A command for the program with these arguments, and without variables from the test's environment.
    pub(crate) fn command(arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VAURIEN_")) {
            command.env_remove(name);
        }
        command.args(arguments.split_ascii_whitespace());
        command
    }

    /// The same with at most `limit` descriptors.
    pub(crate) fn start_with_descriptors(limit: usize, backend: &Backend, arguments: &str) -> Self {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_vaurien"), "--proxy", "127.0.0.1:0"]);
        command.args(["--backend", &backend.address().to_string()]).args(arguments.split_ascii_whitespace());
        Self::spawn(&mut command)
    }

    /// Starts `command` and waits until it logs that it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_stdout(command, Stdio::null())
    }

    /// The same, with its standard output going to `stdout`.
    pub(crate) fn spawn_with_stdout(command: &mut Command, stdout: Stdio) -> Self {
        let mut program = Self::launch(command.stdout(stdout));
        let ready = program.line("ready: ");
        let (_, rest) = ready.split_once("ready: ").unwrap();
        let (what, seed) = rest.split_once(", seed ").unwrap();
        // Several proxies have a line each; their addresses are asked of the API.
        if let Some((addresses, _)) = what.split_once(" -> ") {
            let addresses =
                addresses.trim_end_matches(" (TLS)").split(" and ").filter(|address| !address.starts_with("unix:"));
            program.addresses = addresses.map(|address| address.parse().unwrap()).collect();
        }
        program.seed = seed.chars().take_while(char::is_ascii_digit).collect();
        program
    }

    /// Runs `command` until it ends by itself.
    pub(crate) fn run(command: &mut Command) -> Ended {
        let mut program = Self::launch(command.stdout(Stdio::piped()));
        let mut stdout = program.child.stdout.take().unwrap();
        // Meanwhile, as it may be more than a pipe holds.
        let reading = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let code = program.wait();
        Ended { code, stdout: reading.join().unwrap(), lines: program.lines.iter().collect() }
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

    /// Starts the program in front of `backend`, and waits until it is ready. Nobody reads its standard error, but through
    /// the pipe that is returned.
    pub(crate) fn start_unread(backend: &Backend, arguments: &str) -> (Self, PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let mut command = Self::command("--proxy 127.0.0.1:0 --backend");
        command.arg(backend.address().to_string()).arg("--ready-file").arg(&ready);
        command.args(arguments.split_ascii_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(writer).spawn().unwrap();
        let mut program = Self {
            child,
            reader: None,
            lines: channel().1,
            seen: Vec::new(),
            addresses: Vec::new(),
            seed: String::new(),
        };
        eventually("it is ready", || ready.exists());
        let text = std::fs::read_to_string(&ready).unwrap();
        let address = text.lines().find_map(|line| line.strip_prefix("VAURIEN_PROXY=")).unwrap();
        program.addresses.push(address.parse().unwrap());
        (program, reader)
    }

    /// Waits for the next line that contains `text`.
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

    /// Stops reading lines: after one more line its standard error is a broken pipe. Returns the reading thread.
    pub(crate) fn stop_listening(&mut self) -> JoinHandle<()> {
        self.lines = channel().1;
        self.reader.take().unwrap()
    }

    /// The lines read so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// The first address on which the program listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of its HTTP API.
    pub(crate) fn api(&self) -> Api {
        self.api_behind("HTTP API on http://")
    }

    /// The address of Toxiproxy's API.
    pub(crate) fn toxiproxy(&self) -> Api {
        self.api_behind("Toxiproxy's API on http://")
    }

    /// The IPv4 address that a line has behind these words.
    fn api_behind(&self, words: &str) -> Api {
        let line = self.seen.iter().find_map(|line| line.split_once(words));
        let address = line.expect("it has one").1.split(" and ").find(|address| !address.starts_with('['));
        Api(address.expect("it listens on IPv4").trim_end().parse().unwrap())
    }

    /// The seed that it logged.
    pub(crate) fn seed(&self) -> &str {
        &self.seed
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// How many descriptors the program has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The lowest unused descriptor number: with this as its limit, the program cannot open another descriptor.
    pub(crate) fn next_descriptor(&self) -> u64 {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let open: BTreeSet<u64> = open.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        (0..=open.len() as u64).find(|number| !open.contains(number)).unwrap()
    }

    /// The highest memory use so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The current memory use, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The processor time used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name, in parentheses, may contain anything. The 12th and 13th fields after it are user and system time.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        // Linux counts 100 of these ticks (USER_HZ) per second on every machine.
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Stops the program and returns the counts that it logged last.
    pub(crate) fn stop(self) -> Counts {
        self.signal("TERM");
        self.stopped()
    }

    /// Waits for a program that was told to stop; returns its counts.
    pub(crate) fn stopped(mut self) -> Counts {
        let code = self.wait();
        let lines: Vec<String> = self.seen.drain(..).chain(self.lines.iter()).collect();
        assert_eq!(code, Some(0), "{lines:#?}");
        Counts { lines }
    }

    /// Waits until the program ends by itself; returns its exit code.
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

/// The result of a program that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// The lines on standard error.
    pub(crate) lines: Vec<String>,
}

/// The counts in the program's last lines.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) lines: Vec<String>,
}

impl Counts {
    /// The number beside `what` in the last lines: `12 calls`, `3 opaque`.
    pub(crate) fn of(&self, what: &str) -> u64 {
        let line = self.lines.iter().rev().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no count of {what:?} in {:#?}", self.lines));
        let (before, _) = line.split_once(what).unwrap();
        let number = before.trim_end().rsplit([' ', ',', ':']).next().unwrap();
        number.parse().unwrap_or_else(|_| panic!("no number before {what:?} in {line:?}"))
    }

    /// How many calls were drawn for a handler.
    pub(crate) fn calls(&self, handler: &str) -> u64 {
        self.row(handler, 1)
    }

    /// How many faults a handler made.
    pub(crate) fn faults(&self, handler: &str) -> u64 {
        self.row(handler, 2)
    }

    /// A number in a row of the table: the proxy if there are several, the handler, its calls and its faults.
    fn row(&self, handler: &str, column: usize) -> u64 {
        let number = |line: &String| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let at = words.iter().take(2).position(|word| *word == handler)?;
            words.get(at + column)?.parse().ok()
        };
        self.lines.iter().rev().find_map(number).unwrap_or_else(|| panic!("no row of {handler:?} in {:#?}", self.lines))
    }
}

/// Asserts that the program ends with `code`, prints these lines on standard error and nothing on standard output.
#[track_caller]
pub(crate) fn assert_complains(arguments: &str, code: i32, lines: &[&str]) {
    let ended = Program::run(&mut Program::command(arguments));
    let expected: Vec<String> = lines.iter().map(|line| format!("vaurien: {line}")).collect();
    assert_eq!((ended.code, ended.stdout.as_str(), ended.lines), (Some(code), "", expected), "{arguments}");
}
