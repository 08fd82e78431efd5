//! Toxiproxy's API, over real sockets: every status, text and body that its clients depend on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod both;
mod decoding;
mod effects;
mod http;
mod lists;
mod programs;
mod proxies;
mod toxics;

#[path = "../world/mod.rs"]
mod world;

use std::net::SocketAddr;

use serde_json::{Value, json};
use world::api::Reply;
use world::{Api, Backend, Client, Program};

/// The program with Toxiproxy's API alone.
fn start() -> Program {
    Program::spawn(&mut Program::command("--toxiproxy localhost:0 --seed 7"))
}

/// The status and the body of a reply.
fn is(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json())
}

/// An error with its status.
fn error(status: u16, message: &str) -> (u16, Value) {
    (status, json!({ "error": message, "status": status }))
}

/// Creates a proxy on a free port. Answers its address.
#[track_caller]
fn create(api: Api, name: &str, upstream: SocketAddr) -> SocketAddr {
    let body = json!({ "name": name, "listen": "localhost:0", "upstream": upstream.to_string() });
    let reply = api.post_body("/proxies", &body.to_string());
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["listen"].as_str().unwrap().parse().unwrap()
}

/// Adds a toxic. Answers it.
#[track_caller]
fn add(api: Api, proxy: &str, toxic: &Value) -> Value {
    let reply = api.post_body(&format!("/proxies/{proxy}/toxics"), &toxic.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Sends a request without a type.
#[track_caller]
fn ask(api: Api, method: &str, path: &str, body: &Value) -> Reply {
    api.ask(method, path, "", &body.to_string())
}

/// Whether a client's line comes back.
#[track_caller]
fn assert_passes(client: &mut Client) {
    client.send("hello\n").expect("hello\n");
}
