//! The same seed and the same calls give the same choices in every process.

use crate::world::{Backend, Program};

const CONNECTIONS: usize = 5;
const CALLS: usize = 20;

/// The replies of a hundred calls over five connections: `None` for the backend's reply, else the random bytes.
fn trouble(vaurien: &Program) -> Vec<Option<Vec<u8>>> {
    let mut seen = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = vaurien.connect();
        for call in 0..CALLS {
            let reply = format!("+{call}\r\n");
            let mut got = client.send(format!("{call}\r\n")).read(reply.len());
            let harmed = got != reply.as_bytes();
            if harmed {
                got.extend(client.read(1000 - reply.len()));
            }
            seen.push(harmed.then_some(got));
        }
    }
    seen
}

fn start(backend: &Backend, seed: &str) -> Program {
    Program::start(backend, &format!("--protocol redis --handler 30:error {seed}"))
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let backend = Backend::lines();
    let first = trouble(&start(&backend, "--seed 42"));
    assert_eq!(trouble(&start(&backend, "--seed 42")), first);
    assert_ne!(trouble(&start(&backend, "--seed 43")), first);
    let harmed = first.iter().flatten().count();
    assert!((15..45).contains(&harmed), "{harmed} of 100 calls got a fault, expected about 30");
}

#[test]
fn the_seed_in_the_ready_line_reproduces_the_run() {
    let backend = Backend::lines();
    let (vaurien, other) = (start(&backend, ""), start(&backend, ""));
    assert_ne!(vaurien.seed(), other.seed());
    let first = trouble(&vaurien);
    assert_ne!(trouble(&other), first);
    let again = start(&backend, &format!("--seed {}", vaurien.seed()));
    assert_eq!(trouble(&again), first);
}

#[test]
fn the_log_names_the_handler_of_each_call() {
    for mix in ["30:error", "dummy"] {
        let options = format!("--protocol redis --handler {mix} --seed 42 --log-level trace");
        let vaurien = Program::start(&Backend::lines(), &options);
        let seen = trouble(&vaurien);
        let lines = vaurien.stop().lines;
        let told: Vec<&str> =
            lines.iter().filter_map(|line| line.split_once("TRACE drawn for ")).map(|told| told.1).collect();
        let expected = seen.iter().enumerate().map(|(at, junk)| {
            let handler = if junk.is_some() { "error" } else { "dummy" };
            format!("{handler} connection={} call={}", at / CALLS + 1, at % CALLS + 1)
        });
        assert_eq!(told, expected.collect::<Vec<_>>());
    }
}
