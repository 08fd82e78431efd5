//! No process that a command starts is left running.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::world::{Backend, eventually};
use super::{Ran, around, run_script, signal};

/// The processes that have this word in their environment and are no zombies.
fn processes(mark: &str) -> Vec<u32> {
    let is_marked = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|word| word == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(is_marked).collect()
}

/// A word that no other test has.
fn mark(test: &str) -> String {
    format!("LEFT_BEHIND={}-{test}", std::process::id())
}

fn script(mark: &str, script: &str) -> String {
    format!("export {mark}; {script}")
}

#[test]
fn background_processes_are_ended() {
    let (backend, mark) = (Backend::lines(), mark("background"));
    let ran =
        run_script(&backend, "", &script(&mark, "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &) ; exit 6"))
            .ends(6);
    assert_eq!(processes(&mark), [0; 0]);
    ran.says("WARN").says("left 3 processes running, stopping");
}

#[test]
fn processes_that_ignore_sigterm_are_killed() {
    let (backend, mark) = (Backend::lines(), mark("stubborn"));
    let stubborn = "(trap '' TERM HUP; while :; do sleep 0.01; done) & until kill -0 $! && grep -q 'SigIgn:.*[4-7c-f]...$' /proc/$!/status; do :; done";
    run_script(&backend, "", &script(&mark, stubborn)).ends(0);
    assert_eq!(processes(&mark), [0; 0]);
}

#[test]
fn suspended_processes_are_ended() {
    let (backend, mark) = (Backend::lines(), mark("stopped"));
    run_script(&backend, "", &script(&mark, "sleep 1000 & kill -s STOP $!")).ends(0);
    assert_eq!(processes(&mark), [0; 0]);
}

#[test]
fn processes_of_others_are_left_alone() {
    let (backend, mark) = (Backend::lines(), mark("inherited"));
    let vaurien = around(&backend, "", &["true"]);
    let mut shell = std::process::Command::new("sh");
    // Like an entry point that starts a server first.
    let script = format!("{mark} sleep 1000 >/dev/null 2>&1 & exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(vaurien.get_program()).args(vaurien.get_args());
    Ran::from(shell.output().unwrap()).ends(0).never_says("left");
    let [server] = processes(&mark)[..] else { panic!("it is gone") };
    assert!(std::process::Command::new("kill").arg(server.to_string()).status().unwrap().success());
}

#[test]
fn a_signal_leaves_no_processes() {
    let backend = Backend::lines();
    for name in ["INT", "TERM"] {
        let mark = mark(name);
        let tree = script(&mark, "sh -c 'setsid sleep 1000 & sleep 1000 & echo begun; wait' & wait");
        let mut vaurien = around(&backend, "--handler delay", &["sh", "-c", &tree]);
        let mut child = vaurien.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        eventually("all of it runs", || processes(&mark).len() == 3);
        signal(&child, name);
        Ran::from(child.wait_with_output().unwrap()).ends(128 + if name == "INT" { 2 } else { 15 });
        assert_eq!(processes(&mark), [0; 0], "{name}");
        // Its streams are closed.
        stdout.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn a_timeout_leaves_no_processes() {
    let (backend, mark) = (Backend::lines(), mark("time-out"));
    run_script(&backend, "--timeout 300ms", &script(&mark, "sleep 1000 & sleep 1000")).ends(124);
    assert_eq!(processes(&mark), [0; 0]);
}
