//! HTTP itself: limits, pipelining, malformed requests.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{Backend, Client, Program};
use super::{is, start, wrong};

#[test]
fn old_whole_and_pipelined_requests_are_answered() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let at = api.0;
    let dummy = (200, json!({ "behavior": "dummy" }));
    assert_eq!(is(&api.raw(format!("GET /behavior HTTP/1.0\r\nHost: {at}\r\n\r\n"))), dummy);
    let whole = |named: &str| {
        api.raw(format!("GET http://{named}/behavior HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"))
    };
    assert_eq!(is(&whole(&at.to_string())), dummy);
    let what = "`evil.example` is not a host of this program: use localhost, or allow it with `--http-allow-host`";
    assert_eq!(is(&whole("evil.example")), wrong(403, "header", "Host", what));

    let no_host = wrong(400, "header", "Host", "the header Host is missing, send `Host: localhost`");
    assert_eq!(is(&api.raw("GET /behavior HTTP/1.1\r\nConnection: close\r\n\r\n")), no_host);

    let ask = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{more}\r\n");
    let several = ask("/healthz", "") + &ask("/nowhere", "") + &ask("/behavior", "Connection: close\r\n");
    let replies = api.raw(several);
    let all = format!("{}\r\n\r\n{}", replies.head, replies.body);
    let statuses: Vec<_> = all.match_indices("HTTP/1.1 ").map(|(at, _)| &all[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
    assert!(all.ends_with(r#"{"behavior":"dummy"}"#));
}

#[test]
fn what_names_no_path_is_told_so() {
    let program = start(&Backend::lines(), "");
    let (api, at) = (program.api(), program.api().0);
    for (request, named) in [(format!("CONNECT {at}"), at.to_string()), ("OPTIONS *".to_owned(), "*".to_owned())] {
        let reply = api.raw(format!("{request} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"));
        let what = format!("`{named}` is not a path, see /v1/openapi.json");
        assert_eq!(is(&reply), wrong(400, "path", "", &what));
    }
}

#[test]
fn what_is_no_http_is_refused() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let host = format!("Host: {}", api.0);
    for request in [
        "\0\0\0\r\n\r\n".to_owned(),
        format!("GET /behavior HTTP/9.9\r\n{host}\r\n\r\n"),
        format!("GET /a b HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("PUT /behavior HTTP/1.1\r\n{host}\r\nContent-Length: x\r\n\r\n"),
        format!("PUT /behavior HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ] {
        assert_eq!(api.raw(&request).status, 400, "{request}");
    }
    assert_eq!(api.get("/healthz").status, 200);
}

#[test]
fn what_is_too_large_is_not_read() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let padded = |size: usize| r#"{"name": "dummy"}"#.to_owned() + &" ".repeat(size - 17);
    let what = "the body is too large, send at most 65536 bytes";
    for path in ["/behavior", "/v1/proxies/default"] {
        assert_eq!(is(&api.put(path, &padded(65_537))), wrong(413, "body", "", what));
    }
    assert_eq!(api.put("/behavior", &padded(65_536)).status, 200);
    let long = format!("GET /behavior HTTP/1.1\r\nHost: {}\r\nX: {}", api.0, "x".repeat(66_000));
    assert_eq!(api.raw(long).status, 431);
    let early = format!("PUT /behavior HTTP/1.1\r\nHost: {}\r\nContent-Length: 20\r\n\r\n{{", api.0);
    let mut stream = api.connect();
    stream.write_all(early.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(is(&api.get("/behavior")), (200, json!({ "behavior": "dummy" })));
}

/// Takes ten seconds: the timeout of the API.
#[test]
fn what_never_comes_is_not_waited_for() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let begun = Instant::now();
    let (mut silent, mut head) = (api.connect(), api.connect());
    write!(head, "GET /behavior HTTP/1.1\r\nHost: {}\r\n", api.0).unwrap();
    let body =
        format!("PUT /behavior HTTP/1.1\r\nHost: {}\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{{", api.0);
    let reply = api.raw(body);
    assert_eq!(is(&reply), wrong(408, "body", "", "the body is too slow, send it within 10 s"));
    for stream in [&mut silent, &mut head] {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_secs(9));
    assert_eq!(api.get("/healthz").status, 200);
}

/// As many connections as the API serves at a time.
const CONNECTIONS: usize = 256;

#[test]
fn connections_that_ask_for_nothing_make_room() {
    for (what, sent, is_answered) in [
        ("idle", "", false),
        ("a head that drips", "GET /behavior HTTP/1.1\r\nHos", false),
        ("a body that drips", "PUT /behavior HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{", false),
        ("kept for a next request", "GET /behavior HTTP/1.1\r\nHost: localhost\r\n\r\n", true),
    ] {
        let program = start(&Backend::lines(), "");
        let held: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut held = Client::from(program.api().connect());
                held.send(sent);
                if is_answered {
                    held.read_until("}");
                }
                held
            })
            .collect();
        let begun = Instant::now();
        assert_eq!(is(&program.api().get("/behavior")), (200, json!({ "behavior": "dummy" })), "{what}");
        let took = begun.elapsed();
        // It is a hundredth of this on an idle machine.
        assert!(took < Duration::from_secs(1), "{what}: {took:?}");
        let ended = Program::run(&mut Program::command(&format!("--health {}", program.api().0)));
        assert_eq!((ended.code, ended.lines), (Some(0), Vec::new()), "{what}");
        drop(held);
    }
}
