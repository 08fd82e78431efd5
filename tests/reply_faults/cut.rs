//! A cut reply: the client gets exactly the part, then the end that was asked for.

use std::io::{Read, Write};
use std::sync::mpsc::channel;

use super::world::client::Ending;
use super::world::{Backend, PATIENCE, Program, eventually};
use super::{BULK, CHUNKED, LENGTH, REQUEST, count, data, faults, read_request, replies, reply};

/// Protocol, request, its end, reply, `after`, and how many bytes of the reply that is.
type Case = (&'static str, &'static str, &'static str, Vec<u8>, &'static str, usize);

fn cases() -> Vec<Case> {
    let two_chunks = [reply(CHUNKED, "\r\n3e8\r\n"), reply("", "\r\n0\r\n\r\n")].concat();
    vec![
        ("http", REQUEST, "\r\n\r\n", reply(LENGTH, ""), "50%", LENGTH.len() + 500),
        ("http", REQUEST, "\r\n\r\n", reply(LENGTH, ""), "0", LENGTH.len()),
        ("http", REQUEST, "\r\n\r\n", reply(CHUNKED, "\r\n0\r\n\r\n"), "50%", CHUNKED.len() + 500),
        ("http", REQUEST, "\r\n\r\n", two_chunks, "1200", CHUNKED.len() + 1200),
        ("redis", "GET a\r\n", "\r\n", reply(BULK, "\r\n"), "50%", BULK.len() + 500),
        ("redis", "GET a\r\n", "\r\n", reply(BULK, "\r\n"), "1KB", 1000),
        ("tcp", "anything\r\n", "\r\n", data(), "10", 10),
    ]
}

#[test]
fn the_client_gets_the_part_and_an_end_of_file_or_a_reset() {
    for (protocol, request, end, reply, after, part) in cases() {
        let backend = replies(end, reply.clone());
        for (how, ending) in [("close", Ending::Closed), ("reset", Ending::Reset)] {
            let options = format!("--protocol {protocol} --handler cut --handler-cut-after {after}");
            let vaurien = Program::start(&backend, &format!("{options} --handler-cut-how {how} --http --http-port 0"));
            let mut client = vaurien.connect();
            let got = client.send(request).read(part);
            assert!(got == reply[..part], "{options} {how}: {}", got.escape_ascii());
            assert_eq!(client.ending(), ending, "{options} {how}");
            assert_eq!(faults(vaurien.api(), 1), [("cut".to_owned(), "cut".to_owned())], "{options} {how}");
            assert_eq!((count(vaurien.api(), "cut"), vaurien.stop().calls("cut")), (1, 1), "{options} {how}");
        }
    }
}

