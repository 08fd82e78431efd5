//! `RST_STREAM` passes in both directions with its code, at every point of a stream, and touches no other.

use std::collections::BTreeMap;

use super::raw::{DATA, Frame, HEADERS, RST_STREAM, WINDOW, World, data, get, ok, post, rst, settings, window};

/// All codes, and one that nobody knows.
fn codes() -> impl Iterator<Item = u32> {
    (0..=13).chain([0x1234_5678])
}

/// What the sides of a stream have sent before the reset.
const POINTS: [&str; 5] = ["asks", "asks, uploads", "asked", "asked, replies", "asks, uploads, replies"];

/// Brings a stream with this number to the point. The number of the backend's.
fn bring(world: &mut World, stream: u32, point: &str) -> u32 {
    let is_open = point.starts_with("asks");
    let asked = world.begin(&if is_open { post(stream, "/") } else { get(stream, "/") });
    assert_eq!(asked.ends_stream(), !is_open);
    let number = asked.stream;
    if point.contains("uploads") {
        world.client.send(&data(stream, "some", false));
        assert_eq!(world.backend.next(), data(number, "some", false));
    }
    if point.contains("replies") {
        world.backend.send(&ok(number, false)).send(&data(number, "part", false));
        assert_eq!(world.client.next(), ok(stream, false));
        assert_eq!(world.client.next(), data(stream, "part", false));
    }
    number
}

#[test]
fn the_code_of_a_client_reaches_the_backend() {
    for options in ["", "--handler delay(sleep=0)"] {
        let mut world = World::new(options, &[]);
        let mut stream = 1;
        for point in POINTS {
            for code in codes() {
                let number = bring(&mut world, stream, point);
                world.client.send(&rst(stream, code));
                assert_eq!(world.backend.next(), rst(number, code), "{options} {point}");
                stream += 2;
            }
            world.serves(stream);
            stream += 2;
        }
        assert_eq!(world.vaurien.stop().of("opaque"), 0);
    }
}

#[test]
fn the_code_of_a_backend_reaches_the_client() {
    for options in ["", "--handler delay(sleep=0)", "--handler slow(rate=1GB/s)"] {
        let mut world = World::new(options, &[]);
        let mut stream = 1;
        for point in POINTS {
            for code in codes() {
                let number = bring(&mut world, stream, point);
                world.backend.send(&rst(number, code));
                assert_eq!(world.client.next(), rst(stream, code), "{options} {point}");
                stream += 2;
            }
            world.serves(stream);
            stream += 2;
        }
    }
}

/// A server that has answered may not want the rest of the request (RFC 9113, section 8.1).
#[test]
fn a_backend_may_end_a_request_that_it_has_answered() {
    let mut world = World::new("", &[]);
    for (stream, code) in (1..).step_by(2).zip(codes()) {
        let number = bring(&mut world, stream, "asks, uploads");
        let frames = [ok(number, false), data(number, "no, thanks", true), rst(number, code)];
        world.backend.0.send(frames.map(|frame| frame.bytes()).concat());
        assert_eq!(world.client.next(), ok(stream, false));
        assert_eq!(world.client.next(), data(stream, "no, thanks", true));
        assert_eq!(world.client.next(), rst(stream, code), "after {code}");
    }
    world.serves(101);
}

/// What was read in one piece with the reset comes before it.
#[test]
fn a_reset_overtakes_nothing_of_a_reply() {
    let mut world = World::new("", &[]);
    for (stream, code) in (1..).step_by(2).zip(codes()) {
        let number = bring(&mut world, stream, "asked");
        let frames = [ok(number, false), data(number, "one", false), data(number, "two", false), rst(number, code)];
        world.backend.0.send(frames.map(|frame| frame.bytes()).concat());
        assert_eq!(world.client.next(), ok(stream, false));
        let (mut body, mut next) = (Vec::new(), world.client.next());
        while next.kind == DATA {
            body.extend(next.payload);
            next = world.client.next();
        }
        assert_eq!((body.escape_ascii().to_string(), next), ("onetwo".to_owned(), rst(stream, code)));
    }
}

/// Neither does one that the client is too slow to have taken the reply before.
#[test]
fn a_reset_waits_for_a_slow_client() {
    const STREAMS: u32 = 40;
    let mut world = World::new("", &[(WINDOW, 1 << 20)]);
    world.client.send(&settings(&[(WINDOW, 1 << 20)])).send(&window(0, 1 << 30));
    let reply = vec![b'x'; 16_000];
    for stream in (1..).step_by(2).take(STREAMS as usize) {
        let number = world.begin(&get(stream, "/")).stream;
        world.backend.send(&ok(number, false));
        for _ in 0..15 {
            world.backend.send(&data(number, reply.clone(), false));
        }
        world.backend.send(&rst(number, stream));
    }
    // All that is more than the system holds for a client that does not read.
    let mut bodies = BTreeMap::<u32, usize>::new();
    let mut resets = 0;
    while resets < STREAMS {
        let frame = world.client.next();
        match frame.kind {
            DATA => *bodies.entry(frame.stream).or_default() += frame.payload.len(),
            RST_STREAM => {
                assert_eq!((frame.code(), bodies[&frame.stream]), (frame.stream, 15 * reply.len()));
                resets += 1;
            }
            _ => assert_eq!(frame, ok(frame.stream, false)),
        }
    }
}

#[test]
fn a_request_goes_on_behind_its_reply() {
    let mut world = World::new("", &[]);
    let number = bring(&mut world, 1, "asks, uploads");
    world.backend.send(&ok(number, true));
    assert_eq!(world.client.next(), ok(1, true));
    for piece in ["more", "and more"] {
        world.client.send(&data(1, piece, false));
        assert_eq!(world.backend.next(), data(number, piece, false));
    }
    // The client may leave it, or end it.
    let other = bring(&mut world, 3, "asks");
    world.backend.send(&ok(other, true));
    assert_eq!(world.client.next(), ok(3, true));
    world.client.send(&rst(3, 8)).send(&data(1, "", true));
    let mut ends: Vec<Frame> = vec![world.backend.next(), world.backend.next()];
    ends.sort_unstable_by_key(|frame| frame.stream);
    assert_eq!(ends, [data(number, "", true), rst(other, 8)]);
}

#[test]
fn a_stream_that_is_reset_at_once_was_none_or_is_reset() {
    let mut world = World::new("", &[]);
    world.client.0.send([get(1, "/").bytes(), rst(1, 8).bytes(), get(3, "/").bytes()].concat());
    let mut first = world.backend.next();
    if first.stream == 1 {
        let second = world.backend.next();
        let third = world.backend.next();
        let (reset, asked) = if second.kind == RST_STREAM { (second, third) } else { (third, second) };
        assert_eq!(reset, rst(1, 8));
        first = asked;
    }
    assert_eq!(first.kind, HEADERS);
    world.backend.send(&ok(first.stream, true));
    assert_eq!(world.client.next(), ok(3, true));
}
