//! The full API, with proxies that serve.

use std::net::TcpListener;

use serde_json::json;

use super::world::{Backend, Program, eventually};
use super::{is, start, wrong};

#[test]
fn what_get_answers_can_be_put_back_and_nothing_changes() {
    let program =
        start(&Backend::lines(), "--handler 20:delay,5:error --handler-delay-sleep 250ms --buffer 7 --seed 1");
    let api = program.api();
    let before = api.get("/v1/proxies/default");
    let reply = api.put("/v1/proxies/default", &before.body);
    let mut after = reply.json();
    let applied = after.as_object_mut().unwrap().remove("applied").unwrap();
    assert_eq!((reply.status, &after), (200, &before.json()));
    assert_eq!(applied["new_connections"], json!([]));
    assert_eq!(api.get("/v1/proxies/default").json(), before.json());
    assert_eq!(program.address().to_string(), after["status"]["addresses"][0]);
}

#[test]
fn reset_goes_back_to_what_was_asked_for_first_and_keeps_counters() {
    let program = start(&Backend::lines(), "--handler delay --handler-delay-sleep 1ms");
    let api = program.api();
    program.connect().send("get a\r\n").expect("+get a\r\n");
    let first = api.get("/v1/proxies/default").json();
    api.put("/behavior", r#"{"name": "hang"}"#);
    api.patch("/v1/proxies/default", r#"{"buffer": 9, "handlers": {"delay": {"sleep": 5}}}"#);
    let reset = api.ask("POST", "/v1/proxies/default/reset", "", "");
    assert_eq!(reset.status, 200);
    let now = api.get("/v1/proxies/default").json();
    assert_eq!(
        (&now["handler"], &now["handlers"], &now["buffer"]),
        (&first["handler"], &first["handlers"], &json!(null))
    );
    assert_eq!(now["status"]["calls"]["delay"], 1);
    assert_eq!(now["status"]["connections"]["total"], 1);
}

#[test]
fn a_taken_address_is_a_conflict_and_nothing_has_changed() {
    let program = start(&Backend::lines(), "");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    let body = json!({ "proxy": at, "handler": "hang" }).to_string();
    let what = format!("cannot listen on {at}: the port is in use: give another `proxy`, or port 0 for a free one");
    assert_eq!(is(&program.api().patch("/v1/proxies/default", &body)), wrong(409, "body", "proxy", &what));
    let body = json!({ "proxy": at, "backend": "localhost:1" }).to_string();
    assert_eq!(program.api().put("/v1/proxies/new", &body).status, 409);
    let body = json!({ "proxy": "LOCALHOST:1", "backend": "localhost:2", "enabled": false }).to_string();
    assert_eq!(program.api().put("/v1/proxies/first", &body).status, 201);
    let what = "`first` and `new` both listen on `LOCALHOST:1`, give one another `proxy`";
    assert_eq!(is(&program.api().put("/v1/proxies/new", &body)), wrong(409, "body", "proxy", what));
    assert_eq!(program.api().get("/v1/proxies").json()["proxies"].as_object().unwrap().len(), 2);
    program.connect().send("get a\r\n").expect("+get a\r\n");
}

#[test]
fn a_proxy_is_created_disabled_and_removed() {
    let backend = Backend::lines();
    let program = start(&backend, "");
    let api = program.api();
    let body = json!({ "backend": backend.address(), "proxy": "127.0.0.1:0", "protocol": "redis" }).to_string();
    let created = api.put("/v1/proxies/cache", &body);
    assert_eq!((created.status, created.header("location")), (201, Some("/v1/proxies/cache")));
    let at = created.json()["status"]["addresses"][0].as_str().unwrap().parse().unwrap();
    super::world::Client::connect(at).send("get a\r\n").expect("+get a\r\n");
    let disabled = api.patch("/v1/proxies/cache", r#"{"enabled": false}"#).json();
    assert_eq!((&disabled["status"]["addresses"], &disabled["applied"]["now"]), (&json!([]), &json!(["enabled"])));
    assert!(std::net::TcpStream::connect(at).is_err());
    let removed = api.ask("DELETE", "/v1/proxies/cache", "", "");
    assert_eq!((removed.status, removed.body.as_str()), (204, ""));
    assert_eq!(api.get("/v1/proxies/cache").status, 404);
}

#[test]
fn it_answers_while_every_call_hangs() {
    let program = start(&Backend::lines(), "--handler hang");
    let mut clients: Vec<_> = (0..500).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.send("get a\r\n");
    }
    let api = program.api();
    eventually("all hang", || api.get("/v1/proxies/default").json()["status"]["faults"]["hang"] == 500);
    assert_eq!(api.get("/v1/proxies/default/connections").json()["connections"].as_array().unwrap().len(), 500);
    assert_eq!(api.put("/behavior", r#"{"name": "dummy"}"#).status, 200);
    for client in &mut clients {
        assert_eq!(client.read_to_end().1, super::world::client::Ending::Reset);
    }
}

#[test]
fn a_taken_port_ends_the_program_with_one_line() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let arguments = format!(
        "--proxy 127.0.0.1:0 --backend localhost:1 --http --http-host 127.0.0.1 --http-port {port} --log-level warn"
    );
    let ended = Program::run(&mut Program::command(&arguments));
    let what =
        format!("vaurien: cannot listen on 127.0.0.1:{port} for the HTTP API: Address already in use (os error 98)");
    assert_eq!((ended.code, ended.lines), (Some(1), vec![what]));
}
