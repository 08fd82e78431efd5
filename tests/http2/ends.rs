//! How connections end: GOAWAY, ends of either side with and without open streams, limits that the backend sets, and backends that do
//! not speak HTTP/2.

use std::net::Shutdown;

use super::raw::{
    self, ACK, GOAWAY, HEADERS, MAX_STREAMS, PING, RST_STREAM, Raw, World, data, frame, get, goaway, ok, post,
    settings, window,
};
use super::world::client::Ending;
use super::world::{self, Client, Program, eventually, noise};

const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The flag of a head with a priority.
const PRIORITIZED: u8 = 0x20;

/// Reads GOAWAY, and then the end of the connection.
#[track_caller]
fn ends_with(raw: &mut Raw, code: u32) {
    let last = raw.next();
    assert_eq!((last.kind, last.code()), (GOAWAY, code));
    while let Some(frame) = raw.next_or_end() {
        assert_eq!((frame.kind, frame.code()), (GOAWAY, code), "{frame:?}");
    }
}

#[test]
fn open_streams_finish_behind_goaway() {
    let mut world = World::new("", &[]);
    let first = world.begin(&get(1, "/")).stream;
    let second = world.begin(&post(3, "/")).stream;
    world.backend.send(&goaway(second, NO_ERROR));
    let told = world.client.next();
    assert_eq!((told.kind, told.code()), (GOAWAY, NO_ERROR));
    // The client may upload, and both are answered.
    world.client.send(&data(3, "more", true));
    assert_eq!(world.backend.next(), data(second, "more", true));
    world.backend.send(&ok(second, true)).send(&ok(first, true));
    let mut replies = [0; 2].map(|_| world.client.until(|frame| frame.kind == HEADERS).stream);
    replies.sort_unstable();
    assert_eq!(replies, [1, 3]);
    while world.client.next_or_end().is_some() {}
    // The next stream has another connection.
    let (mut client, mut backend) = world.connect();
    client.send(&get(1, "/"));
    let asked = backend.next().stream;
    backend.send(&ok(asked, true));
    assert_eq!(client.next(), ok(1, true));
    drop((client, backend));
    assert_eq!(world.vaurien.stop().of("connections"), 2);
}

#[test]
fn what_the_backend_has_not_seen_may_be_tried_again() {
    let mut world = World::new("", &[]);
    let first = world.begin(&get(1, "/")).stream;
    let second = world.begin(&get(3, "/")).stream;
    assert!(first < second);
    world.backend.send(&goaway(first, NO_ERROR)).send(&ok(first, true));
    let mut seen: Vec<_> = Vec::new();
    while let Some(frame) = world.client.next_or_end() {
        seen.push((frame.kind, frame.stream, if frame.kind == HEADERS { 0 } else { frame.code() }));
    }
    seen.retain(|(kind, ..)| *kind != GOAWAY);
    seen.sort_unstable();
    assert_eq!(seen, [(HEADERS, 1, 0), (RST_STREAM, 3, REFUSED_STREAM)]);
}

/// A client may have begun streams that it then makes anew elsewhere. The connection goes on for those that are served.
#[test]
fn streams_that_begin_too_late_are_passed_over() {
    for size in [1, 7, 1000] {
        let mut world = World::new("", &[]);
        let served = world.begin(&get(1, "/")).stream;
        world.backend.send(&goaway(served, 0));
        let ping = world.client.until(|frame| frame.kind == PING);
        let late = [
            frame(PING, ACK, 0, ping.payload),
            post(3, "/"),
            window(3, 5),
            data(3, "late", true),
            window(1, 5),
            frame(PING, 0, 0, *b"are you?"),
        ];
        for piece in late.map(|frame| frame.bytes()).concat().chunks(size) {
            world.client.0.send(piece);
        }
        world.client.until(|frame| frame.kind == PING && frame.payload == b"are you?");
        world.backend.send(&ok(served, true));
        assert_eq!(world.client.until(|frame| frame.kind != GOAWAY), ok(1, true));
    }
}

