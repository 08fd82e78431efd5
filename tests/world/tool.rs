//! Client programs of real servers.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::PATIENCE;
pub(crate) use super::server::program;

/// How many seconds a program may take to end.
const SECONDS: &str = "120";

/// What a program that has ended has printed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs `command` to its end and returns its output. It must succeed and print nothing on standard error.
#[track_caller]
pub(crate) fn output(command: &Command) -> String {
    String::from_utf8(output_of(command, Vec::new())).unwrap()
}

/// The same with standard input.
#[track_caller]
pub(crate) fn output_of(command: &Command, input: Vec<u8>) -> Vec<u8> {
    let Printed { status, stdout, stderr } = printed_by(command, input);
    assert!(status.success() && stderr.is_empty(), "{command:?}: {status}\n{stderr}\n{}", stdout.escape_ascii());
    stdout
}

/// Runs `command` with this standard input to its end, however that is.
#[track_caller]
pub(crate) fn printed_by(command: &Command, input: Vec<u8>) -> Printed {
    let mut timed = program("timeout");
    timed.arg(SECONDS).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    timed.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = timed.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read all of it closes the pipe.
    let feed = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Printed { status: output.status, stdout: output.stdout, stderr }
}

/// A program that runs until it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// The same with a standard input: see [`say`](Self::say).
    pub(crate) fn start_with(command: &mut Command, input: Stdio) -> Self {
        let mut child = command.stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The lines up to and including the next one that contains `text`.
    #[track_caller]
    pub(crate) fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|line| line.contains(text)) {
            let line = self.lines.recv_timeout(PATIENCE);
            seen.push(line.unwrap_or_else(|error| panic!("no line with {text:?} ({error}), but: {seen:#?}")));
        }
        seen
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
