//! Where output goes: help to standard output, everything else to standard error; and what happens when the reader of a
//! pipe has left.

use std::process::Stdio;

use crate::world::client::Ending;
use crate::world::{Backend, Program};

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
