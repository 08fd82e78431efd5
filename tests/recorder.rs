//! What a program calls: the shapes of its calls, told by the API, at the end of a run and in its report.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use serde_json::{Value, json};

#[path = "world/mod.rs"]
mod world;

use world::{Api, Backend, Program};

/// Makes calls through the proxy, one for each argument. Any bytes count as a reply.
const CALLS: &str = r#"for call; do exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf '%s\r\n' "$call" >&3; head -c 3 <&3 >/dev/null; exec 3>&-; done"#;

fn start(backend: &Backend, arguments: &str) -> Program {
    Program::start(backend, &format!("--http --http-port 0 {arguments}"))
}

/// Answers each request without a body with 204.
fn pages() -> Backend {
    Backend::new(|stream| {
        let mut to = stream.try_clone().unwrap();
        for _ in BufReader::new(stream).lines().map_while(Result::ok).filter(String::is_empty) {
            if to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                return;
            }
        }
    })
}

fn calls(api: Api) -> Value {
    let reply = api.get("/v1/proxies/default/calls");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Each shape with its number of calls and its rule.
fn shapes(calls: &Value) -> Vec<Value> {
    let shapes = calls["calls"].as_array().unwrap().iter();
    shapes.map(|shape| json!([shape["shape"], shape["calls"], shape["rule"]])).collect()
}

#[test]
fn the_rule_of_a_shape_is_ready_to_paste() {
    let program = start(&Backend::lines(), "--protocol redis");
    let api = program.api();
    let mut client = program.connect();
    for call in ["GET user:1", "get user:2", "SET user:1", "PING", "GET user:3"] {
        client.send(format!("{call}\r\n")).expect(format!("+{call}\r\n"));
    }
    let told = calls(api);
    let expected = [
        json!(["GET user:*", 3, "GET user:* => error(kind=err)"]),
        json!(["PING", 1, "PING => error(kind=err)"]),
        json!(["SET user:*", 1, "SET user:* => error(kind=err)"]),
    ];
    assert_eq!((shapes(&told), &told["other"], &told["note"]), (expected.to_vec(), &json!(0), &Value::Null));
    for shape in told["calls"].as_array().unwrap() {
        let [p50, p99] = ["p50_seconds", "p99_seconds"].map(|key| shape[key].as_f64().unwrap());
        assert!(p50 <= p99 && p99 < 30.0, "{shape}");
    }
    let rule = &told["calls"][0]["rule"];
    assert_eq!(api.patch("/v1/proxies/default", &json!({ "rules": [rule] }).to_string()).status, 200);
    client.send("GET user:9\r\n");
    assert_ne!(client.read_until("\r\n"), b"+GET user:9\r\n");
    client.send("SET user:9\r\n").expect("+SET user:9\r\n");
    assert_eq!(shapes(&calls(api))[0], json!(["GET user:*", 4, "GET user:* => error(kind=err)"]));
    assert_eq!(api.get("/v1/proxies/none/calls").status, 404);
}

#[test]
fn every_call_of_a_pipeline_is_counted() {
    let program = start(&Backend::lines(), "--protocol redis");
    let mut client = program.connect();
    let all: Vec<String> = (0..1000).map(|number| format!("GET k:{}:{number}\r\n", ["a", "b"][number % 2])).collect();
    client.send(all.concat());
    for call in &all {
        client.expect(format!("+{call}"));
    }
    let told = calls(program.api());
    let expected = [
        json!(["GET k:a:*", 500, "GET k:a:* => error(kind=err)"]),
        json!(["GET k:b:*", 500, "GET k:b:* => error(kind=err)"]),
    ];
    assert_eq!(shapes(&told), expected);
    // What handlers see is counted as well.
    program.api().put("/behavior", r#"{"name": "delay", "sleep": 0}"#);
    client.send("GET k:a:1\r\nGET k:a:2\r\n").expect("+GET k:a:1\r\n+GET k:a:2\r\n");
    assert_eq!(shapes(&calls(program.api()))[0][1], 502);
    assert_eq!(program.api().proxy("default")["status"]["calls"], json!({ "delay": 2, "dummy": 1000 }));
}

#[test]
fn paths_are_told_without_their_identifiers_and_queries() {
    let program = start(&pages(), "--protocol http");
    let mut client = program.connect();
    for path in ["/api/v1/orders/550e8400-e29b-41d4-a716-446655440000", "/api/v1/orders/7?full=1", "/health"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).expect("HTTP/1.1 204 No Content\r\n\r\n");
    }
    let expected = [
        json!(["GET /api/v1/orders/*", 2, "GET /api/v1/orders/* => error"]),
        json!(["GET /health", 1, "GET /health => error"]),
    ];
    assert_eq!(shapes(&calls(program.api())), expected);
}

#[test]
fn the_time_is_the_backends_alone() {
    let slow = Duration::from_millis(60);
    let backend = Backend::new(move |stream| {
        let mut to = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            std::thread::sleep(if line == "GET slow" { slow } else { Duration::ZERO });
            if to.write_all(format!("+{line}\r\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    let program = start(&backend, "--protocol redis");
    let api = program.api();
    program.connect().send("GET slow\r\n").expect("+GET slow\r\n");
    assert!(calls(api)["calls"][0]["p50_seconds"].as_f64().unwrap() >= slow.as_secs_f64());
    // Neither the time before a call nor that after it counts.
    for before in [true, false] {
        api.put("/behavior", &json!({ "name": "delay", "sleep": 1, "before": before }).to_string());
        program.connect().send("GET fast\r\n").expect("+GET fast\r\n");
    }
    // What never got to the backend is not timed.
    api.put("/behavior", r#"{"name": "error"}"#);
    program.connect().send("GET none\r\n").read_until("\r\n");
    let told = calls(api);
    let shape = |name: &str| {
        let shapes = told["calls"].as_array().unwrap();
        shapes.iter().find(|shape| shape["shape"] == name).unwrap_or_else(|| panic!("no {name} in {told}")).clone()
    };
    let fast = shape("GET fast");
    assert_eq!(fast["calls"], 2);
    assert!(fast["p99_seconds"].as_f64().unwrap() < 1.0, "{fast}");
    let none = shape("GET none");
    assert_eq!((&none["calls"], &none["p50_seconds"]), (&json!(1), &Value::Null));
}

#[test]
fn tcp_has_no_shapes_and_says_so() {
    let program = start(&Backend::echo(), "--protocol tcp");
    program.connect().send("GET a\r\n").expect("GET a\r\n");
    let told = calls(program.api());
    assert_eq!((&told["calls"], &told["other"]), (&json!([]), &json!(0)));
    assert!(told["note"].as_str().unwrap().starts_with("with protocol tcp"), "{told}");
}

fn run(more: &[&str], calls: &[&str]) -> Vec<String> {
    let mut command = Program::command("--protocol redis --backend");
    command.arg(Backend::lines().address().to_string()).args(more);
    let ended = Program::run(command.args(["--", "bash", "-c", CALLS, "calls"]).args(calls));
    assert_eq!(ended.code, Some(0), "{:#?}", ended.lines);
    ended.lines
}

#[test]
fn a_run_without_faults_ends_with_what_was_called() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let lines = run(&["--report", report.to_str().unwrap()], &["GET user:1", "GET user:2", "PING"]);
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_ascii_whitespace().collect()).collect();
    let at = words.iter().position(|words| *words == ["called", "calls", "backend:", "p50", "p99"]).unwrap();
    assert_eq!((&words[at + 1][..3], &words[at + 2][..2]), (&["GET", "user:*", "2"][..], &["PING", "1"][..]));
    assert_eq!(lines[at + 3], "a rule for the first: --rule 'GET user:* => error(kind=err)'");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let proxy = &report["runs"][0]["proxies"][0];
    let expected =
        [json!(["GET user:*", 2, "GET user:* => error(kind=err)"]), json!(["PING", 1, "PING => error(kind=err)"])];
    assert_eq!(shapes(&json!({ "calls": proxy["shapes"] })), expected);

    // The rule is pasted, and has its effect. Then there is no list.
    let lines = run(
        &["--rule", "GET user:* => error(kind=err)", "--expect", "error==2"],
        &["GET user:1", "GET user:2", "PING"],
    );
    assert!(lines.iter().all(|line| !line.contains("a rule for the first")), "{lines:#?}");
}

#[test]
fn no_rule_for_setting_up_a_connection_is_suggested() {
    let lines = run(&[], &["CLIENT SETINFO", "CLIENT SETINFO", "HELLO 3", "HELLO 3", "GET a"]);
    assert!(lines.contains(&"a rule for GET a: --rule 'GET a => error(kind=err)'".to_owned()), "{lines:#?}");
    let lines = run(&[], &["CLIENT SETINFO", "PING"]);
    assert!(lines.iter().any(|line| line.starts_with("PING ")), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("a rule for")), "{lines:#?}");
}

#[test]
fn a_run_shows_ten_shapes_at_most() {
    let names: Vec<String> = ('a'..='m').map(|letter| format!("GET {letter}")).collect();
    let lines = run(&[], &names.iter().map(String::as_str).collect::<Vec<_>>());
    let shown = lines.iter().filter(|line| line.starts_with("GET ")).count();
    assert_eq!(shown, 10, "{lines:#?}");
    assert!(lines.contains(&"3 calls of other kinds".to_owned()), "{lines:#?}");
}
