//! What a hostile side can do: to its own connection, and no more. Memory stays bounded, and others are served meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::peer;
use super::raw::{self, CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, World};
use super::raw::{data, field, frame, get, head, ok, post, rst, settings, window};
use super::world::{self, Program, noise};

/// How much the proxy may grow under an attack, in KiB.
const GROWTH: u64 = 16 * 1024;

/// The same where a whole connection's window is full, and written as far as the library goes.
const FULL: u64 = 128 * 1024;

/// How long an attack lasts if nothing ends it.
const LASTS: Duration = Duration::from_millis(600);

/// The largest window there is.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// A backend that answers each request at once, one that is not over with as much as a stream's window lets, and gives any window.
fn backend() -> world::Backend {
    let body = noise(1, 16_000);
    raw::backend_with(&[(raw::WINDOW, MAX_WINDOW)], move |mut raw| {
        while let Some(frame) = raw.next_or_end() {
            let mut frames = ok(frame.stream, frame.ends_stream()).bytes();
            if frame.kind != HEADERS {
                continue;
            }
            if !frame.ends_stream() {
                frames.extend([(); 16].iter().flat_map(|()| data(frame.stream, &*body, false).bytes()));
            }
            if !raw.0.try_send(&frames) {
                return;
            }
        }
    })
}

/// Others than the attacker are served.
#[track_caller]
fn serves(vaurien: &Program) {
    let mut other = Raw::connect(vaurien.address());
    other.send(&get(1, "/"));
    assert_eq!(other.next(), ok(1, true));
}

/// Begins with `begin`, and then sends what `next` makes for as long as somebody takes it, and no longer than an attack lasts. What
/// comes is read or not. Whether the connection was ended.
fn attack(vaurien: &Program, begin: &[u8], reads: bool, mut next: impl FnMut() -> Vec<u8>) -> bool {
    let before = vaurien.peak_memory();
    let raw = Raw::connect(vaurien.address());
    let mut stream = raw.0.stream();
    stream.write_all(begin).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (since, mut ended) = (Instant::now(), false);
    let mut others = 0;
    let (mut bytes, mut at, mut buffer) = (Vec::new(), 0, vec![0; 64 * 1024]);
    while since.elapsed() < LASTS && !ended {
        if at == bytes.len() {
            (bytes, at) = (next(), 0);
        }
        match stream.write(&bytes[at..]) {
            Ok(len) => at += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => ended = true,
        }
        if reads {
            match stream.read(&mut buffer) {
                Ok(0) => ended = true,
                Err(error) if error.kind() != ErrorKind::WouldBlock => ended = true,
                _ => {}
            }
        }
        if since.elapsed() > others * LASTS / 4 {
            serves(vaurien);
            others += 1;
        }
    }
    serves(vaurien);
    let grown = vaurien.peak_memory().saturating_sub(before);
    assert!(grown < GROWTH, "by {grown} KiB");
    ended
}

fn start() -> (world::Backend, Program) {
    let backend = backend();
    let vaurien = Program::start(&backend, "--protocol http --workers 1");
    serves(&vaurien);
    (backend, vaurien)
}

/// The numbers of a client's streams.
fn streams() -> impl FnMut() -> u32 {
    let mut stream = u32::MAX;
    move || {
        stream = stream.wrapping_add(2);
        stream
    }
}

#[test]
fn rapid_reset() {
    let (_backend, vaurien) = start();
    for reads in [true, false] {
        let mut number = streams();
        attack(&vaurien, &[], reads, || {
            let streams = std::iter::repeat_with(&mut number).take(100);
            streams.flat_map(|stream| [get(stream, "/").bytes(), rst(stream, 8).bytes()].concat()).collect()
        });
    }
}

#[test]
fn continuation_flood() {
    let (_backend, vaurien) = start();
    let begin = frame(HEADERS, END_STREAM, 1, head("GET", "/")).bytes();
    let fields = field("x-a", &"a".repeat(100)).repeat(100);
    for payload in [fields, Vec::new()] {
        let more = frame(CONTINUATION, 0, 1, payload).bytes().repeat(10);
        assert!(attack(&vaurien, &begin, true, || more.clone()));
    }
}

