//! The HTTP API of the program, over sockets: every status and body that a client can get.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../world/mod.rs"]
mod world;

mod access;
mod connections;
mod contract;
mod page;
mod proxies;
mod wire;
mod wrong;

use serde_json::{Value, json};
use world::api::Reply;
use world::{Backend, Program};

/// The program with its API on a free port.
fn start(backend: &Backend, more: &str) -> Program {
    Program::start(backend, &format!("--http --http-port 0 --http-host 127.0.0.1 --protocol redis {more}"))
}

/// The status and the body of a reply.
fn is(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json())
}

/// An error of one entry.
fn wrong(status: u16, location: &str, name: &str, description: &str) -> (u16, Value) {
    let error = json!({ "location": location, "name": name, "description": description });
    (status, json!({ "status": "error", "errors": [error] }))
}
