//! Labels of calls: set by the API, and told by events and reports.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod world;

use std::path::Path;

use serde_json::{Value, json};
use world::client::Ending;
use world::{Api, Backend, Program, eventually};

const OPTIONS: &str = "--http --http-port 0 --http-host 127.0.0.1 --protocol redis --seed 1";

fn start(backend: &Backend, more: &str) -> Program {
    Program::start(backend, &format!("{OPTIONS} {more}"))
}

/// Sets the label as a client does.
#[track_caller]
fn label(api: Api, label: &str) {
    let body = json!({ "label": label });
    let reply = api.put("/v1/label", &body.to_string());
    assert_eq!((reply.status, reply.json()), (200, body));
}

/// Calls whose reply is the backend's or an error.
fn call(program: &Program, times: usize) {
    let mut client = program.connect();
    for _ in 0..times {
        client.send("GET a\r\n").read_until("\r\n");
    }
}

/// The label of each fault so far, null without one.
fn labels_of_faults(api: Api) -> Vec<Value> {
    let faults = api.events().into_iter().filter(|event| event["event"] == "fault");
    faults.map(|event| event["label"].clone()).collect()
}

fn report(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_label_is_set_read_and_ended() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let is = |label: Value| assert_eq!(api.get("/v1/label").json(), json!({ "label": label }));
    is(Value::Null);
    label(api, "tests/test_pay.py::test_retry[é, 2]");
    is(json!("tests/test_pay.py::test_retry[é, 2]"));
    assert_eq!(api.delete("/v1/label").status, 204);
    is(Value::Null);
    label(api, "a");
    assert_eq!(api.put("/v1/label", r#"{"label": null}"#).json(), json!({ "label": null }));
    is(Value::Null);
    assert_eq!(api.ask("DELETE", "/v1/label", "", r#"{"label": "a"}"#).status, 400);
    // Any request sets it by its header, also one that fails.
    assert_eq!(api.ask("GET", "/v1/label", "Vaurien-Label: by é\r\n", "").json(), json!({ "label": "by é" }));
    assert_eq!(api.ask("GET", "/nowhere", "vaurien-label: test_404\r\n", "").status, 404);
    is(json!("test_404"));
}

#[test]
fn what_is_no_label_is_refused_and_changes_nothing() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    label(api, "before");
    let refused = |reply: world::api::Reply, location: &str, name: &str, why: &str| {
        let error = json!({ "location": location, "name": name, "description": why });
        assert_eq!((reply.status, reply.json()), (400, json!({ "status": "error", "errors": [error] })));
    };
    let hint = r#"write `{"label": "test_pay"}`, or null for none"#;
    for (body, name, why) in [
        ("{}", "label", format!("the key `label` is missing: {hint}")),
        (r#"{"label": 7}"#, "label", format!("`7` is not a label: {hint}")),
        (r#"{"label": ""}"#, "label", "a label of 0 bytes: write 1 to 255 bytes".to_owned()),
        (r#"{"label": "a\nb"}"#, "label", "a label with the control character \\u{a}: leave it out".to_owned()),
        (r#"{"label": "a", "for": "5s"}"#, "for", "unknown key `for` (known: label)".to_owned()),
    ] {
        refused(api.put("/v1/label", body), "body", name, &why);
    }
    let long = format!("Vaurien-Label: {}\r\n", "é".repeat(128));
    let why = "a label of 256 bytes: write 1 to 255 bytes";
    refused(api.ask("GET", "/behavior", &long, ""), "header", "Vaurien-Label", why);
    let twice = "Vaurien-Label: a\r\nVaurien-Label: b\r\n";
    refused(api.ask("GET", "/behavior", twice, ""), "header", "Vaurien-Label", "the header is repeated, send it once");
    let mut request = format!("GET /behavior HTTP/1.1\r\nHost: {}\r\nVaurien-Label: ", api.0).into_bytes();
    request.extend(b"\xff\r\nConnection: close\r\n\r\n");
    refused(api.raw(request), "header", "Vaurien-Label", "the label is not UTF-8");
    // A change that is refused for its header is not made.
    let reply = api.ask("PATCH", "/v1/proxies/default", "Vaurien-Label:\r\n", r#"{"handler": "hang"}"#);
    refused(reply, "header", "Vaurien-Label", "a label of 0 bytes: write 1 to 255 bytes");
    assert_eq!(api.proxy("default")["handler"], "dummy");
    assert_eq!(api.get("/v1/label").json(), json!({ "label": "before" }));
}

#[test]
fn only_who_has_the_token_sets_a_label() {
    let program = start(&Backend::lines(), "--http-token hush");
    let api = program.api();
    for path in ["/healthz", "/behavior"] {
        assert_eq!(api.ask("GET", path, "Vaurien-Label: a\r\n", "").status, 401, "{path}");
    }
    let read = |headers: &str| {
        let reply = api.ask("GET", "/v1/label", &format!("Authorization: Bearer hush\r\n{headers}"), "");
        reply.json()["label"].clone()
    };
    assert_eq!(read(""), Value::Null);
    assert_eq!(api.get("/healthz").status, 200);
    assert_eq!(read("Vaurien-Label: a\r\n"), "a");
}

#[test]
fn events_have_the_label_of_their_call() {
    let program = start(&Backend::lines(), "--handler error(kind=err)");
    let api = program.api();
    call(&program, 1);
    // The plan that the request makes has the label as well.
    let body = r#"{"handler": "error(kind=busy)"}"#;
    assert_eq!(api.ask("PATCH", "/v1/proxies/default", "Vaurien-Label: first\r\n", body).status, 200);
    call(&program, 2);
    label(api, "second");
    call(&program, 1);
    api.delete("/v1/label");
    call(&program, 1);
    eventually("all events have arrived", || api.events().len() == 6);
    let events = api.events();
    let seen: Vec<_> = events.iter().map(|event| (event["event"].as_str().unwrap(), event.get("label"))).collect();
    let (first, second) = (json!("first"), json!("second"));
    let expected = [
        ("fault", None),
        ("plan", Some(&first)),
        ("fault", Some(&first)),
        ("fault", Some(&first)),
        ("fault", Some(&second)),
        ("fault", None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_label_is_that_of_the_time_when_the_call_began() {
    // The backend answers when it is told to.
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = std::sync::Mutex::new(answers);
    let backend = Backend::new(move |stream| {
        let mut stream = world::Client::from(stream);
        stream.read_until("\r\n");
        answers.lock().unwrap().recv().unwrap();
        stream.send("+late\r\n");
    });
    let program = start(&backend, "--handler delay(sleep=1ms,before=false)");
    let api = program.api();
    label(api, "begins");
    let mut client = program.connect();
    client.send("GET a\r\n");
    eventually("the call has begun", || api.proxy("default")["status"]["calls"]["delay"] == 1);
    label(api, "ends");
    answer.send(()).unwrap();
    client.expect("+late\r\n");
    assert_eq!(labels_of_faults(api), ["begins"]);
}

#[test]
fn a_first_call_that_is_delayed_before_its_request_keeps_its_label() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let more = format!("--handler hang(for=24h) --report {}", path.display());
    let program = start(&Backend::lines(), &more);
    let api = program.api();
    label(api, "connects");
    let mut client = program.connect();
    eventually("it hangs", || labels_of_faults(api).len() == 1);
    label(api, "later");
    // The handler gives it up.
    api.patch("/v1/proxies/default", r#"{"handler": "dummy"}"#);
    assert_eq!(client.ending(), Ending::Reset);
    assert_eq!(labels_of_faults(api), ["connects"]);
    program.stop();
    let run = &report(&path)["runs"][0];
    let hang = json!([{ "proxy": "default", "name": "hang", "calls": 1, "faults": 1 }]);
    assert_eq!(run["labels"][0], json!({ "label": "connects", "calls": 1, "faults": 1, "handlers": hang }));
    assert_eq!(run["labels"][1], json!({ "label": "later", "calls": 0, "faults": 0, "handlers": [] }));
}

#[test]
fn reports_say_which_test_met_which_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let reports = ["a.json", "a.xml", "a.html"].map(|name| format!(" --report {}", file(name).display())).concat();
    let rule = "--rule SET=>error(kind=oom)";
    let program = start(&Backend::lines(), &format!("{rule}{reports}"));
    let api = program.api();
    call(&program, 3);
    label(api, "test_pay");
    call(&program, 2);
    program.connect().send("SET a\r\n").read_until("\r\n");
    label(api, "test_slow");
    assert_eq!(api.post_body("/v1/proxies/default/toxics", r#"{"toxic": "latency(latency=1ms)"}"#).status, 201);
    // In one write, so that calls of one read are counted together.
    program.connect().send("GET a\r\n".repeat(50)).expect("+GET a\r\n".repeat(50));
    program.stop();

    let run = &report(&file("a.json"))["runs"][0];
    let handler = |name: &str, calls: u64, faults: u64| json!({ "proxy": "default", "name": name, "calls": calls, "faults": faults });
    let mut error = handler("error", 1, 1);
    error["rule"] = json!("rule-1");
    let expected = json!([
        { "label": "test_pay", "calls": 3, "faults": 1, "handlers": [error, handler("dummy", 2, 0)] },
        {
            "label": "test_slow", "calls": 50, "faults": 1, "handlers": [handler("dummy", 50, 0)],
            "toxics": [{ "proxy": "default", "name": "latency_downstream", "faults": 1 }],
        },
    ]);
    assert_eq!(run["labels"], expected);
    assert_eq!(run["unlabelled"], json!({ "calls": 3, "faults": 0, "handlers": [handler("dummy", 3, 0)] }));
    assert_eq!(run.get("other_labels"), None);
    assert_eq!(run["proxies"][0]["handlers"][1]["calls"], 55, "labels take nothing from the others: {run}");

    let junit = std::fs::read_to_string(file("a.xml")).unwrap();
    for (name, said) in [
        ("test_pay", "3 calls, 1 fault: rule-1.error 1"),
        ("test_slow", "50 calls, 1 fault: latency_downstream 1"),
        ("without a label", "3 calls, 0 faults"),
    ] {
        let (_, case) = junit.split_once(&format!(r#"<testcase name="{name}" classname="vaurien.labels">"#)).unwrap();
        let (case, _) = case.split_once("</testcase>").unwrap();
        assert!(case.contains(&format!("<system-out>{said}</system-out>")), "{case}");
    }
    assert!(junit.contains(r#"tests="4""#) && junit.contains(r#"failures="0""#), "{junit}");

    let page = std::fs::read_to_string(file("a.html")).unwrap();
    let (_, table) = page.split_once("<h2 id=\"labels\">Labels</h2>").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    for text in ["test_pay", "rule-1.error", "test_slow", "latency_downstream", "without a label"] {
        assert!(table.contains(text), "no {text} in {table}");
    }
    let (_, calls) = page.split_once(r#"<script id="columns" type="application/json">"#).unwrap();
    let calls: Value = serde_json::from_str(calls.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(calls["labels"], json!(["test_pay", "test_slow"]));
    let of = |label: Value| calls["label"].as_array().unwrap().iter().filter(|known| **known == label).count();
    assert_eq!((of(Value::Null), of(json!(0)), of(json!(1))), (3, 3, 50));
}

#[test]
fn without_a_label_reports_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let program = start(&Backend::lines(), &format!("--report {}", path.display()));
    call(&program, 1);
    program.stop();
    let report = report(&path);
    let keys = report["runs"][0].as_object().unwrap().keys();
    assert_eq!(keys.filter(|key| key.contains("label")).count(), 0, "{report}");
}

#[test]
fn labels_beyond_the_first_ones_are_counted_together() {
    const MAX: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let program = start(&Backend::lines(), &format!("--handler error(kind=err) --report {}", path.display()));
    let api = program.api();
    let mut client = program.connect();
    for number in 1..=MAX + 2 {
        label(api, &number.to_string());
        client.send("GET a\r\n").read_until("\r\n");
    }
    // Events have all of them.
    let last = labels_of_faults(api).split_off(MAX);
    assert_eq!(last, ["2001", "2002"]);
    label(api, "7");
    client.send("GET a\r\n").read_until("\r\n");
    program.stop();
    let run = &report(&path)["runs"][0];
    assert_eq!(run["labels"].as_array().unwrap().len(), MAX);
    assert_eq!((&run["labels"][6]["label"], &run["labels"][6]["calls"]), (&json!("7"), &json!(2)));
    assert_eq!((&run["other_labels"]["calls"], &run["other_labels"]["faults"]), (&json!(2), &json!(2)));
}

#[test]
fn calls_of_all_protocols_have_labels() {
    for (protocol, mix) in [("tcp", "dummy"), ("tcp", "error"), ("memcache", "dummy"), ("redis", "50:delay(sleep=1ms)")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let more = format!("--http --http-port 0 --protocol {protocol} --handler {mix} --report {}", path.display());
        let program = Program::start(&Backend::lines(), &more);
        label(program.api(), "a");
        let mut client = program.connect();
        for _ in 0..10 {
            client.send("get a\r\n").read(3);
            if mix == "error" {
                break;
            }
            client.read_until("\r\n");
        }
        drop(client);
        program.stop();
        let run = &report(&path)["runs"][0];
        let all: u64 =
            run["proxies"][0]["handlers"].as_array().unwrap().iter().map(|it| it["calls"].as_u64().unwrap()).sum();
        assert_eq!(run["labels"][0]["calls"], all, "{protocol} {mix}: {run}");
        assert_eq!(run.get("unlabelled"), None, "{protocol} {mix}");
    }
}
