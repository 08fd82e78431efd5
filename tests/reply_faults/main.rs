//! Replies that are cut off, slow or corrupt, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod corrupt;
mod cut;
mod slow;

use std::io::{Read, Write};
use std::net::TcpStream;

use world::{Api, Backend, eventually, noise};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: here\r\n\r\n";

/// A backend that gives this reply to each request, which ends with `end`.
fn replies(end: &'static str, reply: Vec<u8>) -> Backend {
    Backend::new(move |mut stream| while read_request(&mut stream, end) && stream.write_all(&reply).is_ok() {})
}

/// Reads up to `end`; false where the client is gone.
fn read_request(stream: &mut TcpStream, end: &str) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(end.as_bytes()) {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return false;
        }
        request.push(byte[0]);
    }
    true
}

/// What announces a body of 1000 bytes.
const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n";
const BULK: &str = "$1000\r\n";

/// The data of replies: 1000 bytes.
fn data() -> Vec<u8> {
    noise(7, 1000)
}

/// A reply of these parts, with the data in its middle.
fn reply(before: &str, after: &str) -> Vec<u8> {
    [before.as_bytes(), &data(), after.as_bytes()].concat()
}

/// What tells of the faults, once there are so many.
fn faults(api: Api, count: usize) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    eventually("they are told", || {
        let events = api.events();
        let of = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap().to_owned();
        let all = events.iter().filter(|event| event["event"] == "fault");
        faults = all.map(|event| (of(event, "handler"), of(event, "verdict"))).collect();
        faults.len() >= count
    });
    assert_eq!(faults.len(), count, "{faults:?}");
    faults
}

/// How many faults a handler of the only proxy has.
fn count(api: Api, handler: &str) -> u64 {
    let metrics = api.get("/metrics").body;
    let name = format!("vaurien_faults_total{{proxy=\"default\",handler=\"{handler}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
}
