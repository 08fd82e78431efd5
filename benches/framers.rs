//! The cost of finding messages: `cargo bench --bench framers`, optionally followed by the beginning of a name.
//!
//! Each framer reads requests and replies: a pipeline of small messages (with HTTP mostly headers), and one message
//! with a large body that arrives in reads of the largest size.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fmt;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use vaurien::Mix;
use vaurien::protocol::{Expect, Protocol, Step};

/// Calls in a pipeline.
const CALLS: usize = 64;

/// The length of a large body, in bytes.
const BODY: usize = 16 << 20;

/// How many bytes a framer is shown at once: the largest read.
const READ: usize = 256 * 1024;

fn main() {
    divan::main();
}

/// Requests and replies as a client and a backend would send them.
struct Traffic {
    protocol: Protocol,
    name: &'static str,
    calls: usize,
    requests: Vec<u8>,
    replies: Vec<u8>,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.name)
    }
}

fn pipelines() -> Vec<Traffic> {
    let many = |protocol, name, request: &str, reply: &str| Traffic {
        protocol,
        name,
        calls: CALLS,
        requests: request.repeat(CALLS).into(),
        replies: reply.repeat(CALLS).into(),
    };
    let get = "GET /users/4711?fields=name HTTP/1.1\r\nHost: example.org\r\nUser-Agent: bench/1.0\r\n\
               Accept: application/json\r\nAccept-Encoding: gzip, br\r\nConnection: keep-alive\r\n\r\n";
    let found = "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\n\
                 Content-Type: application/json\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\n{\"name\":\"Alice\"}";
    vec![
        many(Protocol::Redis, "get", "*2\r\n$3\r\nGET\r\n$8\r\nkey:4711\r\n", "$3\r\nabc\r\n"),
        many(Protocol::Redis, "set", "*3\r\n$3\r\nSET\r\n$8\r\nkey:4711\r\n$3\r\nabc\r\n", "+OK\r\n"),
        many(Protocol::Redis, "inline", "GET key:4711\r\n", "$3\r\nabc\r\n"),
        many(
            Protocol::Redis,
            "lists",
            "*4\r\n$6\r\nLRANGE\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n2\r\n",
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ),
        many(Protocol::Memcache, "get", "get key:4711\r\n", "VALUE key:4711 0 3\r\nabc\r\nEND\r\n"),
        many(Protocol::Memcache, "set", "set key:4711 0 0 3\r\nabc\r\n", "STORED\r\n"),
        many(Protocol::Memcache, "meta", "mg key:4711 v\r\n", "VA 3\r\nabc\r\n"),
        many(Protocol::Http, "headers", get, found),
    ]
}

fn large() -> Vec<Traffic> {
    let with_body = |head: &str, end: &str| [head.as_bytes(), &vec![b'x'; BODY], end.as_bytes()].concat();
    let one = |protocol, name, request: String, reply: String, end| Traffic {
        protocol,
        name,
        calls: 1,
        requests: with_body(&request, end),
        replies: with_body(&reply, end),
    };
    let item = Traffic {
        protocol: Protocol::Memcache,
        name: "item",
        calls: 2,
        requests: with_body(&format!("set key 0 0 {BODY}\r\n"), "\r\nget key\r\n"),
        replies: with_body(&format!("STORED\r\nVALUE key 0 {BODY}\r\n"), "\r\nEND\r\n"),
    };
    let redis = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n${BODY}\r\n");
    let length = format!("Content-Length: {BODY}\r\n\r\n");
    let put = "PUT / HTTP/1.1\r\nHost: example.org\r\n";
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{BODY:x}\r\n");
    vec![
        one(Protocol::Redis, "value", redis, format!("${BODY}\r\n"), "\r\n"),
        item,
        one(Protocol::Http, "length", format!("{put}{length}"), format!("HTTP/1.1 200 OK\r\n{length}"), ""),
        one(
            Protocol::Http,
            "chunked",
            format!("{put}{chunked}"),
            format!("HTTP/1.1 200 OK\r\n{chunked}"),
            "\r\n0\r\n\r\n",
        ),
    ]
}

/// Frames all requests, and passes on the expectation of each.
fn frame_requests(traffic: &Traffic, mut begun: impl FnMut(Expect)) {
    let (mut framer, mut rest) = (traffic.protocol.requests(), traffic.requests.as_slice());
    while !rest.is_empty() {
        let len = match framer.step(&rest[..rest.len().min(READ)], false) {
            Step::Call { len, expect, .. } => {
                begun(expect);
                len
            }
            Step::Part { len, .. } => len,
            step => panic!("{step:?} in {traffic}"),
        };
        rest = &rest[len..];
    }
}

/// Frames all replies; returns their number.
fn frame_replies(traffic: &Traffic, expected: &[Expect]) -> usize {
    let (mut framer, mut rest) = (traffic.protocol.replies(), traffic.replies.as_slice());
    let mut ended = 0;
    while !rest.is_empty() {
        let Step::Part { len, left } = framer.step(&rest[..rest.len().min(READ)], expected.get(ended).copied()) else {
            panic!("no reply in {traffic}");
        };
        ended += usize::from(left == Some(0));
        rest = &rest[len..];
    }
    ended
}

fn bench_requests(bencher: Bencher, traffic: &Traffic) {
    bencher.bench_local(|| {
        let mut calls = 0;
        frame_requests(traffic, |_| calls += 1);
        assert_eq!(calls, traffic.calls);
    });
}

fn bench_replies(bencher: Bencher, traffic: &Traffic) {
    let mut expected = Vec::new();
    frame_requests(traffic, |expect| expected.push(expect));
    bencher.bench_local(|| assert_eq!(frame_replies(traffic, &expected), traffic.calls));
}

#[divan::bench(args = pipelines())]
fn pipelined_requests(bencher: Bencher, traffic: &Traffic) {
    bench_requests(bencher.counter(ItemsCount::new(traffic.calls)), traffic);
}

#[divan::bench(args = pipelines())]
fn pipelined_replies(bencher: Bencher, traffic: &Traffic) {
    bench_replies(bencher.counter(ItemsCount::new(traffic.calls)), traffic);
}

#[divan::bench(args = large())]
fn large_request(bencher: Bencher, traffic: &Traffic) {
    bench_requests(bencher.counter(BytesCount::new(traffic.requests.len())), traffic);
}

#[divan::bench(args = large())]
fn large_reply(bencher: Bencher, traffic: &Traffic) {
    bench_replies(bencher.counter(BytesCount::new(traffic.replies.len())), traffic);
}

#[divan::bench(args = ["delay", "20:delay", "20:delay,5:error,1:hang,1:blackout"])]
fn draws(bencher: Bencher, mix: &str) {
    let mix: Mix = mix.parse().unwrap();
    let mut drawn = mix.drawn(42, "default", 1);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| drawn.next());
}
