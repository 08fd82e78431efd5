//! Paths, methods, headers, and who may ask.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn the_version_is_one_that_clients_know() {
    let program = start();
    let reply = program.toxiproxy().get("/version");
    assert_eq!((reply.status, reply.body.as_str()), (200, "{\"version\": \"2.12.0\"}\n"));
    assert_eq!(reply.header("content-type"), Some("application/json;charset=utf-8"));
}

#[test]
fn unknown_paths_methods_and_unclean_paths() {
    let program = start();
    let api = program.toxiproxy();
    for path in ["/not_found", "/", "/proxies/", "/proxies/a/", "/proxies/a/toxics/", "/metrics", "/v1/proxies"] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (404, "404 page not found\n"), "{path}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-toxiproxy-request-id"), None);
    }
    for (method, path) in [
        ("HEAD", "/proxies"),
        ("HEAD", "/version"),
        ("PUT", "/proxies"),
        ("DELETE", "/proxies"),
        ("PUT", "/proxies/a"),
        ("PATCH", "/proxies/a/toxics"),
        ("PUT", "/proxies/a/toxics/b"),
        ("GET", "/populate"),
        ("GET", "/reset"),
        ("POST", "/version"),
    ] {
        let reply = api.ask(method, path, "", "");
        assert_eq!((reply.status, reply.body.as_str()), (405, ""), "{method} {path}");
        assert_eq!(reply.header("x-toxiproxy-request-id"), None);
    }
    for (path, to) in [("//proxies", "/proxies"), ("/proxies/../version?a=b", "/version?a=b"), ("/a//b/", "/a/b/")] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.header("location")), (301, Some(to)), "{path}");
    }
}

#[test]
fn each_answer_has_a_number() {
    let program = start();
    let api = program.toxiproxy();
    let ids = ["/proxies", "/proxies/none", "/version"]
        .map(|path| api.get(path).header("x-toxiproxy-request-id").unwrap().to_owned());
    let is_id = |id: &String| id.len() == 20 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
    assert!(ids.iter().all(is_id) && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn pages_in_browsers_are_refused() {
    let program = start();
    let api = program.toxiproxy();
    let reply = api.ask("GET", "/proxies", "User-Agent: Mozilla/5.0\r\n", "");
    assert_eq!((reply.status, reply.body.as_str()), (403, "User agent not allowed\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.header("x-toxiproxy-request-id").is_some());
    assert_eq!(api.ask("GET", "/none", "User-Agent: Mozilla/5.0\r\n", "").status, 404);
    assert_eq!(api.ask("GET", "/proxies", "User-Agent: mozilla/5.0\r\n", "").status, 200);
    for headers in ["Origin: http://evil.example\r\n", "Host: evil.example:8474\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        let reply = api.ask("POST", "/reset", headers, "");
        assert_eq!((reply.status, reply.json()["status"].clone()), (403, json!(403)), "{headers}");
    }
    // Ports may be mapped.
    for host in ["localhost:1", "127.0.0.1", "[::1]:9"] {
        assert_eq!(api.ask("GET", "/proxies", &format!("Host: {host}\r\n"), "").status, 200, "{host}");
    }
}

#[test]
fn beyond_loopback_any_host_is_right() {
    let program = Program::spawn(&mut Program::command("--toxiproxy 0.0.0.0:0"));
    let api = Api(([127, 0, 0, 1], program.toxiproxy().0.port()).into());
    assert_eq!(api.ask("GET", "/proxies", "Host: toxiproxy:8474\r\n", "").status, 200);
    assert_eq!(api.ask("GET", "/proxies", "User-Agent: Mozilla/5.0\r\n", "").status, 403);
}

#[test]
fn both_families_of_loopback_answer() {
    let program = start();
    let port = program.toxiproxy().0.port();
    // Where there is no IPv6, there is nothing to test.
    if std::net::TcpListener::bind("[::1]:0").is_ok() && program.seen().iter().any(|line| line.contains("[::1]")) {
        assert_eq!(Api(([0, 0, 0, 0, 0, 0, 0, 1], port).into()).get("/version").status, 200);
    }
}

#[test]
fn any_type_of_a_body_is_read() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    for (name, headers) in [
        ("form", "Content-Type: application/x-www-form-urlencoded\r\n"),
        ("none", ""),
        ("text", "Content-Type: text/plain\r\n"),
    ] {
        let body = json!({ "name": name, "listen": "localhost:0", "upstream": backend.address().to_string() });
        assert_eq!(api.ask("POST", "/proxies", headers, &body.to_string()).status, 201, "{name}");
    }
    let names: Vec<String> = api.get("/proxies").json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["form", "none", "text"]);
}

#[test]
fn types_of_answers() {
    let program = start();
    let api = program.toxiproxy();
    let list = api.get("/proxies");
    assert_eq!((list.header("content-type"), list.body.as_str()), (Some("application/json"), "{}"));
    let none = api.get("/proxies/none");
    assert_eq!(none.header("content-type"), Some("application/json"));
    assert_eq!(none.body, "{\"error\":\"proxy not found\",\"status\":404}\n");
    assert_eq!(is(&none), error(404, "proxy not found"));
}

/// Sends the head of a request, and its body when that was waited for, or answered without it.
#[track_caller]
fn in_two_segments(client: &mut Client, head: &str, body: &[u8]) {
    client.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()));
    client.wait_for_bytes(Duration::from_millis(200));
    client.send(body);
}

#[test]
fn a_body_that_nobody_wants_does_not_end_the_connection() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    for (api, version) in [(program.toxiproxy(), "/version"), (program.api(), "/v1/version")] {
        let host = format!("Host: {}\r\n", api.0);
        let mut client = Client::from(api.connect());
        for (request, status) in [
            ("POST /none", 404),
            ("DELETE /none", 404),
            ("PUT /version", if version == "/version" { 405 } else { 404 }),
            ("DELETE /v1/version", if version == "/version" { 404 } else { 405 }),
            ("GET /proxies", if version == "/version" { 200 } else { 404 }),
            ("POST /reset", if version == "/version" { 204 } else { 404 }),
            ("GET /v1/proxies", if version == "/version" { 404 } else { 200 }),
        ] {
            in_two_segments(&mut client, &format!("{request} HTTP/1.1\r\n{host}"), b"{\"a\":1}");
            let head = client.read_until("\r\n\r\n");
            assert!(head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{request}: {}", head.escape_ascii());
            assert!(!String::from_utf8_lossy(&head).to_lowercase().contains("connection: close"), "{request}");
            // The next one is answered on the same connection.
            client.send(format!("GET {version} HTTP/1.1\r\n{host}\r\n"));
            client.read_until("\"version\"");
            client.read_until(if version == "/version" { "}\n" } else { "}" });
        }
    }
}

#[test]
fn a_body_that_is_not_read_to_its_end_ends_the_connection_and_it_is_said() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    for api in [program.toxiproxy(), program.api()] {
        for (what, sent) in [("large", 70_000), ("late", 0)] {
            let mut stream = api.connect();
            let head = format!("POST /none HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n", api.0);
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b' '; sent]).unwrap();
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply);
            let reply = String::from_utf8_lossy(&reply).to_lowercase();
            assert!(
                reply.starts_with("http/1.1 404 ") && reply.contains("\r\nconnection: close\r\n"),
                "{what}: {reply}"
            );
        }
    }
    // Who wants it reads on.
    let list = format!("[{}]{}", " ".repeat(200_000), " ".repeat(200_000));
    assert_eq!(program.toxiproxy().post_body("/populate", &list).status, 201);
}
