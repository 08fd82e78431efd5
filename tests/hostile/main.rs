//! Whatever a peer sends, the program does not crash, hang, grow or lose descriptors, and it serves the next client.
//! With
//! `dummy` even hostile bytes pass unaltered in both directions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
#[path = "../world/mod.rs"]
mod world;

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use cases::Cases;
use world::client::Ending;
use world::{Backend, PATIENCE, Program, eventually};

/// How much the program may grow beyond its memory after a few ordinary calls, in KiB.
const GROWTH: u64 = 8 * 1024;

/// What the backend sends on the next connection, and when.
#[derive(Debug, Default)]
struct Script {
    says: Vec<u8>,
    /// After it has received this many bytes, or all.
    after: usize,
}

/// A backend that follows scripts, and a program in front of it.
struct Stage {
    script: Arc<Mutex<Script>>,
    heard: Receiver<Vec<u8>>,
    vaurien: Program,
}

impl Stage {
    fn new(options: &str) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let (tell, heard) = channel();
        let read = script.clone();
        let backend = Backend::new(move |mut stream| {
            let Script { mut says, after } = std::mem::take(&mut *read.lock().unwrap());
            let (mut heard, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
            loop {
                // A reset counts as an end.
                let len = stream.read(&mut buffer).unwrap_or(0);
                heard.extend_from_slice(&buffer[..len]);
                if len == 0 || heard.len() >= after {
                    let _ = stream.write_all(&std::mem::take(&mut says));
                }
                if len == 0 {
                    break;
                }
            }
            let _ = tell.send(heard);
        });
        Self { script, heard, vaurien: Program::start(&backend, options) }
    }

    /// Makes a connection on which the client sends `sends`, and the backend sends `says` once it has received `after`
    /// bytes. Returns what the backend received, what the client received, and how the connection ended for the client.
    fn play(&self, sends: &[u8], says: &[u8], after: usize) -> (Vec<u8>, Vec<u8>, Ending) {
        *self.script.lock().unwrap() = Script { says: says.to_vec(), after };
        let mut client = self.vaurien.connect();
        let (got, ending) = client.send_while_reading(sends);
        let heard = self.heard.recv_timeout(PATIENCE).expect("the backend's connection must end");
        (heard, got, ending)
    }

    /// Whether an ordinary call gets its reply, possibly with 100 bytes inserted, or an HTTP error.
    fn serves(&self, Cases { ask, reply, .. }: &Cases) -> bool {
        let (_, got, _) = self.play(ask, reply, ask.len());
        let (first, second) = reply.split_at(reply.len() / 2);
        let injected = got.len() == reply.len() + 100 && got.starts_with(first) && got.ends_with(second);
        got == *reply || injected || got.starts_with(b"HTTP/1.1 50")
    }
}

/// Plays all `cases` with each kind of handler.
fn assert_survives(cases: &Cases) {
    for handler in [
        "dummy",
        "10:error --seed 1",
        "delay --handler-delay-sleep 1us",
        "delay --handler-delay-sleep 1us --handler-delay-before false",
        "error --handler-error-inject true",
    ] {
        let stage = Stage::new(&format!("--protocol {} --handler {handler}", cases.protocol));
        let begins_with = stage.vaurien.descriptors();
        for _ in 0..20 {
            stage.serves(cases);
        }
        let memory = stage.vaurien.peak_memory();
        for request in &cases.requests {
            eprintln!("{handler}: the client sends \"{}\"", shown(request));
            let (heard, got, ending) = stage.play(request, &cases.reply, usize::MAX);
            if handler == "dummy" {
                assert_same(&heard, request, "to the backend");
                assert_same(&got, &cases.reply, "to the client");
                assert_eq!(ending, Ending::Closed);
            }
        }
        for reply in &cases.replies {
            eprintln!("{handler}: the backend says \"{}\"", shown(reply));
            let (heard, got, ending) = stage.play(&cases.ask, reply, cases.ask.len());
            if handler == "dummy" {
                assert_same(&heard, &cases.ask, "to the backend");
                assert_same(&got, reply, "to the client");
                assert_eq!(ending, Ending::Closed);
            }
        }
        assert!((0..100).any(|_| stage.serves(cases)), "no call is served after the cases with {handler}");
        let grown = stage.vaurien.peak_memory() - memory;
        assert!(grown < GROWTH, "grew by {grown} KiB with {handler}");
        eventually("all descriptors are closed", || stage.vaurien.descriptors() <= begins_with);
        let counts = stage.vaurien.stop();
        assert_eq!(counts.of("dial failures"), 0);
        assert!(!counts.lines.iter().any(|line| line.contains("panicked")), "{handler}: {counts:#?}");
    }
}

/// The beginning of `bytes`, readable.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}

#[track_caller]
fn assert_same(got: &[u8], expected: &[u8], way: &str) {
    let lens = (got.len(), expected.len());
    assert!(got == expected, "{way}: \"{}\" instead of \"{}\", {lens:?} bytes", shown(got), shown(expected));
}

#[test]
fn tcp_survives_anything() {
    assert_survives(&Cases::tcp());
}

#[test]
fn redis_survives_anything() {
    assert_survives(&Cases::redis());
}

#[test]
fn memcache_survives_anything() {
    assert_survives(&Cases::memcache());
}

#[test]
fn http_survives_anything() {
    assert_survives(&Cases::http());
}

#[test]
fn a_head_that_is_too_long_turns_the_connection_opaque() {
    let line = "x".repeat(cases::LONG_LINE);
    for (cases, head) in [
        (Cases::redis(), line.clone()),
        (Cases::memcache(), format!("get {line}\r\n")),
        (Cases::http(), format!("GET / HTTP/1.1\r\nHost: a\r\nX: {line}\r\n\r\n")),
    ] {
        let stage = Stage::new(&format!("--protocol {} --handler delay --handler-delay-sleep 1h", cases.protocol));
        let (heard, got, ending) = stage.play(head.as_bytes(), &cases.reply, usize::MAX);
        assert_same(&heard, head.as_bytes(), "to the backend");
        assert_same(&got, &cases.reply, "to the client");
        let counts = stage.vaurien.stop();
        assert_eq!((ending, counts.of("opaque"), counts.calls("delay")), (Ending::Closed, 1, 0), "{}", cases.protocol);
    }
}
