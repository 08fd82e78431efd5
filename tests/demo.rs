//! `--demo` shows each handler by itself, then serves other clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use world::{Client, Program, eventually};

/// The program with these arguments, its standard output merged into standard error.
fn vaurien(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >&2", env!("CARGO_BIN_EXE_vaurien")]);
    command.args(arguments.split_ascii_whitespace());
    command
}

/// The handler and what the client saw, of call `number`.
fn call(demo: &mut Program, number: u32) -> (String, String) {
    let line = demo.line(&format!(" GET /{number} "));
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    assert_eq!(words[..3], [&number.to_string(), "GET", &format!("/{number}")]);
    (words[3].to_owned(), words[4..].join(" "))
}

/// Reads a reply with its body. Returns the head.
fn reply(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read(1));
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    client.read(length);
    head
}

#[test]
fn it_shows_every_handler_and_goes_on_serving() {
    let mut demo = Program::spawn(&mut vaurien("--demo --proxy 127.0.0.1:0"));
    let shown: Vec<(String, String)> = (1..=12).map(|number| call(&mut demo, number)).collect();
    let first: Vec<&str> = shown.iter().map(|(handler, _)| handler.as_str()).take(5).collect();
    assert_eq!(first, ["dummy", "delay", "error", "blackout", "hang"]);
    let saw: Vec<&str> = shown.iter().map(|(_, saw)| saw.as_str()).take(5).collect();
    assert!(saw[0].starts_with("200 OK after "), "{saw:?}");
    assert!(saw[2].starts_with("50"), "{saw:?}");
    assert_eq!(saw[3..], ["connection closed", "no answer in 500 ms, gave up"]);

    let invitation = demo.line("curl -i http://");
    assert!(invitation.contains(&format!(" http://{}/ ", demo.address())), "{invitation}");
    let (bytes, _) = demo.connect().send("GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").read_to_end();
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 "), "{:?}", bytes.escape_ascii());
    let counts = demo.stop();
    assert_eq!(counts.of("connections"), 13);
    for handler in ["dummy", "delay", "error", "blackout", "hang"] {
        let seen = shown.iter().filter(|(name, _)| name == handler).count() as u64;
        let counted = counts.calls(handler);
        assert!(counted == seen || counted == seen + 1, "{handler}: {seen} shown, {counted} counted");
    }
}

/// The calls that the API counts.
fn calls(demo: &Program) -> u64 {
    let status = &demo.api().get("/v1/proxies/default").json()["status"]["calls"];
    status.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn it_names_its_page_first_and_makes_calls_while_that_is_open() {
    let mut demo = shown("error");
    let first = demo.seen().iter().find(|line| line.contains("http://") && !line.contains("INFO")).unwrap().clone();
    let page = format!("http://127.0.0.1:{}/", demo.api().0.port());
    assert_eq!(first, format!("open {page} to watch it and to steer it"));
    let before = calls(&demo);
    let mut events = TcpStream::connect(demo.api().0).unwrap();
    events.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    for row in 13..=14 {
        let line = demo.line(&format!(" GET /{row} "));
        assert!(line.contains("  error  ") && line.contains(" after "), "{line}");
    }
    assert!(calls(&demo) >= before + 2);
    // The page may change what the demo started with.
    for body in [r#"{"enabled": false}"#, r#"{"enabled": true, "handler": "reset"}"#] {
        assert_eq!(demo.api().ask("PATCH", "/v1/proxies/default", "", body).status, 200);
    }
    let before = calls(&demo);
    eventually("the calls go on", || calls(&demo) >= before + 2);
}

#[test]
fn it_has_its_page_on_a_free_port_where_the_usual_one_is_taken() {
    // Taken by this test or by another process: either will do.
    let _taken = TcpListener::bind("localhost:8080");
    let demo = Program::spawn(&mut vaurien("--demo --proxy 127.0.0.1:0"));
    assert_ne!(demo.api().0.port(), 8080);
    assert_eq!(demo.api().get("/").status, 200);
    let output = vaurien("--demo --proxy 127.0.0.1:0 --http-port 8080").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("cannot listen on localhost:8080"), "{said}");
}