#[test]
fn goaway_passes_with_its_code() {
    for is_open in [false, true] {
        let mut world = World::new("", &[]);
        let last = if is_open { world.begin(&get(1, "/")).stream } else { 0 };
        world.backend.send(&goaway(last, ENHANCE_YOUR_CALM));
        if is_open {
            // It may still be answered.
            world.backend.send(&ok(last, true));
            let answered = world.client.until(|frame| frame.kind != GOAWAY && frame.is_of_stream());
            assert_eq!(answered, ok(1, true));
        }
        ends_with(&mut world.client, ENHANCE_YOUR_CALM);
    }
}

#[test]
fn a_backend_that_dies_takes_its_clients_along() {
    for (is_reset, is_open) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = World::new("", &[]);
        world.serves(1);
        if is_open {
            let number = world.begin(&post(3, "/")).stream;
            world.backend.send(&ok(number, false)).send(&data(number, "part", false));
            assert_eq!(world.client.next(), ok(3, false));
            assert_eq!(world.client.next(), data(3, "part", false));
        }
        if is_reset {
            world.backend.0.reset();
        } else {
            drop(world.backend);
        }
        // The end of a connection is the end of a stream that is open: not in order, so that it is no whole reply.
        let mut frames = Vec::new();
        while let Some(frame) = world.client.next_or_end() {
            assert!(frame.kind == GOAWAY || frame.kind == RST_STREAM, "{frame:?}");
            frames.push(frame);
        }
        if is_reset {
            assert_eq!(world.client.0.ending(), Ending::Closed);
        }
        let (mut client, _backend) = (world.vaurien.connect(), world.listener.accept().unwrap());
        assert!(client.is_silent());
        client.half_close();
    }
}

#[test]
fn a_reply_right_before_the_end_passes() {
    for with in [None, Some(NO_ERROR), Some(ENHANCE_YOUR_CALM)] {
        for is_other_open in [false, true] {
            let mut world = World::new("", &[]);
            if is_other_open {
                world.begin(&post(1, "/"));
            }
            let number = world.begin(&get(3, "/")).stream;
            let mut frames = vec![ok(number, false)];
            frames.extend([data(number, noise(1, 16_000), false), data(number, noise(2, 16_000), false)]);
            frames.extend([data(number, noise(3, 16_000), true)]);
            frames.extend(with.map(|code| goaway(number, code)));
            world.backend.0.send(frames.iter().flat_map(raw::Frame::bytes).collect::<Vec<_>>());
            drop(world.backend);
            let (mut body, mut ends) = (Vec::new(), false);
            while let Some(frame) = world.client.next_or_end() {
                if frame.kind == raw::DATA {
                    ends = frame.ends_stream();
                    body.extend(frame.payload);
                }
            }
            let expected = [1, 2, 3].map(|seed| noise(seed, 16_000)).concat();
            assert!(ends && body == expected, "{with:?} {is_other_open}: {} {ends}", body.len());
        }
    }
}

#[test]
fn a_client_that_leaves_takes_its_backend_along() {
    for (how, is_open) in [("close", false), ("close", true), ("reset", false), ("reset", true), ("half", true)] {
        let mut world = World::new("", &[]);
        world.serves(1);
        let number = if is_open { world.begin(&post(3, "/")).stream } else { 0 };
        let World { client, mut backend, vaurien, .. } = world;
        let mut half = None;
        match how {
            "close" => drop(client),
            "reset" => client.0.reset(),
            _ => {
                client.0.stream().shutdown(Shutdown::Write).unwrap();
                half = Some(client);
            }
        }
        while let Some(frame) = backend.next_or_end() {
            let is_end = frame.kind == GOAWAY || frame.kind == RST_STREAM && frame.stream == number;
            assert!(is_end, "{how} {is_open}: {frame:?}");
        }
        if let Some(mut client) = half {
            while client.next_or_end().is_some() {}
        }
        assert_eq!(vaurien.stop().of("opaque"), 0);
    }
}