#[test]
fn floods_of_small_frames() {
    let (_backend, vaurien) = start();
    let begin = post(1, "/").bytes();
    for (what, frame) in [
        ("settings", settings(&[(raw::WINDOW, 1000)])),
        ("empty settings", settings(&[])),
        ("ping", frame(raw::PING, 0, 0, *b"12345678")),
        ("priority", frame(raw::PRIORITY, 0, 1, [0, 0, 0, 3, 1])),
        ("empty data", data(1, "", false)),
        ("window", window(0, 1)),
        ("resets of an old stream", rst(1, 8)),
    ] {
        for reads in [false, true] {
            eprintln!("{what} {reads}");
            let frames = frame.bytes().repeat(100);
            attack(&vaurien, &begin, reads, || frames.clone());
        }
    }
}

#[test]
fn heads_that_grow_as_they_are_unpacked() {
    let (_backend, vaurien) = start();
    let before = vaurien.peak_memory();
    // A field of 4,000 bytes that is remembered, and then named by a byte, the index 62.
    let value = [&[0x7f, 0xa1, 0x1e][..], &[b'a'; 4000]].concat();
    let bomb = [&[0x40, 3][..], b"x-a", &value, &[0xbe; 12_000]].concat();
    for _ in 0..20 {
        let mut raw = Raw::connect(vaurien.address());
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, [head("GET", "/"), bomb.clone()].concat()));
        let refused = raw.next();
        let is_431 = refused.kind == HEADERS && refused.payload.windows(3).any(|part| part == b"431")
            || [RST_STREAM, GOAWAY].contains(&refused.kind)
            || refused.kind == HEADERS && refused.payload != ok(1, true).payload;
        assert!(is_431, "{refused:?}");
        serves(&vaurien);
    }
    let grown = vaurien.peak_memory().saturating_sub(before);
    assert!(grown < GROWTH, "by {grown} KiB");
}

#[test]
fn windows_that_cannot_be() {
    let mut world = World::new("", &[]);
    world.begin(&post(1, "/"));
    // Of a stream they are its own matter.
    world.client.send(&window(1, MAX_WINDOW));
    let end = world.client.next();
    assert_eq!((end.kind, end.stream, end.code()), (RST_STREAM, 1, 3));
    assert_eq!(world.backend.next().kind, RST_STREAM);
    world.serves(3);
    // Of the connection they end it; so does none (RFC 9113, section 5.4.1).
    for (stream, by) in [(0, 0), (0, MAX_WINDOW), (1, 0)] {
        let (mut client, _backend) = world.connect();
        client.send(&post(1, "/")).send(&window(stream, by));
        let end = client.next();
        assert_eq!((end.kind, end.code()), (GOAWAY, if by == 0 { 1 } else { 3 }));
        assert!(client.next_or_end().is_none_or(|frame| frame.kind == GOAWAY));
    }
}

#[test]
fn a_window_that_opens_byte_by_byte() {
    let mut world = World::new("", &[]);
    world.client.send(&settings(&[(raw::WINDOW, 0)]));
    world.client.ping();
    let number = world.begin(&get(1, "/")).stream;
    let body = noise(1, 1000);
    world.backend.send(&ok(number, false)).send(&data(number, &*body, true));
    assert_eq!(world.client.next(), ok(1, false));
    for (at, byte) in body.iter().enumerate() {
        world.client.send(&window(1, 1));
        assert_eq!(world.client.next(), data(1, [*byte], at + 1 == body.len()));
    }
}

