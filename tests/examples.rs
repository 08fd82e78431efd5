//! The files in `examples/` do what their headers say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

/// Runs the tests of these examples like all others.
#[path = "../examples/embedded.rs"]
mod embedded;
#[path = "../examples/live.rs"]
mod live;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vaurien::{Config, Registry};
use world::client::Ending;
use world::{Backend, Client, Program};

/// The program of an example. It is built here, because not every way to run this test has built it.
fn example(name: &str) -> PathBuf {
    // This is `target/debug/deps/examples-…`.
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    build.args(["--example", name, "--target-dir"]).arg(profile.parent().unwrap());
    build.args([
        "--profile",
        match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        },
    ]);
    assert!(build.status().unwrap().success());
    profile.join("examples").join(name)
}

/// `vaurien --config` with one of the example files, in front of another backend.
fn with_file(name: &str, backend: &Backend, more: &str) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vaurien"));
    command.arg("--config").arg(file(name)).args([
        "--proxy",
        "127.0.0.1:0",
        "--backend",
        &backend.address().to_string(),
    ]);
    Program::spawn(command.args(more.split_ascii_whitespace()))
}

/// `examples/custom_handler.rs` in front of this backend.
fn with_limit(backend: &Backend, arguments: &[&str]) -> Program {
    let mut command = Command::new(example("custom_handler"));
    command.args(["--backend", &backend.address().to_string(), "--proxy", "127.0.0.1:0"]);
    Program::spawn(command.args(arguments))
}

const LIMITED: &str = "-BUSY Too many calls, try again in a second\r\n";

#[test]
fn the_custom_handler_refuses_calls_above_its_limit() {
    let backend = Backend::lines();
    let vaurien = with_limit(&backend, &["--protocol", "redis", "--rule", "SET => limit(calls=0)"]);
    let mut client = vaurien.connect();
    client.send("get color\r\nSET color red\r\nget color\r\n");
    client.expect("+get color\r\n").expect(LIMITED).expect("+get color\r\n");
    assert_eq!(vaurien.stop().calls("rule-1.limit"), 1);

    let vaurien = with_limit(&backend, &["--protocol", "http", "--handler", "limit", "--handler-limit-calls", "0"]);
    let (reply, _) = vaurien.connect().send("GET / HTTP/1.0\r\n\r\n").read_to_end();
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 429 ") && reply.contains("\r\nRetry-After: 1\r\n"), "{reply}");
}

#[test]
fn the_custom_handler_is_set_like_the_others() {
    let program = example("custom_handler");
    let help = Command::new(&program).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--handler-limit-calls <CALLS>"), "{help}");
    assert!(help.contains("  limit      Refuses calls above a number in each second\n"), "{help}");

    // The file from the header of the example.
    let source = include_str!("../examples/custom_handler.rs");
    let (_, file) = source.split_once("//! ```toml\n").unwrap();
    let (file, _) = file.split_once("//! ```\n").unwrap();
    let file: String = file.lines().map(|line| line.trim_start_matches("//!").trim().to_owned() + "\n").collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vaurien.toml");
    // None passes, so that the clock does not matter.
    std::fs::write(&path, file.replace("calls = 100", "calls = 0")).unwrap();
    let vaurien = with_limit(&Backend::lines(), &["--config", path.to_str().unwrap()]);
    vaurien.connect().send("SET a\r\nget a\r\n").expect(LIMITED).expect("+get a\r\n");
}

#[test]
fn slow_redis_delays_some_commands() {
    let vaurien = with_file("slow-redis.toml", &Backend::lines(), "--seed 1");
    let mut client = vaurien.connect();
    let begun = Instant::now();
    for _ in 0..20 {
        client.send("get a\r\n").expect("+get a\r\n");
    }
    let took = begun.elapsed();
    let counts = vaurien.stop();
    let late = u32::try_from(counts.calls("delay")).unwrap();
    assert!((1..20).contains(&late), "{late} were late");
    assert!(took >= Duration::from_millis(250) * late, "{took:?}");
    assert_eq!((counts.calls("hang"), counts.of("opaque")), (0, 0));
}

#[test]
fn a_flaky_api_fails_after_its_warmup_and_its_failures_are_counted() {
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read_until("\r\n\r\n");
        stream.send("HTTP/1.0 204 No Content\r\n\r\n");
    });
    // More failures than in the file, so that the test is short.
    let vaurien = with_file("flaky-http-api.toml", &backend, "--seed 1 --handler 80:error,10:blackout");
    let mut failures = 0;
    let mut closed = 0;
    for _ in 0..40 {
        let (reply, ending) = vaurien.connect().send("GET / HTTP/1.0\r\n\r\n").read_to_end();
        assert_eq!(ending, Ending::Closed);
        match reply.get(..10) {
            None => closed += 1,
            Some(b"HTTP/1.1 5") => failures += 1,
            Some(other) => assert_eq!(other, b"HTTP/1.0 2"),
        }
    }
    let counts = vaurien.stop();
    assert!(failures > 0 && closed > 0, "{failures} failures, {closed} closed");
    assert_eq!(counts.calls("error"), failures + 10, "ten pass first");
    assert_eq!(counts.calls("blackout"), closed);

    // The rules of the file decide before its mix.
    let vaurien = with_file("flaky-http-api.toml", &backend, "--handler blackout");
    for expected in ["503", "503", "503", "204"] {
        let (reply, _) = vaurien.connect().send("POST /pay HTTP/1.0\r\n\r\n").read_to_end();
        let reply = String::from_utf8(reply).unwrap();
        assert_eq!(reply.split(' ').nth(1), Some(expected), "{reply}");
        assert_eq!(reply.contains("\r\nRetry-After: 1\r\n"), expected == "503", "{reply}");
    }
    let (reply, _) = vaurien.connect().send("GET /health HTTP/1.0\r\n\r\n").read_to_end();
    assert!(reply.starts_with(b"HTTP/1.0 204 "), "{}", reply.escape_ascii());
}

