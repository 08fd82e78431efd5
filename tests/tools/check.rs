//! `--check` says what would run, or all that is wrong, and leaves everything as it is.

use std::net::TcpListener;

use crate::world::{File, Program};
use crate::{assert_complains, printed, printed_by};

#[test]
fn one_proxy_is_a_line() {
    let lines = printed("--check --backend localhost:6379 --protocol redis --handler 20:delay --seed 42");
    assert_eq!(lines, "localhost:8000 -> localhost:6379, protocol redis, handler 20:delay\nseed 42\n");
    let lines = printed("--check --demo");
    let handlers = "20:delay,20:error,10:blackout,5:hang";
    assert_eq!(
        lines,
        format!("localhost:8000 -> a small built-in HTTP server, protocol http, handler {handlers}\nseed 2508\n")
    );
}

#[test]
fn a_file_is_told_whole() {
    let file = File::new(
        "log_level = 'error'\nevents = '/nowhere/events.jsonl'\n[http]\nhost = '::1'\ntoken = 'hush'\n[statsd]\n\
         [proxies.cache]\nproxy = 'localhost:7379'\nbackend = 'localhost:6379'\nprotocol = 'redis'\nhandler = 'delay'\n\
         [proxies.api]\nbackend = '[::1]:80'\nenabled = false\n",
    );
    let lines = printed(&format!("--check --config {}", file.path().display()));
    assert_eq!(
        lines,
        "cache: localhost:7379 -> localhost:6379, protocol redis, handler delay\n\
         api: disabled -> [::1]:80, protocol tcp, handler dummy\n\
         HTTP API on http://[::1]:8080, with a token\n\
         statsd to localhost:8125, prefix vaurien\n\
         events to /nowhere/events.jsonl\n\
         seed drawn at random\n"
    );
}

#[test]
fn what_happens_around_the_proxies_is_told_in_its_order() {
    let mut command = Program::command(
        "--check --backend a:1 --handler error --seed 1 --wait-backend 30 --ready-file /nowhere/ready --repeat 20 \
         --timeout 10m --expect error>=1,calls>0 --report /nowhere/a.xml,/nowhere/b.html",
    );
    let lines = printed_by(command.args(["--", "sh", "-c", "echo $VAURIEN_PROXY 'as is'", ""]));
    assert_eq!(
        lines,
        "localhost:0 -> a:1, protocol tcp, handler error\n\
         seed 1\n\
         waits for the backend, 30s at most\n\
         ready file /nowhere/ready\n\
         runs 20 times sh -c 'echo $VAURIEN_PROXY '\"'as is'\" ''\n\
         ends it after 10m\n\
         expects error>=1\n\
         expects calls>0\n\
         report to /nowhere/a.xml\n\
         report to /nowhere/b.html\n"
    );
    // As one could have typed it.
    let pasted = lines.lines().find_map(|line| line.strip_prefix("runs 20 times ")).unwrap();
    assert_eq!(shlex::split(pasted).unwrap(), ["sh", "-c", "echo $VAURIEN_PROXY 'as is'", ""]);
    let lines = printed("--check --backend a:1 --seed 1 -- pytest -x");
    assert!(lines.ends_with("\nseed 1\nruns pytest -x\n"), "{lines}");
}

#[test]
fn nothing_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    let (taken, path) = (taken.local_addr().unwrap(), events.display());
    printed(&format!("--check --backend nobody.invalid:1 --proxy {taken} --events {path}"));
    assert!(!events.exists());
}

#[test]
fn warnings_are_those_of_a_start() {
    let ended = Program::run(&mut Program::command("--check --backend a:1 --http-port 1"));
    assert_eq!((ended.code, ended.lines.len()), (Some(0), 1), "{:?}", ended.lines);
    assert!(ended.lines[0].ends_with("WARN `--http-port` has no effect without `--http`"), "{:?}", ended.lines);
}

#[test]
fn all_that_is_wrong_is_told() {
    let lines = [
        "--handler: unknown handler `dely` (known: abort, blackout, corrupt, cut, delay, dummy, error, hang, miss, reply, reset, slow, transient), did you mean `delay`?",
        "--buffer: `0` is too small, a read takes 1 to 262144 bytes",
    ];
    assert_complains("--check --backend a:1 --handler dely --buffer 0", 2, &lines);
}
