//! A command that is to end ends: in time, or by a signal that goes on to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::world::Backend;
use super::{Ran, around, run, run_script, signal};

/// A command that has begun, which it says with a line.
fn begun(backend: &Backend, options: &str, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut vaurien = around(backend, options, &["sh", "-c", script]);
    let mut child = vaurien.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    (child, stdout)
}

#[test]
fn one_that_takes_too_long_is_ended() {
    let backend = Backend::lines();
    let ran = run(&backend, "--timeout 200ms", &["sleep", "1000"]).ends(124);
    ran.says("the command has run for 200ms, stopping it");
    run_script(&backend, "--timeout 1h", "exit 5").ends(5);
}

#[test]
fn it_may_say_something_last() {
    let backend = Backend::lines();
    let script = "trap 'echo last; exit 0' TERM; echo begun; while :; do sleep 0.01; done";
    let ran = run_script(&backend, "--timeout 3s", script).ends(124);
    assert_eq!(ran.stdout, "begun\nlast\n");
}

#[test]
fn one_that_will_not_end_is_killed() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--timeout 3s", "trap '' TERM; echo begun; while :; do sleep 0.01; done").ends(124);
    assert_eq!(ran.stdout, "begun\n", "it had the time to say no to SIGTERM");
}

#[test]
fn one_that_hangs_with_its_call_is_ended() {
    let backend = Backend::lines();
    let call = r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'a\r\n' >&3; head -c 4 <&3"#;
    run(&backend, "--handler hang --timeout 1s", &["bash", "-c", call]).ends(124);
}

#[test]
fn signals_go_on_to_it() {
    let backend = Backend::lines();
    for (name, code) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 30), ("USR2", 31)] {
        let script = format!("trap 'echo got {name}; exit {code}' {name}; echo begun; while :; do sleep 0.01; done");
        let (child, stdout) = begun(&backend, "", &script);
        signal(&child, name);
        let ran = Ran::from(child.wait_with_output().unwrap()).ends(code);
        assert_eq!(stdout.lines().collect::<Result<Vec<_>, _>>().unwrap(), [format!("got {name}")], "{ran:?}");
    }
}

#[test]
fn one_that_a_signal_ends_is_128_and_its_number() {
    let backend = Backend::lines();
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let (child, _stdout) = begun(&backend, "", "echo begun; exec sleep 1000");
        signal(&child, name);
        Ran::from(child.wait_with_output().unwrap()).ends(128 + number);
    }
}

#[test]
fn one_that_a_signal_without_a_name_ends_does_not_hang() {
    run_script(&Backend::lines(), "", "kill -34 $$").ends(128 + 34);
}

#[test]
fn an_ignored_signal_is_left_to_be_ignored() {
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
    // Where a shell starts something in the background, this is how it finds interrupts.
    shell.args(["-c", "trap '' INT QUIT; exec \"$0\" \"$@\""]).args(vaurien.get_args().skip(1));
    let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    signal(&child, "INT");
    Ran::from(child.wait_with_output().unwrap()).ends(128 + 2);
}

#[test]
fn one_that_outlives_a_signal_goes_on() {
    let backend = Backend::lines();
    let script = "trap 'echo got it; exec sh -c \"exit 4\"' USR1; echo begun; while :; do sleep 0.01; done";
    let (child, stdout) = begun(&backend, "", script);
    signal(&child, "USR1");
    Ran::from(child.wait_with_output().unwrap()).ends(4);
    assert_eq!(stdout.lines().map_while(Result::ok).collect::<Vec<_>>(), ["got it"]);
}

#[test]
fn a_signal_is_the_end_of_repeating() {
    let backend = Backend::lines();
    // It takes the signal for a reason to end well.
    let script = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.01; done";
    let (child, stdout) = begun(&backend, "--repeat 100 --seed 1", script);
    signal(&child, "TERM");
    Ran::from(child.wait_with_output().unwrap()).ends(128 + 15);
    assert_eq!(stdout.lines().count(), 0, "it is not run again");
}