#[test]
fn it_shows_the_handler_that_was_asked_for() {
    let demo = "--demo --proxy 127.0.0.1:0 --handler delay --handler-delay-sleep 0.01 --handler-delay-before false";
    let mut demo = Program::spawn(&mut vaurien(demo));
    for number in 1..=12 {
        let (handler, saw) = call(&mut demo, number);
        assert!(handler == "delay" && saw.starts_with("200 OK after "), "{handler}: {saw}");
    }
    demo.line("Ctrl-C");
    assert_eq!(demo.stop().calls("delay"), 12);
}

#[test]
fn it_shows_what_a_rule_does() {
    let mut command = vaurien("--demo --proxy 127.0.0.1:0");
    let mut demo = Program::spawn(command.args(["--rule", "GET /2 => error(status=429)"]));
    let shown: Vec<(String, String)> = (1..=12).map(|number| call(&mut demo, number)).collect();
    assert_eq!(shown[0].0, "dummy");
    assert!(shown[1].0 == "error" && shown[1].1.starts_with("429 Too Many Requests after "), "{shown:?}");
    // The others get the mix.
    assert_eq!(shown[2].0, "error");
    demo.line("Ctrl-C");
    assert_eq!(demo.stop().calls("rule-1.error"), 1);
}

/// A demo of one handler that has made its own calls.
fn shown(handler: &str) -> Program {
    let mut demo = Program::spawn(&mut vaurien(&format!("--demo --proxy 127.0.0.1:0 --handler {handler}")));
    demo.line("Ctrl-C");
    assert_eq!(demo.seen().iter().filter(|line| line.contains(&format!("  {handler} "))).count(), 12);
    demo
}

/// The row of the call that another client has made.
fn row(demo: &mut Program, handler: &str) -> Vec<String> {
    demo.line(&format!("  {handler} ")).split_ascii_whitespace().map(str::to_owned).collect()
}

#[test]
fn it_shows_the_requests_of_other_clients() {
    for (handler, status) in [("dummy", "200"), ("error", "50")] {
        let mut demo = shown(handler);
        let mut client = demo.connect();
        for (number, path) in [("13", "/mine"), ("14", "/other")] {
            let head = reply(client.send(format!("GET {path}?a=b HTTP/1.1\r\nHost: here\r\n\r\n")));
            let row = row(&mut demo, handler);
            assert_eq!(row[..4], [number, "GET", path, handler]);
            let saw = row[4..].join(" ");
            assert!(saw.starts_with(status) && saw.contains(" after ") && saw.ends_with(" ms"), "{row:?}");
            assert!(
                head.starts_with(&format!("HTTP/1.1 {}\r\n", saw.split_once(" after ").unwrap().0)),
                "{row:?} {head}"
            );
        }
    }
}

#[test]
fn it_shows_the_connections_of_other_clients_that_get_no_answer() {
    let mut demo = shown("blackout");
    assert!(demo.connect().read_to_end().0.is_empty());
    assert_eq!(row(&mut demo, "blackout").join(" "), "13 - blackout connection closed");
    let mut demo = shown("hang");
    demo.connect().send("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    let row = row(&mut demo, "hang").join(" ");
    assert!(row.starts_with("13 - hang no answer in ") && row.ends_with(" ms, gave up"), "{row}");
}

#[test]
fn its_server_takes_any_request() {
    let demo = Program::spawn(&mut vaurien("--demo --proxy 127.0.0.1:0 --handler dummy"));
    let mut client = demo.connect();
    client.send("POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").send("5\r\nhello\r\n").send("0\r\n\r\n");
    assert!(reply(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    client.send("PUT /a HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: here\r\n\r\n");
    for _ in 0..2 {
        assert!(reply(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let (head, _) = client.send("HEAD / HTTP/1.0\r\n\r\n").read_to_end();
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n") && head.ends_with(b"\r\n\r\n"), "{:?}", head.escape_ascii());
}

#[test]
fn it_takes_a_free_port_where_the_usual_one_is_taken() {
    // Taken by this test or by another process: either will do.
    let _taken = TcpListener::bind("localhost:8000");
    let demo = Program::spawn(&mut vaurien("--demo --handler dummy"));
    assert_ne!(demo.address().port(), 8000);
    assert!(reply(demo.connect().send("GET / HTTP/1.1\r\nHost: here\r\n\r\n")).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn it_takes_no_other_port_than_the_one_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = vaurien(&format!("--demo --proxy {address}")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with(&format!("vaurien: cannot listen on {address}: ")) && said.lines().count() == 1, "{said}");
}