#[test]
fn the_backends_limit_is_the_clients() {
    for (limit, expected) in [(1, 1), (128, 128), (1_000_000, 10_000)] {
        let world = World::new("", &[(MAX_STREAMS, limit)]);
        assert_eq!(world.settings.setting(MAX_STREAMS), Some(expected));
        // Extended CONNECT is offered where the backend offers it.
        assert_eq!(world.settings.setting(raw::CONNECT_PROTOCOL).unwrap_or_default(), 0);
    }
    let world = World::new("", &[(raw::CONNECT_PROTOCOL, 1)]);
    assert_eq!(world.settings.setting(MAX_STREAMS), Some(10_000));
    assert_eq!(world.settings.setting(raw::CONNECT_PROTOCOL), Some(1));
}

#[test]
fn a_limit_that_changes_is_respected() {
    let mut world = World::new("", &[(MAX_STREAMS, 100)]);
    world.backend.send(&settings(&[(MAX_STREAMS, 2)]));
    world.backend.until(|frame| frame.kind == raw::SETTINGS && frame.flags == raw::ACK);
    world.backend.ping();
    let streams = [1, 3, 5, 7, 9];
    for stream in streams {
        world.client.send(&get(stream, "/"));
    }
    let mut open = vec![world.backend.next().stream, world.backend.next().stream];
    let mut answered = 0;
    while let Some(number) = open.pop() {
        // No other one is here.
        assert!(world.backend.ping().is_empty());
        world.backend.send(&ok(number, true));
        world.client.until(|frame| frame.kind == HEADERS && frame.ends_stream());
        answered += 1;
        if answered + open.len() < streams.len() {
            open.push(world.backend.next().stream);
        }
    }
    assert_eq!(answered, streams.len());
}

#[test]
fn windows_that_change_are_respected() {
    let mut world = World::new("", &[(raw::WINDOW, 3)]);
    let number = world.begin(&post(1, "/")).stream;
    world.client.send(&data(1, "0123456789", true));
    assert_eq!(world.backend.next(), data(number, "012", false));
    assert!(world.backend.ping().is_empty());
    world.backend.send(&settings(&[(raw::WINDOW, 5)]));
    assert_eq!(world.backend.next(), data(number, "34", false));
    // Less than what has been used already.
    world.backend.send(&settings(&[(raw::WINDOW, 0)])).send(&raw::window(number, 6));
    assert_eq!(world.backend.next(), data(number, "5", false));
    world.backend.send(&raw::window(number, 100));
    assert_eq!(world.backend.next(), data(number, "6789", true));
    // And the client's.
    world.client.send(&settings(&[(raw::WINDOW, 2)]));
    world.client.ping();
    world.backend.send(&ok(number, false)).send(&data(number, "abc", true));
    assert_eq!(world.client.next(), ok(1, false));
    assert_eq!(world.client.next(), data(1, "ab", false));
    world.client.send(&raw::window(1, 1));
    assert_eq!(world.client.next(), data(1, "c", true));
}

#[test]
fn priorities_are_ignored_and_pings_answered() {
    let mut world = World::new("", &[]);
    let weight = [0, 0, 0, 0, 255];
    world.client.send(&raw::frame(raw::PRIORITY, 0, 1, weight)).send(&raw::frame(
        raw::PRIORITY,
        0,
        101,
        [0, 0, 0, 1, 7],
    ));
    let head = [&weight[..], &raw::head("GET", "/")].concat();
    let flags = raw::END_HEADERS | raw::END_STREAM | PRIORITIZED;
    let asked = world.begin(&raw::frame(HEADERS, flags, 1, head));
    world.client.send(&raw::frame(raw::PRIORITY, 0, 1, [0, 0, 0, 3, 0]));
    // A frame that nobody knows (RFC 9113, section 4.1).
    world.client.send(&raw::frame(0xee, 0xff, 1, *b"unknown"));
    assert!(world.client.ping().is_empty());
    assert!(world.backend.ping().is_empty());
    world.backend.send(&ok(asked.stream, true));
    assert_eq!(world.client.next(), ok(1, true));
}

