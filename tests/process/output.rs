//! Where output goes: help to standard output, everything else to standard error; and what happens when the reader of a
//! pipe has left.

use std::io::Read;
use std::process::Stdio;
use std::thread;

use crate::world::client::Ending;
use crate::world::{Backend, Client, Program};

#[test]
fn help_and_version_go_to_standard_output() {
    let help = Program::run(&mut Program::command("--help"));
    assert_eq!((help.code, help.lines.len()), (Some(0), 0));
    assert!(help.stdout.contains("--backend <HOST:PORT>"), "{}", help.stdout);
    let version = Program::run(&mut Program::command("--version"));
    assert_eq!((version.code, version.lines.len()), (Some(0), 0));
    assert_eq!(version.stdout, format!("vaurien {}\n", env!("CARGO_PKG_VERSION")));
}

/// A pipe whose reader has left, as in `vaurien --help | true`.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_leaves_early_does_not_change_the_exit_code() {
    for (arguments, code) in [("--help", 0), ("--bakend a:1", 2), ("--backend a:1 --proxy 192.0.2.1:0", 1)] {
        let mut command = Program::command(arguments);
        let status = command.stdin(Stdio::null()).stdout(broken_pipe()).stderr(broken_pipe()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments}");
    }
}

#[test]
fn a_log_whose_reader_has_left_stops_nothing() {
    // `vaurien … 2>&1 | grep -m1 ready`
    let mut vaurien = Program::start(&Backend::nobody(), "");
    let reader = vaurien.stop_listening();
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    reader.join().unwrap();
    for _ in 0..3 {
        assert_eq!(vaurien.connect().ending(), Ending::Reset);
    }
    vaurien.signal("TERM");
    assert_eq!(vaurien.wait(), Some(0));
}

/// More calls than the log holds lines while nobody reads it.
const CALLS: usize = 20_000;

/// Makes [`CALLS`] calls, a hundred at a time. Each is a line of the log at the level `trace`.
fn call(vaurien: &Program) {
    let mut client = vaurien.connect();
    for _ in 0..CALLS / 100 {
        client.send("PING\r\n".repeat(100)).expect("+PING\r\n".repeat(100));
    }
}

const TRACED: &str = "--protocol redis --log-level trace";

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    for (options, code) in [("", 0), ("--log-format json", 0), ("-- sleep 1000", 128 + 15)] {
        let (mut vaurien, reader) = Program::start_unread(&Backend::lines(), &format!("{TRACED} {options}"));
        call(&vaurien);
        vaurien.signal("TERM");
        assert_eq!(vaurien.wait(), Some(code), "{options}");
        drop(reader);
    }
}

#[test]
fn what_the_log_has_no_room_for_is_counted_and_the_last_lines_are_written() {
    let (mut vaurien, mut reader) = Program::start_unread(&Backend::lines(), TRACED);
    call(&vaurien);
    vaurien.signal("TERM");
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(vaurien.wait(), Some(0));
    let text = reading.join().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let dropped = lines.iter().rev().find_map(|line| line.split_once(" lines of this log were dropped so far"));
    let dropped: usize = dropped.unwrap().0.rsplit(' ').next().unwrap().parse().unwrap();
    let traced = lines.iter().filter(|line| line.contains("drawn for dummy")).count();
    assert!(traced < CALLS && traced + dropped >= CALLS, "{traced} and {dropped}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("again: "), "{last}");
    assert!(lines.iter().any(|line| line.starts_with("dummy ") && line.contains("20000")), "{text}");
}

#[test]
fn failures_to_reach_one_backend_are_told_together() {
    const CLIENTS: u64 = 600;
    let vaurien = Program::start(&Backend::nobody(), "");
    let begun = std::time::Instant::now();
    for _ in 0..CLIENTS {
        // The reset may be there before the call that connects returns.
        match std::net::TcpStream::connect(vaurien.address()) {
            Ok(client) => assert_eq!(Client::from(client).ending(), Ending::Reset),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
    let most = usize::try_from(begun.elapsed().as_secs() / 10 + 1).unwrap();
    let counts = vaurien.stop();
    let told = counts.lines.iter().filter(|line| line.contains("cannot reach the backend")).count();
    assert!((1..=most).contains(&told), "{told} lines: {:#?}", counts.lines);
    assert_eq!(counts.of("dial failures"), CLIENTS);
}