#[test]
fn a_dead_memcached_takes_commands_and_calls_nobody() {
    let backend = Backend::lines();
    let vaurien = with_file("dead-memcached.toml", &backend, "");
    let mut client = vaurien.connect();
    client.send("get a\r\n");
    assert!(client.is_silent());
    assert_eq!(backend.connections(), 0);
    assert_eq!(vaurien.stop().calls("hang"), 1);
}

#[test]
fn several_proxies_are_set_by_one_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/several-proxies.toml");
    let args = ["vaurien", "--config", file].map(Into::into);
    let config = Config::from_args(args, [], &Registry::default()).unwrap();
    let proxies = config.proxies.iter().map(|proxy| (proxy.name.as_str(), proxy.mix.to_string(), proxy.enabled));
    assert_eq!(
        proxies.collect::<Vec<_>>(),
        [
            ("cache", "20:delay".to_owned(), true),
            ("api", "5:error,0.5:blackout".to_owned(), true),
            ("search", "dummy".to_owned(), false)
        ]
    );
    assert_eq!(config.http.unwrap().port, 8080);
}

/// Runs a client of the API in front of a Redis that answers every command with PONG, and returns its output.
fn with_api(client: &mut Command) -> (String, Program) {
    let backend = Backend::new(|mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(b"+PONG\r\n");
        }
    });
    let program = Program::start(&backend, "--protocol redis --http --http-port 0 --http-host 127.0.0.1");
    let url = format!("http://{}", program.api().0);
    if client.get_program() == "python3" {
        client.arg(&url);
    }
    let output = client.env("API", &url).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaint}\n{said}");
    (said, program)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
#[ignore = "needs curl"]
fn every_call_of_the_api_can_be_made_with_curl() {
    let (said, program) = with_api(&mut Command::new(file("api.sh")));
    let replies: Vec<&str> = said.split("\n> ").collect();
    let reply = |call: &str, nth: usize| {
        let mut found = replies.iter().filter(|reply| reply.lines().next().is_some_and(|line| line.ends_with(call)));
        found.nth(nth).unwrap_or_else(|| panic!("no {call} in {said}")).trim_end().to_owned()
    };
    let first = |call: &str| reply(call, 0);
    assert!(first("/behavior").ends_with(r#"{"behavior":"dummy"}"#));
    assert!(first("/connections/1?reset=true").contains("`another` has no connection 1"));
    assert!(first("/v1/openapi.json").ends_with("200 application/json"));
    assert!(first("/v1/events?since=0&follow=false").contains("event: plan\n"));
    assert!(first("/metrics").ends_with("# EOF"));
    assert_eq!(said.matches(r#""status":"error""#).count(), 1, "only one call is refused: {said}");
    // Each path of the API has a line.
    for path in program.api().get("/v1/openapi.json").json()["paths"].as_object().unwrap().keys() {
        let path = path
            .replace("{name}", "another")
            .replace("{id}", "1")
            .replace("{rule}", "trial")
            .replace("{toxic}", "slow");
        let path = path.replace("/another/reset", "/default/reset");
        let at = format!("http://{}{path}", program.api().0);
        assert!(said.contains(&at), "{path}");
    }
}

#[test]
#[ignore = "needs python3"]
fn a_python_test_makes_trouble_for_a_while() {
    let (said, _program) = with_api(Command::new("python3").arg(file("live.py")));
    let lines: Vec<&str> = said.lines().collect();
    let [as_it_is, delay, error, down, again, delayed] = lines[..] else { panic!("{said}") };
    assert!(as_it_is.starts_with("as it is: +PONG after") && again.starts_with("as it is: +PONG after"), "{said}");
    assert!(delay.starts_with("delay:    +PONG after") && error.starts_with("error:    1000 bytes of junk"), "{said}");
    assert_eq!((down, delayed), ("down:     connection refused", "delayed:  1"));
}

#[test]
#[ignore = "needs python3"]
fn a_python_test_does_not_make_last_what_was_to_pass() {
    let script = "\
import sys
from live import Vaurien
vaurien = Vaurien(sys.argv[1])
vaurien.call('PATCH', vaurien.path, {'handler': 'hang', 'for': 0.2})
with vaurien.handler('delay'):
    print(vaurien.get()['handler'])
print(vaurien.get()['handler'])
";
    let mut python = Command::new("python3");
    python.args(["-B", "-c", script]).env("PYTHONPATH", file(""));
    assert_eq!(with_api(&mut python).0, "delay\ndummy\n");
}
