//! Events in a file and as a stream: the same for the same seed, and without cost for calls.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use world::client::Ending;
use world::{Api, Backend, Client, File, PATIENCE, Program, eventually};

/// The event without its time, whose format is checked.
fn timeless(mut event: Value) -> Value {
    let time = event.as_object_mut().unwrap().remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert!(time.len() == "2023-11-14T22:13:20.123456Z".len() && time.starts_with("20") && time.ends_with('Z'));
    event
}

/// Makes calls as one client after the other, until a client's connection ends or hangs.
fn make_calls(program: &Program) {
    let (api, mut hanging) = (program.api(), 0);
    for connection in 0..60 {
        let mut client = program.connect();
        for call in 0..4 {
            if !client.try_send(format!("GET {connection}.{call}\r\n").as_bytes()) {
                break;
            }
            let mut hangs = false;
            eventually("the call is answered, closed or hangs", || {
                if !client.is_silent() {
                    return true;
                }
                hangs = api.proxy("default")["status"]["faults"]["hang"].as_u64() > Some(hanging);
                hangs
            });
            hanging += u64::from(hangs);
            if hangs || !client.try_read(PATIENCE) {
                break;
            }
        }
    }
}

#[test]
fn the_same_seed_and_calls_give_the_same_events() {
    let (backend, folder) = (Backend::lines(), tempfile::tempdir().unwrap());
    let mix = "--handler 20:delay,20:error,5:blackout,5:hang --handler-delay-sleep 1ms";
    let run = |name| {
        let path = folder.path().join(name);
        let arguments = format!("--protocol redis --seed 7 --http --http-port 0 {mix} --events {}", path.display());
        let program = Program::start(&backend, &arguments);
        make_calls(&program);
        program.stop();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect::<Vec<_>>()
    };
    let (first, second) = (run("first"), run("second"));
    for (at, (first, second)) in first.iter().zip(&second).enumerate() {
        assert_eq!(first, second, "line {}", at + 1);
    }
    assert_eq!(first.len(), second.len());
    assert!(first.iter().map(|event| event["id"].as_u64().unwrap()).eq(1..=first.len() as u64));
    for verdict in ["sleep", "answer", "close", "hold"] {
        assert!(first.iter().any(|event| event["verdict"] == verdict), "no {verdict}");
    }
}

