//! Rules, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod changes;
mod connections;
mod matching;
mod results;
mod wrong;

#[path = "../world/mod.rs"]
mod world;

use world::{Api, Backend, Client, Program};

/// The program with an API, in front of `backend`.
fn start(backend: &Backend, protocol: &str, rules: &[&str], more: &str) -> Program {
    let mut command = Program::command("--proxy 127.0.0.1:0 --http --http-port 0 --seed 7");
    command.args(["--backend", &backend.address().to_string(), "--protocol", protocol]);
    for rule in rules {
        command.args(["--rule", rule]);
    }
    Program::spawn(command.args(more.split_ascii_whitespace()))
}

/// Makes inline commands of redis, one after the other: which of them passed.
fn pass(client: &mut Client, commands: &[&str]) -> Vec<bool> {
    let call = |command: &&str| {
        client.send(format!("{command}\r\n"));
        client.read_until("\r\n") == format!("+{command}\r\n").as_bytes()
    };
    commands.iter().map(call).collect()
}

/// How many calls each handler got.
fn calls(api: Api) -> serde_json::Value {
    api.proxy("default")["status"]["calls"].clone()
}
