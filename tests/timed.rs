//! A change made with `for` reverts by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use world::client::Ending;
use world::file::call;
use world::{Api, Backend, Client, Program, eventually};

fn start(backend: &Backend) -> Program {
    Program::start(backend, "--protocol redis --http --http-port 0")
}

fn reverts_in(api: Api) -> Value {
    api.proxy("default")["status"]["reverts_in"].take()
}

/// Waits until a change reverts that is made now, with the same duration as those under test or a longer one.
fn pass_time(api: Api, backend: &Backend, time: &str) {
    let keys = json!({"proxy": "127.0.0.1:0", "backend": backend.address(), "for": time}).to_string();
    assert_eq!(api.put("/v1/proxies/clock", &keys).status, 201);
    eventually("the time has passed", || api.get("/v1/proxies/clock").status == 404);
}

#[test]
fn a_timed_change_reverts_and_hanging_calls_are_reset() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    for old in [true, false] {
        let mut client = program.connect();
        call(&mut client);
        let hang = if old {
            api.put("/behavior", r#"{"name": "hang", "for": "500ms"}"#)
        } else {
            api.patch("/v1/proxies/default", r#"{"handler": "hang", "for": "500ms"}"#)
        };
        assert_eq!(hang.status, 200, "{}", hang.body);
        assert_eq!(client.send("b\r\n").ending(), Ending::Reset);
        eventually("the change has reverted", || api.get("/behavior").json()["behavior"] == "dummy");
        assert_eq!(reverts_in(api), json!(null));
        call(&mut program.connect());
    }
    assert_eq!(program.stop().calls("hang"), 2);
}

#[test]
fn the_log_says_where_a_changed_proxy_listens_and_how_many_rules_it_has() {
    let backend = Backend::lines();
    let mut program = start(&backend);
    let (at, to) = (program.address(), backend.address());
    program.api().patch("/v1/proxies/default", r#"{"rules": ["GET => error", "SET => error"]}"#);
    program.line(&format!("now {at} -> {to}, protocol redis, 2 rules, handler dummy"));
    program.api().patch("/v1/proxies/default", r#"{"enabled": false}"#);
    program.line(&format!("now disabled -> {to}, protocol redis, 2 rules, handler dummy"));
}

#[test]
fn the_log_says_that_the_time_is_over() {
    let backend = Backend::lines();
    let mut program = start(&backend);
    let api = program.api();
    api.patch("/v1/proxies/default", r#"{"handler": "hang", "for": "100ms"}"#);
    let line = program.line("is over");
    let (at, backend_at) = (program.address(), backend.address());
    let now = format!("its `for` is over: now {at} -> {backend_at}, protocol redis, handler dummy");
    assert!(line.contains(&now) && line.contains("INFO") && line.contains("default"), "{line}");
    pass_time(api, &backend, "100ms");
    let line = program.line("is over");
    assert!(line.contains("its `for` is over: removed") && line.contains("clock"), "{line}");
}

#[test]
fn the_remaining_time_is_shown() {
    let program = start(&Backend::lines());
    let api = program.api();
    assert_eq!(reverts_in(api), json!(null));
    let answer = api.patch("/v1/proxies/default", r#"{"handler": "hang", "for": "1h"}"#);
    let first = answer.json()["status"]["reverts_in"].as_f64().unwrap();
    assert!((3570.0..=3600.0).contains(&first), "{first}");
    eventually("the remaining time decreases", || reverts_in(api).as_f64().unwrap() < first);
}

#[test]
fn a_later_change_replaces_a_timed_one() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    api.patch("/v1/proxies/default", r#"{"handler": "hang", "for": "200ms"}"#);
    api.put("/behavior", r#"{"name": "blackout"}"#);
    assert_eq!(reverts_in(api), json!(null));
    pass_time(api, &backend, "200ms");
    assert_eq!(api.proxy("default")["handler"], "blackout");
    assert_eq!(program.connect().send("a\r\n").ending(), Ending::Closed);
}

#[test]
fn a_change_of_another_setting_stays_and_keeps_the_time() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    api.put("/behavior", r#"{"name": "hang", "for": "300ms"}"#);
    assert_eq!(api.put("/backend", r#"{"backend": "localhost:1"}"#).status, 200);
    assert_eq!(api.patch("/v1/proxies/default", r#"{"connect_timeout": 5}"#).status, 200);
    assert_eq!(api.patch("/v1/proxies/default", "{}").status, 200);
    assert!(reverts_in(api).as_f64().unwrap() > 0.0);
    eventually("the change has reverted", || api.get("/behavior").json()["behavior"] == "dummy");
    let now = api.proxy("default");
    assert_eq!((&now["backend"], &now["connect_timeout"]), (&json!("localhost:1"), &json!(5)));
    assert_eq!(reverts_in(api), json!(null));
}

#[test]
fn a_new_time_needs_a_new_fault() {
    let program = Program::start(&Backend::lines(), "--http --http-port 0");
    let api = program.api();
    api.put("/behavior", r#"{"name": "hang", "for": "1h"}"#);
    let refused = api.patch("/v1/proxies/default", r#"{"buffer": 4096, "for": "2h"}"#);
    assert_eq!((refused.status, &refused.json()["errors"][0]["name"]), (400, &json!("for")));
    assert_eq!(api.proxy("default")["buffer"], json!(null));
    assert!(reverts_in(api).as_f64().unwrap() < 3600.0);
}

#[test]
fn a_timed_move_returns_the_proxy_to_its_port() {
    let program = start(&Backend::lines());
    let (api, before) = (program.api(), program.address());
    let moved = api.patch("/v1/proxies/default", r#"{"proxy": "localhost:0", "for": "200ms"}"#);
    assert_eq!(moved.status, 200, "{}", moved.body);
    eventually("the proxy has its port again", || api.address("default") == before);
    call(&mut program.connect());
}

#[test]
fn a_timed_move_whose_port_is_taken_meanwhile_goes_back_once_it_is_free() {
    let mut program = Program::start(&Backend::lines(), "--protocol redis --http --http-port 0");
    let (api, before) = (program.api(), program.address());
    let keys = r#"{"proxy": "localhost:0", "handler": "hang", "for": "500ms"}"#;
    assert_eq!(api.patch("/v1/proxies/default", keys).status, 200);
    let taken = TcpListener::bind(before).unwrap();
    program.line("it keeps its address until it can listen on the earlier one");
    eventually("the change has reverted", || api.proxy("default")["handler"] == "dummy");
    assert_eq!(api.proxy("default")["proxy"], "localhost:0");
    call(&mut Client::connect(api.address("default")));
    drop(taken);
    program.line("its `for` is over: now");
    assert_eq!(api.address("default"), before);
    call(&mut program.connect());
}

#[test]
fn a_proxy_disabled_for_a_time_whose_port_is_taken_meanwhile_listens_once_it_is_free() {
    let mut program = start(&Backend::lines());
    let (api, before) = (program.api(), program.address());
    assert_eq!(api.patch("/v1/proxies/default", r#"{"enabled": false, "for": "500ms"}"#).status, 200);
    let taken = TcpListener::bind(before).unwrap();
    let line = program.line("its `for` is over");
    assert!(line.contains("stays disabled until it can listen: cannot listen on") && line.contains("WARN"), "{line}");
    let now = api.proxy("default");
    assert_eq!((&now["enabled"], &now["status"]["addresses"]), (&json!(false), &json!([])));
    assert_eq!(now["status"]["reverts_in"], 0);
    drop(taken);
    let line = program.line("its `for` is over");
    assert!(line.contains(&format!("is over: now {before} ->")) && !line.contains("disabled"), "{line}");
    let now = api.proxy("default");
    assert_eq!((&now["enabled"], &now["status"]["addresses"]), (&json!(true), &json!([before.to_string()])));
    assert_eq!(now["status"]["reverts_in"], json!(null));
    call(&mut program.connect());
}

#[test]
fn a_later_change_ends_the_attempts_to_listen_again() {
    let backend = Backend::lines();
    let mut program = start(&backend);
    let (api, before) = (program.api(), program.address());
    assert_eq!(api.patch("/v1/proxies/default", r#"{"enabled": false, "for": "500ms"}"#).status, 200);
    let taken = TcpListener::bind(before).unwrap();
    program.line("stays disabled until it can listen");
    assert_eq!(api.patch("/v1/proxies/default", r#"{"enabled": false}"#).status, 200);
    drop(taken);
    // Longer than the time between two attempts.
    pass_time(api, &backend, "2s");
    let now = api.proxy("default");
    assert_eq!((&now["enabled"], &now["status"]["reverts_in"]), (&json!(false), &json!(null)));
}

#[test]
fn a_second_timed_change_reverts_to_the_state_before_the_first() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    api.put("/behavior", r#"{"name": "delay", "sleep": "1ms"}"#);
    for (handler, time) in [("blackout", "1h"), ("error", "100ms"), ("hang", "200ms")] {
        let keys = json!({"handler": handler, "for": time}).to_string();
        assert_eq!(api.patch("/v1/proxies/default", &keys).status, 200);
    }
    pass_time(api, &backend, "200ms");
    eventually("the change is permanent", || reverts_in(api).is_null());
    let proxy = api.proxy("default");
    assert_eq!((&proxy["handler"], &proxy["handlers"]["delay"]["sleep"]), (&json!("delay"), &json!(0.001)));
    call(&mut program.connect());
}

#[test]
fn a_proxy_added_for_a_time_is_removed() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    let keys = json!({"proxy": "127.0.0.1:0", "backend": backend.address(), "for": "500ms"}).to_string();
    let created = api.put("/v1/proxies/new", &keys).json();
    let address = created["status"]["addresses"][0].as_str().unwrap().parse().unwrap();
    let mut client = Client::connect(address);
    assert_eq!(client.ending(), Ending::Closed);
    eventually("the proxy is removed", || api.get("/v1/proxies/new").status == 404);
    TcpListener::bind(address).unwrap();
}

#[test]
fn a_proxy_disabled_for_a_time_listens_again_on_its_port() {
    let program = start(&Backend::lines());
    let api = program.api();
    let mut client = program.connect();
    call(&mut client);
    assert_eq!(api.patch("/v1/proxies/default", r#"{"enabled": false, "for": "200ms"}"#).status, 200);
    assert_eq!(client.ending(), Ending::Closed);
    eventually("the proxy listens", || TcpStream::connect(program.address()).is_ok());
    call(&mut program.connect());
}

#[test]
fn the_time_of_a_deleted_proxy_does_not_apply_to_its_successor() {
    let backend = Backend::lines();
    let program = start(&backend);
    let api = program.api();
    let put = |time| {
        let keys = json!({"proxy": "127.0.0.1:0", "backend": backend.address(), "for": time}).to_string();
        assert_eq!(api.put("/v1/proxies/new", &keys).status, 201);
    };
    put("200ms");
    assert_eq!(api.delete("/v1/proxies/new").status, 204);
    put("1h");
    pass_time(api, &backend, "200ms");
    assert_eq!(api.get("/v1/proxies/new").status, 200);
}
