//! Which calls a rule takes.

use serde_json::json;

use super::world::{Backend, Client};
use super::{calls, pass, start};

#[test]
fn the_first_rule_that_matches_a_call_decides() {
    let rules = ["AUTH|HELLO => dummy", "set user:* name=writes => error", "SET => dummy"];
    let program = start(&Backend::lines(), "redis", &rules, "--handler error");
    let commands = ["auth x", "SET user:1 a", "SET other a", "GET user:1", "HELLO 2"];
    assert_eq!(pass(&mut program.connect(), &commands), [true, false, true, false, true]);
    let counts = json!({ "rule-1.dummy": 2, "writes.error": 1, "rule-3.dummy": 1, "error": 1 });
    assert_eq!(calls(program.api()), counts);
    let events = program.api().events();
    let faults = events.iter().filter(|event| event["event"] == "fault");
    let faults: Vec<_> = faults.map(|event| (event["call"].as_u64(), event.get("rule"))).collect();
    assert_eq!(faults, [(Some(2), Some(&json!("writes"))), (Some(4), None)]);
}

/// A server that answers each request with 200.
fn server() -> Backend {
    Backend::new(|stream| {
        use std::io::{BufRead, BufReader, Write};
        let mut to = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok).filter(String::is_empty) {
            if to.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len()).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// The status of the response to this request.
fn status(client: &mut Client, request: &str) -> u16 {
    let request = request.replace('\n', "\r\n");
    client.send(format!("{request}\r\nHost: a\r\n\r\n"));
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    client.read(length.unwrap().trim().parse().unwrap());
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn http_has_paths_headers_and_queries() {
    let rules = [
        "GET /api/pay* => error",
        "* header.x-tenant=acme|evil => error",
        "POST query.debug=1 => error",
        r#"~^PUT$ "~^/v[0-9]+/" => error"#,
    ];
    let program = start(&server(), "http", &rules, "");
    for (request, fails) in [
        ("GET /api/payments?x=1 HTTP/1.1", true),
        ("GET http://host/api/pay HTTP/1.1", true),
        ("POST /api/pay HTTP/1.1", false),
        ("GET /api HTTP/1.1", false),
        ("GET /x HTTP/1.1\nX-Tenant:  acme ", true),
        ("GET /x HTTP/1.1\nX-Tenant: acme2", false),
        ("POST /x?a=b&debug=1 HTTP/1.1", true),
        ("POST /x?a=b&debug=10 HTTP/1.1", false),
        ("PUT /v12/x HTTP/1.1", true),
        ("PUT /v/x HTTP/1.1", false),
    ] {
        // An error closes some connections.
        let got = status(&mut program.connect(), request);
        assert_eq!(got >= 500, fails, "{request}: {got}");
    }
}

#[test]
fn grpc_has_services_and_methods() {
    let rules = [
        "service=pkg.Pay* method=Charge|Refund => error(grpc=INTERNAL)",
        "method=Get* name=reads => error(grpc=NOT_FOUND)",
        "/pkg.Log/* => error(grpc=ABORTED)",
        "GET /status => error(status=503)",
        "service=~^v[0-9] => error",
    ];
    let program = start(&server(), "grpc", &rules, "");
    for (request, code) in [
        ("POST /pkg.PayService/Charge HTTP/1.1", Some("13")),
        ("POST /pkg.Pay/Refund?x HTTP/1.1", Some("13")),
        ("POST http://host/pkg.Pay/Refund HTTP/1.1", Some("13")),
        ("POST /pkg.PayService/charge HTTP/1.1", None),
        ("POST /other.PayService/Charge HTTP/1.1", None),
        ("POST /other.Pay/GetAll HTTP/1.1", Some("5")),
        ("POST /GetAll HTTP/1.1", None),
        ("POST /other.Pay/Forget HTTP/1.1", None),
        ("POST /pkg.Log/Write HTTP/1.1", Some("10")),
        ("POST /v2.Pay/Write HTTP/1.1", Some("14")),
        ("GET /status HTTP/1.1", Some("")),
    ] {
        let mut client = program.connect();
        client.send(format!("{request}\r\n\r\n"));
        let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
        let told = head.lines().find_map(|line| line.strip_prefix("grpc-status: "));
        let told = told.or_else(|| head.starts_with("HTTP/1.1 503").then_some(""));
        assert_eq!(told, code, "{request}");
    }
    let events = program.api().events();
    let read = events.iter().find(|event| event["rule"] == "reads").unwrap();
    assert_eq!(read["head"], json!({ "method": "POST", "path": "/other.Pay/GetAll" }));

    let table = r#"{"match": {"method": "Put", "service": "pkg.*"}, "handler": "error", "name": "table"}"#;
    let added = program.api().post_body("/v1/proxies/default/rules", table);
    assert_eq!((added.status, &added.json()["rule"]), (201, &json!("service=pkg.* method=Put name=table => error")));
    let document = program.api().get("/v1/openapi.json").json().to_string();
    assert!(document.contains(r#""service":{"type":"string"}"#), "{document}");
}

#[test]
fn a_rule_means_what_the_protocol_says_once_that_has_changed() {
    let program = start(&server(), "http", &["method=Get* => error(status=503)"], "");
    let call = |request: &str| status(&mut program.connect(), request);
    assert_eq!((call("GET /a.B/Put HTTP/1.1"), call("POST /a.B/GetAll HTTP/1.1")), (503, 200));
    assert_eq!(program.api().patch("/v1/proxies/default", r#"{"protocol": "grpc"}"#).status, 200);
    assert_eq!((call("GET /a.B/Put HTTP/1.1"), call("POST /a.B/GetAll HTTP/1.1")), (200, 503));
}

#[test]
fn memcache_has_commands_and_keys() {
    let backend = Backend::new(|stream| {
        use std::io::{BufRead, BufReader, Write};
        let mut to = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let reply: &[u8] = if line.starts_with("get") { b"END\r\n" } else { b"DELETED\r\n" };
            if to.write_all(reply).is_err() {
                return;
            }
        }
    });
    let program = start(&backend, "memcache", &["GET session:* => error", "delete * => 100:error"], "");
    for (command, reply) in [("get a", Some("END\r\n")), ("get session:1", None), ("delete a", None)] {
        let mut client = program.connect();
        client.send(format!("{command}\r\n"));
        let got = String::from_utf8_lossy(&client.read_until("\r\n")).into_owned();
        assert!(reply.map_or(got.len() == 1000 || got.len() > 100, |reply| got == reply), "{command}: {got:?}");
    }
}

#[test]
fn pipelined_calls_are_told_apart() {
    let program = start(&Backend::lines(), "redis", &["GET k??5 => error"], "");
    let mut client = program.connect();
    let commands: Vec<String> = (0..500).map(|number| format!("GET k{number:03}\r\n")).collect();
    client.send(commands.concat());
    for command in &commands {
        let passes = client.read_until("\r\n") == format!("+{command}").as_bytes();
        assert_eq!(passes, !command.ends_with("5\r\n"), "{command}");
    }
    assert_eq!(calls(program.api()), json!({ "rule-1.error": 50, "dummy": 450 }));
}