#[test]
fn each_kind_has_its_own_fields() {
    let (backend, nobody) = (Backend::lines(), Backend::nobody());
    let proxy = |name, address| {
        format!("[proxies.{name}]\nproxy = \"127.0.0.1:0\"\nbackend = \"{address}\"\nprotocol = \"redis\"\n")
    };
    let program = File::new(proxy("a", backend.address()) + &proxy("b", nobody.address())).start("");
    let api = program.api();
    let mut client = api.client("a");
    client.send("PING\r\n").expect("+PING\r\n");
    api.patch("/v1/proxies/a", r#"{"handler": "error"}"#);
    client.send("GET key\r\n").read(1000);
    api.patch("/v1/proxies/a", r#"{"handler": "dummy"}"#);
    client.send("MONITOR\r\n").expect("+MONITOR\r\n");
    assert_eq!(api.client("b").ending(), Ending::Reset);
    eventually("all events have arrived", || api.events().len() >= 5);
    let mut events: Vec<_> = api.events().into_iter().map(timeless).collect();
    let said = |event: &mut Value, key: &str| {
        let text = event.as_object_mut().unwrap().remove(key).unwrap();
        assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{event}");
    };
    said(&mut events[3], "why");
    said(&mut events[4], "error");
    let plan = |id, handler| json!({"id": id, "event": "plan", "proxy": "a", "handler": handler, "enabled": true});
    let expected = [
        plan(1, "error"),
        json!({
            "id": 2, "event": "fault", "proxy": "a", "connection": 1, "call": 2, "handler": "error", "verdict": "answer",
            "head": {"command": "GET", "key": "key"},
        }),
        plan(3, "dummy"),
        json!({"id": 4, "event": "opaque", "proxy": "a", "connection": 1}),
        json!({"id": 5, "event": "dial_failure", "proxy": "b", "connection": 1}),
    ];
    assert_eq!(events, expected);
}

/// A stream of events, read line by line.
struct Stream(BufReader<TcpStream>);

/// One event of the stream.
#[derive(Debug, PartialEq)]
struct Said {
    id: Option<u64>,
    kind: String,
    data: Value,
}

impl Stream {
    fn open(api: Api, query: &str, headers: &str) -> Self {
        let mut stream = api.connect();
        write!(stream, "GET /v1/events{query} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", api.0).unwrap();
        Self(BufReader::new(stream))
    }

    fn next(&mut self) -> Said {
        let (mut id, mut kind, mut line) = (None, String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "unexpected end of the stream");
            match line.trim_end().split_once(": ") {
                Some(("id", number)) => id = Some(number.parse().unwrap()),
                Some(("event", name)) => name.clone_into(&mut kind),
                Some(("data", json)) => return Said { id, kind, data: serde_json::from_str(json).unwrap() },
                // The response's head, or a chunk's size line.
                _ => {}
            }
        }
    }
}

fn erring(backend: &Backend) -> Program {
    Program::start(backend, "--protocol redis --handler error --http --http-port 0")
}

/// Makes this many calls, each of which is answered with random bytes.
fn err(client: &mut Client, calls: usize) {
    client.send("a\r\n".repeat(calls)).read(1000 * calls);
}

/// A named pipe.
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("events");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_program_that_cannot_start_leaves_the_file_alone() {
    let (taken, folder) = (TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, "another's\n").unwrap();
    let arguments =
        format!("--backend localhost:1 --proxy {} --events {}", taken.local_addr().unwrap(), path.display());
    assert_eq!(Program::run(&mut Program::command(&arguments)).code, Some(1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's\n");
    let program = Program::start(&Backend::lines(), &format!("--events {}", path.display()));
    program.stop();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path()).display().to_string();
    let ended = Program::run(&mut Program::command(&format!("--backend localhost:1 --events {path}")));
    let line = format!("vaurien: cannot write events to `{path}`: it is a pipe without a reader");
    assert_eq!((ended.code, ended.lines), (Some(1), vec![line]));
}

#[test]
fn a_stalled_reader_delays_neither_calls_nor_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    // Open for reading and writing, so that opening does not wait for a reader.
    let stalled = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut program = Program::start(&Backend::lines(), &format!("--handler blackout --events {}", path.display()));
    for _ in 0..2000 {
        assert_eq!(program.connect().ending(), Ending::Closed);
    }
    program.signal("TERM");
    program.line("the last events were not written");
    program.stopped();
    drop(stalled);
}

#[test]
fn a_stream_is_live_and_resumes_after_the_last_id() {
    let program = erring(&Backend::lines());
    let (api, mut client) = (program.api(), program.connect());
    let mut stream = Stream::open(api, "?since=0", "");
    for call in 1..=6 {
        err(&mut client, 1);
        let said = stream.next();
        assert_eq!((said.id, &*said.kind, &said.data["call"]), (Some(call), "fault", &json!(call)));
        assert_eq!((&said.data["id"], &said.data["event"]), (&json!(call), &json!("fault")));
    }
    drop(stream);
    for (query, header, first) in [
        ("?since=0", "Last-Event-ID: 4\r\n", 5),
        ("", "Last-Event-ID: 5\r\n", 6),
        ("?since=3", "", 4),
        ("?since=3&follow=false", "Last-Event-ID: 2\r\n", 3),
    ] {
        assert_eq!(Stream::open(api, query, header).next().id, Some(first), "{query} {header}");
    }
    let ids: Vec<_> = api.events().iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6], "all events, then the end");
}

#[test]
fn a_reader_that_does_not_read_loses_events_and_slows_no_call() {
    // More than the ring keeps and the system buffers of a stream that nobody reads.
    const FAULTS: usize = 50_000;
    let program = erring(&Backend::lines());
    let (api, mut client) = (program.api(), program.connect());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&api.0.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET /v1/events?since=0 HTTP/1.1\r\nHost: {}\r\n\r\n", api.0).unwrap();
    let mut stream = Stream(BufReader::new(stream));
    err(&mut client, 1);
    assert_eq!(stream.next().id, Some(1));
    (0..FAULTS / 100).for_each(|_| err(&mut client, 100));
    let (mut received, mut lost, mut at) = (1, 0, 1);
    while at < FAULTS as u64 + 1 {
        let said = stream.next();
        if said.kind == "lost" {
            lost += said.data["count"].as_u64().unwrap();
            at += said.data["count"].as_u64().unwrap();
        } else {
            received += 1;
            at += 1;
            assert_eq!(said.id, Some(at), "every missing event must be reported as lost");
        }
    }
    assert!(lost > 0);
    assert_eq!(received + lost, FAULTS as u64 + 1);
    err(&mut client, 1);
    assert_eq!(stream.next().id, Some(FAULTS as u64 + 2), "the stream continues");
}

#[test]
fn each_change_of_toxics_is_a_plan() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--http --http-port 0");
    let (api, toxics) = (program.api(), "/v1/proxies/default/toxics");
    api.post_body(toxics, r#"{"toxic": "latency(latency=1ms)"}"#);
    api.patch(&format!("{toxics}/latency_downstream"), r#"{"toxicity": 0.5}"#);
    api.patch("/v1/proxies/default", r#"{"toxics": ["upstream:noop"], "handler": "delay"}"#);
    api.delete(&format!("{toxics}/noop_upstream"));
    let plans: Vec<_> = api.events().into_iter().map(|event| event["toxics"].clone()).collect();
    let late = json!(["latency(latency=1ms)"]);
    assert_eq!(plans, [late, json!(["latency(latency=1ms,toxicity=0.5)"]), json!(["upstream:noop"]), Value::Null]);
}
