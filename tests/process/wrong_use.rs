//! A program that cannot start prints the reason on one line of standard error; its exit code tells a usage error from
//! others.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;

use crate::world::program::assert_complains;
use crate::world::{Backend, Program};

#[test]
fn a_wrong_command_line_is_one_line_and_code_2() {
    for (arguments, line) in [
        ("", "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file"),
        ("--backend localhost", "--backend: `localhost` has no port, write `localhost:PORT`"),
        ("--backend a:1 --proxy a:x", "--proxy: `a:x` has an invalid port `x`, a port is 0 to 65535"),
        ("--bakend a:1", "unknown option `--bakend`, did you mean `--backend`?"),
        (
            "--backend a:1 --handler delya",
            "--handler: unknown handler `delya` (known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient), did you mean `delay`?",
        ),
        (
            "--backend a:1 --protocol htp",
            "--protocol: `htp` is not one of tcp, redis, memcache, http, grpc, did you mean `http`?",
        ),
        ("--backend a:1 --buffer lots", "--buffer: `lots` is not a whole number of bytes, 0 or more"),
        (
            "--backend a:1 --handler-delay-sleep -1",
            "--handler-delay-sleep: invalid duration `-1`: it is negative, write 0 or more",
        ),
        (
            "--backend a:1 --handler 60:delay,60:error",
            "--handler: the percentages add up to 120, at most 100 is possible",
        ),
        (
            "--backend a:1 --config /nowhere/vaurien.toml",
            "--config: cannot read `/nowhere/vaurien.toml`: no such file or directory",
        ),
        (
            "--backend a:1 --handler 1:delay,1:error --handler-delay-protocol http --handler-error-protocol redis",
            "--handler-error-protocol: `error` has protocol `redis`, `delay` has `http` (--handler-delay-protocol); \
             handlers of one proxy share it",
        ),
    ] {
        assert_complains(arguments, 2, &[line]);
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_a_mistake() {
    for name in [
        "VAURIEN_BACKEND",
        "VAURIEN_CONFIG",
        "VAURIEN_GIVEN",
        "VAURIEN_HANDLER_DELAY_SLEEP",
        "VAURIEN_HTTP",
        "VAURIEN_HTTP_TOKEN",
        "VAURIEN_HTTP_TOKEN_FILE",
        "VAURIEN_OF_NO_OPTION",
    ] {
        // It would end with code 1.
        let mut command = Program::command("--backend a:1 --proxy 192.0.2.1:0 --http");
        let ended = Program::run(command.env(name, OsStr::from_bytes(b"s3\xffcret")));
        let line = format!("vaurien: {name}: the value is not UTF-8");
        assert_eq!((ended.code, ended.stdout.as_str(), ended.lines), (Some(2), "", vec![line]));
    }
}

#[test]
fn all_mistakes_of_a_file_are_shown_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vaurien.toml").display().to_string();
    std::fs::write(&path, "bakend = 'a:1'\nhandler = '20:delay'\n\n[handlers.delay]\nsleep = -1\nbefor = true\n")
        .unwrap();
    let lines = [
        &format!("{path}:1: unknown key `bakend`, did you mean `backend`?"),
        &format!("{path}:5: handlers.delay.sleep: invalid duration `-1`: it is negative, write 0 or more"),
        &format!("{path}:6: unknown key `befor` in `[handlers.delay]`, did you mean `before`?"),
        "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file",
    ];
    assert_complains(&format!("--config {path}"), 2, &lines);
}

#[test]
fn a_taken_port_is_one_line_and_code_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let line =
        |taken| format!("cannot listen on {taken}: the port is in use: give another `proxy`, or port 0 for a free one");
    assert_complains(&format!("--backend a:1 --proxy {taken}"), 1, &[&line(taken)]);

    // The error is the same if the port belongs to another vaurien.
    let vaurien = Program::start(&Backend::echo(), "");
    assert_complains(&format!("--backend a:1 --proxy {}", vaurien.address()), 1, &[&line(vaurien.address())]);
    vaurien.connect().send("unharmed").expect("unharmed");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_one_line_and_code_1() {
    // 192.0.2.0/24 is reserved (RFC 5737), `.invalid` never resolves (RFC 6761).
    for (proxy, why) in [("192.0.2.1:0", "Cannot assign requested address"), ("nobody.invalid:0", "failed to lookup")] {
        let ended = Program::run(&mut Program::command(&format!("--backend a:1 --proxy {proxy}")));
        assert_eq!((ended.code, ended.stdout.as_str(), ended.lines.len()), (Some(1), "", 1), "{:#?}", ended.lines);
        assert!(ended.lines[0].starts_with(&format!("vaurien: cannot listen on {proxy}: {why}")), "{:#?}", ended.lines);
    }
}