#[test]
fn a_hanging_cut_holds_the_client_and_is_told_at_once() {
    for (protocol, request, end, reply, after, part) in cases() {
        let backend = replies(end, reply.clone());
        let options = format!("--protocol {protocol} --handler cut --handler-cut-after {after} --handler-cut-how hang");
        let vaurien = Program::start(&backend, &format!("{options} --http --http-port 0"));
        let (mut leaves, mut stays) = (vaurien.connect(), vaurien.connect());
        for client in [&mut leaves, &mut stays] {
            let got = client.send(request).read(part);
            assert!(got == reply[..part], "{options}: {}", got.escape_ascii());
        }
        // While both clients wait for the rest.
        faults(vaurien.api(), 2);
        assert!(leaves.is_silent() && stays.is_silent(), "{options}");
        leaves.reset();
        eventually("the backend is left", || backend.ended() == 1);
        assert_eq!(vaurien.api().put("/behavior", r#"{"name": "dummy"}"#).status, 200);
        assert_eq!(stays.ending(), Ending::Reset, "{options}");
        assert_eq!((count(vaurien.api(), "cut"), vaurien.stop().calls("cut")), (2, 2), "{options}");
    }
}

#[test]
fn a_stop_resets_what_hangs_in_a_cut() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    let vaurien = Program::start(&backend, "--protocol redis --handler cut --handler-cut-how hang");
    let mut client = vaurien.connect();
    client.send("GET a\r\n").expect(&reply(BULK, "")[..BULK.len() + 500]);
    vaurien.signal("TERM");
    assert_eq!(client.ending(), Ending::Reset);
    assert_eq!(vaurien.stopped().calls("cut"), 1);
}

/// A stream of events that never ends and whose length nobody knows.
fn events() -> Backend {
    Backend::new(|mut stream| {
        if read_request(&mut stream, "\r\n\r\n") {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(b"data: tick\n\n").is_ok() {}
        }
    })
}

#[test]
fn a_stream_of_events_is_cut_while_they_keep_coming() {
    let events = events();
    let options = "--protocol http --handler cut --handler-cut-after 1200 --http --http-port 0 --handler-cut-how";
    for (number, how) in ["close", "reset", "hang"].into_iter().enumerate() {
        let vaurien = Program::start(&events, &format!("{options} {how}"));
        let mut client = vaurien.connect();
        client.send(REQUEST).read_until("\r\n\r\n");
        client.expect("data: tick\n\n".repeat(100));
        match how {
            "close" => assert_eq!(client.ending(), Ending::Closed),
            "reset" => assert_eq!(client.ending(), Ending::Reset),
            _ => {
                faults(vaurien.api(), 1);
                assert!(client.is_silent());
                drop(client);
            }
        }
        eventually("the backend is left", || events.ended() == number + 1);
        assert_eq!(faults(vaurien.api(), 1), [("cut".to_owned(), "cut".to_owned())]);
    }
}

#[test]
fn a_stream_of_events_is_cut_in_the_middle_of_its_first_piece() {
    let (tell, told) = channel::<()>();
    let told = std::sync::Mutex::new(told);
    let backend = Backend::new(move |mut stream| {
        read_request(&mut stream, "\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n0123456789").unwrap();
        // No more until the client has seen the cut.
        let _ = told.lock().unwrap().recv_timeout(PATIENCE);
        let _ = stream.read(&mut [0]);
    });
    let vaurien = Program::start(&backend, "--protocol http --handler cut");
    let mut client = vaurien.connect();
    client.send(REQUEST).expect("HTTP/1.1 200 OK\r\n\r\n01234");
    assert_eq!(client.ending(), Ending::Closed);
    tell.send(()).unwrap();
}

#[test]
fn what_is_no_longer_passes_and_is_no_fault() {
    for (protocol, request, end, reply) in [
        ("http", REQUEST, "\r\n\r\n", reply(LENGTH, "")),
        ("http", REQUEST, "\r\n\r\n", reply(CHUNKED, "\r\n0\r\n\r\n")),
        ("redis", "GET a\r\n", "\r\n", reply(BULK, "\r\n")),
    ] {
        let backend = replies(end, reply.clone());
        let options = format!("--protocol {protocol} --handler cut --handler-cut-after 1MB --http --http-port 0");
        let vaurien = Program::start(&backend, &options);
        let mut client = vaurien.connect();
        for _ in 0..3 {
            client.send(request).expect(&reply);
        }
        assert!(faults(vaurien.api(), 0).is_empty(), "{protocol}");
        assert_eq!((count(vaurien.api(), "cut"), vaurien.stop().calls("cut")), (0, 3), "{protocol}");
    }
}

#[test]
fn replies_before_a_cut_arrive_complete() {
    let backend = replies("\r\n", reply(BULK, "\r\n"));
    let whole = reply(BULK, "\r\n");
    let vaurien = Program::start(&backend, "--protocol redis --handler 30:cut --seed 7 --http --http-port 0");
    let (got, ending) = vaurien.connect().send("GET a\r\n".repeat(50)).read_to_end();
    let rest = got.len() % whole.len();
    assert_eq!((rest, ending), (BULK.len() + 500, Ending::Closed));
    let before = got.len() / whole.len();
    assert!(before > 0 && got == [whole.repeat(before), whole[..rest].to_vec()].concat());
    // Later calls were drawn for it as well, and got no reply.
    faults(vaurien.api(), 1);
}