/// A client with the largest windows there are that never reads.
#[tokio::test]
async fn streams_whose_client_never_reads() {
    let sent = Arc::<AtomicUsize>::default();
    let count = sent.clone();
    let builder = h2::server::Builder::new().max_concurrent_streams(10_000).clone();
    let backend = peer::Backend::with(&builder, move |request, mut respond| {
        let count = count.clone();
        async move {
            if request.method() == http::Method::HEAD {
                return peer::answer(respond, 200);
            }
            let mut to = respond.send_response(http::Response::new(()), false).unwrap();
            let body = Bytes::from(noise(1, 16_384));
            while peer::send(&mut to, body.clone()).await.is_ok() {
                count.fetch_add(body.len(), Ordering::Relaxed);
            }
        }
    });
    let vaurien = Program::start_at(&backend.address(), "--protocol http --workers 1");
    let before = vaurien.peak_memory();
    let mut raw = Raw(vaurien.connect());
    let windows = [settings(&[(raw::WINDOW, MAX_WINDOW)]).bytes(), window(0, MAX_WINDOW - 65_535).bytes()];
    raw.0.send([raw::PREFACE, &windows.concat()].concat());
    let asked: Vec<u8> = (1..).step_by(2).take(2000).flat_map(|stream| get(stream, "/").bytes()).collect();
    raw.0.send(asked);
    is_over(&sent).await;
    let grown = vaurien.peak_memory().saturating_sub(before);
    assert!(grown < FULL, "by {grown} KiB");
    let other = peer::Client::connect(vaurien.address()).await;
    assert_eq!(other.ask(peer::request(http::Method::HEAD, "/"), Bytes::new(), None).await.unwrap().status, 200);
}

/// The same with a backend.
#[tokio::test]
async fn uploads_that_the_backend_never_reads() {
    let backend = world::Backend::new(|stream| {
        let mut raw = Raw::accept(stream, &[(raw::WINDOW, MAX_WINDOW), (raw::MAX_STREAMS, 10_000)]);
        raw.send(&window(0, MAX_WINDOW - 65_535));
        let first = raw.next();
        if first.ends_stream() {
            raw.send(&ok(first.stream, true));
            raw.next_or_end();
        } else {
            // Nothing more is read, and the connection stays open.
            std::thread::park();
        }
    });
    let vaurien = Program::start(&backend, "--protocol http --workers 1");
    let before = vaurien.peak_memory();
    let client = peer::Client::connect(vaurien.address()).await;
    let (sent, body) = (Arc::<AtomicUsize>::default(), Bytes::from(noise(1, 16_384)));
    for _ in 0..2000 {
        let (response, mut to) = client.begin(peer::request(http::Method::POST, "/"), false).await;
        let (count, body) = (sent.clone(), body.clone());
        tokio::spawn(async move {
            while peer::send(&mut to, body.clone()).await.is_ok() {
                count.fetch_add(body.len(), Ordering::Relaxed);
            }
            drop(response);
        });
    }
    is_over(&sent).await;
    let grown = vaurien.peak_memory().saturating_sub(before);
    assert!(grown < FULL, "by {grown} KiB");
    serves(&vaurien);
}

/// Waits until nothing more is sent, for some time.
async fn is_over(sent: &AtomicUsize) {
    let (mut before, mut since) = (0, Instant::now());
    while since.elapsed() < LASTS {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = sent.load(Ordering::Relaxed);
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

#[test]
fn a_backends_flood() {
    for flood in [settings(&[]), frame(raw::PING, 0, 0, *b"12345678"), data(1, "", false), frame(SETTINGS, 0, 0, [])] {
        let flood = flood.bytes().repeat(1000);
        let backend = world::Backend::new(move |stream| {
            let mut raw = Raw::accept(stream, &[]);
            let asked = raw.next();
            if asked.ends_stream() {
                raw.send(&ok(asked.stream, true));
                raw.next_or_end();
                return;
            }
            raw.send(&ok(asked.stream, false));
            let begun = Instant::now();
            while begun.elapsed() < LASTS / 4 && raw.0.try_send(&flood) {}
        });
        let vaurien = Program::start(&backend, "--protocol http --workers 1");
        serves(&vaurien);
        let before = vaurien.peak_memory();
        let mut raw = Raw::connect(vaurien.address());
        raw.send(&post(1, "/"));
        assert_eq!(raw.next(), ok(1, false));
        serves(&vaurien);
        while raw.next_or_end().is_some() {}
        serves(&vaurien);
        let grown = vaurien.peak_memory().saturating_sub(before);
        assert!(grown < GROWTH, "by {grown} KiB");
    }
}
