//! How a connection begins: HTTP/2 with the preface, anything else as before.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::peer;
use super::raw::{self, PREFACE, Raw, get, settings};
use super::world::{self, Client, PATIENCE, Program, eventually};

/// Answers every request of HTTP/2 with 200.
fn two() -> world::Backend {
    raw::backend(|mut raw| {
        while let Some(frame) = raw.next_or_end() {
            if frame.ends_stream() {
                raw.send(&raw::ok(frame.stream, true));
            }
        }
    })
}

#[test]
fn a_preface_in_single_bytes_begins_http_2() {
    for options in ["", "--buffer 1", "--handler delay(sleep=1ms)", "--handler 0.001:hang"] {
        let backend = two();
        let vaurien = Program::start(&backend, &format!("--protocol http {options}"));
        let mut raw = Raw(vaurien.connect());
        for byte in [PREFACE, &settings(&[]).bytes(), &get(1, "/").bytes(), &get(3, "/").bytes()].concat() {
            raw.0.send([byte]);
        }
        let mut streams = [raw.next(), raw.next()].map(|frame| (frame.kind, frame.stream, frame.payload));
        streams.sort_unstable();
        assert_eq!(streams, [(raw::HEADERS, 1, vec![0x88]), (raw::HEADERS, 3, vec![0x88])], "{options}");
        drop(raw);
        assert_eq!(vaurien.stop().of("opaque"), 0, "{options}");
    }
}

/// Many servers send their settings once a client has connected.
#[test]
fn a_backend_may_speak_first() {
    for options in ["", "--buffer 1", "--keep-alive true", "--handler delay(sleep=1ms)", "--reuse-socket"] {
        let (tell, spoken) = channel();
        let tell = Mutex::new(tell);
        let backend = world::Backend::new(move |stream| {
            let mut raw = Raw(Client::from(stream));
            raw.send(&settings(&[(raw::MAX_STREAMS, 7)]));
            tell.lock().unwrap().send(()).unwrap();
            raw.0.expect(PREFACE);
            let asked = raw.next();
            raw.send(&raw::ok(asked.stream, true));
            raw.next_or_end();
        });
        let vaurien = Program::start(&backend, &format!("--protocol http --http --http-port 0 {options}"));
        let mut raw = Raw(vaurien.connect());
        if !options.contains("delay") {
            spoken.recv_timeout(PATIENCE).unwrap();
            eventually("the proxy has read it", || {
                let listed = vaurien.api().get("/v1/proxies/default/connections").json();
                listed["connections"][0]["bytes"]["to_client"].as_u64() >= Some(1)
            });
        }
        for byte in [PREFACE, &settings(&[]).bytes(), &get(1, "/").bytes()].concat() {
            raw.0.send([byte]);
        }
        let theirs = raw.until(|frame| frame.kind == raw::SETTINGS);
        assert_eq!(theirs.setting(raw::MAX_STREAMS), Some(7), "{options}");
        assert_eq!(raw.next(), raw::ok(1, true), "{options}");
        drop(raw);
        assert_eq!(vaurien.stop().of("opaque"), 0, "{options}");
    }
}

/// What speaks first and is not HTTP/2 does not wait.
#[test]
fn another_protocol_passes_at_once() {
    for greeting in ["SSH-2.0-x\r\n", "220 mail ready\r\n", "\x4a\0\0\0\x0a8.0"] {
        let backend = world::Backend::new(move |stream| {
            Client::from(stream).send(greeting).ending();
        });
        let vaurien = Program::start(&backend, "--protocol http");
        vaurien.connect().expect(greeting);
        assert_eq!(vaurien.stop().of("opaque"), 1);
    }
}

#[test]
fn a_client_of_http_1_is_told_that_its_backend_speaks_http_2() {
    for speaks_first in [true, false] {
        let backend = world::Backend::new(move |stream| {
            let mut client = Client::from(stream);
            if !speaks_first {
                client.read_until("\r\n\r\n");
            }
            client.send(settings(&[(raw::MAX_STREAMS, 7)]).bytes()).ending();
        });
        let mut vaurien = Program::start(&backend, "--protocol http --handler delay(sleep=1ms)");
        let mut client = vaurien.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect(settings(&[(raw::MAX_STREAMS, 7)]).bytes());
        vaurien.line("the backend speaks HTTP/2, and its client HTTP/1: let the client speak HTTP/2");
        assert_eq!(vaurien.stop().of("opaque"), 1, "speaks first: {speaks_first}");
    }
}

#[test]
fn what_only_begins_like_it_is_http_1() {
    let backend = world::Backend::new(|stream| {
        let mut client = Client::from(stream);
        for _ in 0..2 {
            client.read_until("\r\n\r\n");
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    for handler in ["dummy", "delay(sleep=1ms)"] {
        let vaurien = Program::start(&backend, &format!("--protocol http --handler {handler}"));
        let mut client = vaurien.connect();
        client.send("P");
        // The proxy is asked meanwhile, and answers.
        vaurien.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("HTTP/1.1 200 OK\r\n");
        client.send("OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // Behind a request of HTTP/1 no preface is one.
        client.send("PR").send("OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n").expect("HTTP/1.1 200 OK\r\n");
        drop(client);
        assert_eq!(vaurien.stop().of("opaque"), 0, "{handler}");
    }
}

#[test]
fn a_proxy_header_in_front_of_the_preface_passes() {
    const HEADER: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n";
    for (options, pieces) in [("", 1), ("", 2), ("--handler delay(sleep=1ms)", 1), ("--handler delay(sleep=1ms)", 2)] {
        let backend = world::Backend::new(|stream| {
            let mut client = Client::from(stream.try_clone().unwrap());
            client.expect(HEADER);
            let mut raw = Raw::accept(stream, &[]);
            let asked = raw.next();
            raw.send(&raw::ok(asked.stream, true));
            raw.next_or_end();
        });
        let vaurien = Program::start(&backend, &format!("--protocol http {options}"));
        let mut raw = Raw(vaurien.connect());
        let begin = [PREFACE, &settings(&[]).bytes(), &get(1, "/").bytes()].concat();
        if pieces == 1 {
            raw.0.send([HEADER.as_bytes(), &begin].concat());
        } else {
            raw.0.send(HEADER).send(begin);
        }
        let reply = raw.next();
        assert_eq!((reply.kind, reply.payload), (raw::HEADERS, vec![0x88]), "{options} {pieces}");
    }
}

#[tokio::test]
async fn http_1_passes_beside_http_2() {
    // The backend speaks either, as its clients do.
    let two = peer::Backend::echo();
    let vaurien = Program::start_at(&two.address(), "--protocol http");
    let client = peer::Client::connect(vaurien.address()).await;
    assert_eq!(client.get("/").await.unwrap().status, 200);
    let one = world::Backend::new(|stream| {
        let mut client = Client::from(stream);
        client.read_until("\r\n\r\n");
        client.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        let frame = client.read(PREFACE.len());
        client.send(frame);
    });
    let vaurien = Program::start(&one, "--protocol http");
    let mut client = vaurien.connect();
    client.send("GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.read_until("\r\n\r\n");
    client.send(PREFACE).expect(PREFACE);
}
