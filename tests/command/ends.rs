//! Timeouts and signals end a command.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::world::Backend;
use super::{Ran, around, run, run_script, signal};

/// A command that has started: it has written a line.
fn started(backend: &Backend, options: &str, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut vaurien = around(backend, options, &["sh", "-c", script]);
    let mut child = vaurien.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    (child, stdout)
}

#[test]
fn a_timeout_ends_it() {
    let backend = Backend::lines();
    let ran = run(&backend, "--timeout 200ms", &["sleep", "1000"]).ends(124);
    ran.says("the command has run for 200ms, stopping it");
    run_script(&backend, "--timeout 1h", "exit 5").ends(5);
}

#[test]
fn it_may_write_something_before_it_ends() {
    let backend = Backend::lines();
    let script = "trap 'echo last; exit 0' TERM; echo begun; while :; do sleep 0.01; done";
    let ran = run_script(&backend, "--timeout 3s", script).ends(124);
    assert_eq!(ran.stdout, "begun\nlast\n");
}

#[test]
fn one_that_ignores_sigterm_is_killed() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--timeout 3s", "trap '' TERM; echo begun; while :; do sleep 0.01; done").ends(124);
    assert_eq!(ran.stdout, "begun\n", "it had the time to say no to SIGTERM");
}

#[test]
fn one_that_hangs_in_a_call_is_ended() {
    let backend = Backend::lines();
    let call = r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'a\r\n' >&3; head -c 4 <&3"#;
    run(&backend, "--handler hang --timeout 1s", &["bash", "-c", call]).ends(124);
}

#[test]
fn signals_are_forwarded() {
    let backend = Backend::lines();
    for (name, code) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 30), ("USR2", 31)] {
        let script = format!("trap 'echo got {name}; exit {code}' {name}; echo begun; while :; do sleep 0.01; done");
        let (child, stdout) = started(&backend, "", &script);
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().unwrap()).ends(code);
        assert_eq!(stdout.lines().collect::<Result<Vec<_>, _>>().unwrap(), [format!("got {name}")], "{ran:?}");
    }
}

#[test]
fn the_exit_code_of_a_signal_is_128_plus_its_number() {
    let backend = Backend::lines();
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let (child, _stdout) = started(&backend, "", "echo begun; exec sleep 1000");
        signal(&child, name);
        Ran::from(child.wait_with_output().unwrap()).ends(128 + number);
    }
}

#[test]
fn a_real_time_signal_ends_it() {
    run_script(&Backend::lines(), "", "kill -34 $$").ends(128 + 34);
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let backend = Backend::lines();
    let script = "kill -s HUP $PPID; kill -s HUP $$; echo on; exit 4";
    let vaurien = around(&backend, "--repeat 2 --seed 1", &["sh", "-c", script]);
    let mut shell = std::process::Command::new("sh");
    // `env --default-signal` would undo it.
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).args(vaurien.get_args().skip(1));
    assert_eq!(Ran::from(shell.output().unwrap()).ends(4).stdout, "on\n");
}

#[test]
fn one_in_the_background_of_a_shell_can_be_interrupted() {
    let backend = Backend::lines();
    let vaurien = around(&backend, "", &["sh", "-c", "echo begun; exec sleep 1000"]);
    let mut shell = std::process::Command::new("sh");
    // A shell starts background jobs with interrupts ignored.
    shell.args(["-c", "trap '' INT QUIT; exec \"$0\" \"$@\""]).args(vaurien.get_args().skip(1));
    let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    signal(&child, "INT");
    Ran::from(child.wait_with_output().unwrap()).ends(128 + 2);
}

#[test]
fn one_that_handles_a_signal_goes_on() {
    let backend = Backend::lines();
    let script = "trap 'echo got it; exec sh -c \"exit 4\"' USR1; echo begun; while :; do sleep 0.01; done";
    let (child, stdout) = started(&backend, "", script);
    signal(&child, "USR1");
    Ran::from(child.wait_with_output().unwrap()).ends(4);
    assert_eq!(stdout.lines().map_while(Result::ok).collect::<Vec<_>>(), ["got it"]);
}

#[test]
fn a_signal_ends_repeating() {
    let backend = Backend::lines();
    // It handles the signal and exits with 0.
    let script = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.01; done";
    let (child, stdout) = started(&backend, "--repeat 100 --seed 1", script);
    signal(&child, "TERM");
    Ran::from(child.wait_with_output().unwrap()).ends(128 + 15);
    assert_eq!(stdout.lines().count(), 0, "it is not run again");
}