/// Extended CONNECT where the backend does not have it (RFC 8441, section 3).
#[test]
fn extended_connect_needs_the_backends_setting() {
    let mut world = World::new("", &[]);
    let head = [raw::head("CONNECT", "/chat"), raw::field(":protocol", "websocket")].concat();
    world.client.send(&raw::frame(HEADERS, raw::END_HEADERS, 1, head));
    let refused = world.client.next();
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 1), "{refused:?}");
    world.serves(3);
}

#[test]
fn a_backend_that_does_not_speak_it_is_told_of() {
    let http_1 = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let garbage = "\r\n\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (said, closes, why) in [
        (http_1, false, "it does not speak HTTP/2, but HTTP/1: let the client speak that, or add --backend-tls"),
        (garbage, false, "it does not speak HTTP/2: if it speaks TLS, add --backend-tls"),
        ("\x15\x03\x01\0\x02\x02\x46", false, "it does not speak HTTP/2, but TLS: add --backend-tls"),
        ("\x15\x03\x01\0\x02\x02\x46", true, "it does not speak HTTP/2, but TLS: add --backend-tls"),
        ("", true, "connection"),
        ("", false, "it does not begin HTTP/2"),
    ] {
        let backend = world::Backend::new(move |stream| {
            let mut client = Client::from(stream);
            client.expect(raw::PREFACE).send(said);
            if !closes {
                client.read_to_end();
            }
        });
        let mut vaurien = Program::start(&backend, "--protocol http --connect-timeout 500ms");
        let mut client = vaurien.connect();
        client.send([raw::PREFACE, &settings(&[]).bytes(), &get(1, "/").bytes()].concat());
        // Nobody has answered.
        let mut raw = Raw(client);
        while let Some(frame) = raw.next_or_end() {
            assert_eq!(frame.kind, GOAWAY, "{frame:?}");
        }
        let line = vaurien.line("cannot reach the backend");
        assert!(line.contains(why), "{said:?}: {line}");
        let counts = vaurien.stop();
        assert_eq!((counts.of("dial failure"), counts.of("opaque")), (1, 0), "{said:?}");
    }
}

/// A backend that breaks the protocol later.
#[test]
fn garbage_of_a_backend_ends_its_connection() {
    for garbage in [&b"HTTP/1.1 500 no\r\n\r\n"[..], &[0xff; 100], &ok(99, true).bytes(), &data(0, "x", true).bytes()] {
        let mut world = World::new("", &[]);
        world.begin(&get(1, "/"));
        world.backend.0.send(garbage);
        let mut kinds = Vec::new();
        while let Some(frame) = world.client.next_or_end() {
            kinds.push(frame.kind);
        }
        assert!(kinds.iter().all(|kind| [GOAWAY, RST_STREAM].contains(kind)), "{kinds:?}");
        while world.backend.next_or_end().is_some() {}
        eventually("the proxy goes on", || world.vaurien.memory() > 0);
        world.connect();
    }
}

#[test]
fn garbage_of_a_client_ends_its_connection_alone() {
    let mut world = World::new("", &[]);
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0xff; 100], &get(2, "/").bytes(), &data(5, "x", true).bytes()]
    {
        let (mut client, mut backend) = world.connect();
        client.0.send(garbage);
        ends_with_any(&mut client);
        while let Some(frame) = backend.next_or_end() {
            assert_eq!(frame.kind, GOAWAY);
        }
    }
    world.serves(1);
}

#[track_caller]
fn ends_with_any(raw: &mut Raw) {
    let mut codes = Vec::new();
    while let Some(frame) = raw.next_or_end() {
        assert_eq!(frame.kind, GOAWAY, "{frame:?}");
        codes.push(frame.code());
    }
    assert!(codes.last().is_some_and(|code| *code != NO_ERROR), "{codes:?}");
}
