//! A fault hits the calls it was drawn for and no others, is counted, and is reproduced by the same seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;

use world::client::Ending;
use world::{Backend, Program, noise};

/// Sends `count` numbered calls at once; returns which of them got random bytes in place of their reply. All others
/// must get their replies in order, and the connection must remain usable.
fn junked(vaurien: &Program, count: usize) -> BTreeSet<usize> {
    let mut client = vaurien.connect();
    let pipeline: String = (0..count).flat_map(|number| [format!("call {number:04}"), "\r\n".to_owned()]).collect();
    client.send(pipeline);
    let mut junked = BTreeSet::new();
    for number in 0..count {
        let reply = format!("+call {number:04}\r\n");
        // A thousand random bytes begin like this with a probability of 1 in 2^96.
        let begin = client.read(reply.len());
        if begin != reply.as_bytes() {
            client.read(1000 - reply.len());
            junked.insert(number);
        }
    }
    junked
}

#[test]
fn exactly_the_calls_drawn_for_error_get_random_bytes() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --handler 50:error");
    let junked: usize = (0..20).map(|_| junked(&vaurien, 64).len()).sum();
    let counts = vaurien.stop();
    assert_eq!(counts.calls("error"), junked as u64);
    assert_eq!(counts.calls("dummy"), 20 * 64 - junked as u64);
    // 640 on average, with a deviation of 18.
    assert!((500..780).contains(&junked), "{junked}");
}

#[test]
fn the_same_seed_and_calls_give_the_same_faults() {
    let places = |seed: u64, buffer: &str| {
        let options = format!("--protocol redis --handler 30:error --seed {seed} {buffer}");
        let vaurien = Program::start(&Backend::lines(), &options);
        let mut client = vaurien.connect();
        let junk = client.send("call\r\n").read(7);
        let (first, second) = (junked(&vaurien, 100), junked(&vaurien, 100));
        (first, second, junk)
    };
    let once = places(42, "");
    assert_eq!(once, places(42, ""));
    assert_eq!(once, places(42, "--buffer 3"), "the sizes of reads must not matter");
    assert_ne!(once, places(43, ""));
    assert_ne!(once.0, once.1, "each connection has a stream of its own");
}

#[test]
fn the_seed_determines_the_random_bytes_too() {
    let junk = |seed: u64| {
        let vaurien = Program::start(&Backend::lines(), &format!("--protocol redis --handler error --seed {seed}"));
        vaurien.connect().send("call\r\n").read(1000)
    };
    assert_eq!(junk(7), junk(7));
    assert_ne!(junk(7), junk(8));
}

#[test]
fn a_request_in_single_bytes_is_one_call() {
    for (protocol, request, reply) in [
        ("redis", "*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", "$2\r\nhi\r\n"),
        ("memcache", "set key 0 0 5\r\nvalue\r\n", "STORED\r\n"),
        ("http", "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nvalue", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("tcp", "one turn", "its reply"),
    ] {
        let len = request.len();
        let backend = Backend::new(move |stream| {
            let mut stream = world::Client::from(stream);
            for _ in 0..2 {
                stream.read(len);
                stream.send(reply);
            }
            stream.ending();
        });
        for handler in ["dummy", "delay --handler-delay-sleep 0"] {
            let vaurien = Program::start(&backend, &format!("--protocol {protocol} --handler {handler} --buffer 1"));
            let mut client = vaurien.connect();
            for _ in 0..2 {
                for byte in request.bytes() {
                    client.send([byte]);
                }
                client.expect(reply);
            }
            drop(client);
            let counts = vaurien.stop();
            assert_eq!((counts.calls(handler.split(' ').next().unwrap()), counts.of("opaque")), (2, 0), "{protocol}");
        }
    }
}

#[test]
fn a_long_upload_is_one_call() {
    for handler in ["dummy", "delay --handler-delay-sleep 0"] {
        let upload = noise(3, 16 << 20);
        let len = upload.len();
        let backend = Backend::new(move |stream| {
            let mut stream = world::Client::from(stream);
            stream.read(len);
            stream.send("thanks");
            stream.ending();
        });
        let vaurien = Program::start(&backend, &format!("--handler {handler}"));
        vaurien.connect().send(&upload).expect("thanks");
        assert_eq!(vaurien.stop().calls(handler.split(' ').next().unwrap()), 1);
    }
}

#[test]
fn successive_long_uploads_are_one_call_each() {
    const UPLOADS: u64 = 50;
    for handler in ["delay --handler-delay-sleep 0", "delay --handler-delay-sleep 0 --handler-delay-before false"] {
        let upload = noise(4, 2 << 20);
        let len = upload.len();
        let backend = Backend::new(move |stream| {
            let mut stream = world::Client::from(stream);
            for _ in 0..UPLOADS {
                stream.read(len);
                stream.send("thanks");
            }
            stream.ending();
        });
        let vaurien = Program::start(&backend, &format!("--handler {handler}"));
        let mut client = vaurien.connect();
        for _ in 0..UPLOADS {
            client.send(&upload).expect("thanks");
        }
        assert_eq!(vaurien.stop().calls("delay"), UPLOADS, "{handler}");
    }
}

#[test]
fn each_handler_of_a_mix_gets_its_share() {
    let options = "--protocol redis --handler 20:error,20:blackout,20:delay --handler-delay-sleep 0 --seed 3";
    let vaurien = Program::start(&Backend::lines(), options);
    let (mut closed, mut junk, mut passed) = (0, 0, 0);
    for _ in 0..200 {
        let mut client = vaurien.connect();
        let (bytes, ending) = client.send("call\r\n").half_close().read_to_end();
        assert_eq!(ending, Ending::Closed);
        match bytes.len() {
            0 => closed += 1,
            1000 => junk += 1,
            _ => {
                assert_eq!(bytes, b"+call\r\n");
                passed += 1;
            }
        }
    }
    let counts = vaurien.stop();
    assert_eq!((counts.calls("blackout"), counts.calls("error")), (closed, junk));
    assert_eq!(counts.calls("delay") + counts.calls("dummy"), passed);
    assert!(closed > 20 && junk > 20 && counts.calls("delay") > 20, "{counts:?}");
}
