//! `populate` and `reset`.

use serde_json::{Value, json};

use super::world::client::Ending;
use super::*;

fn populate(api: Api, list: &Value) -> (u16, Value) {
    is(&ask(api, "POST", "/populate", list))
}

#[test]
fn a_list_makes_proxies() {
    let (program, backend) = (start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address().to_string());
    assert_eq!(populate(api, &json!([])), (201, json!({ "proxies": [] })));
    let list = json!([
        { "name": "b", "listen": "localhost:0", "upstream": upstream, "enabled": null },
        { "name": "a", "listen": "localhost:0", "upstream": upstream, "enabled": false },
    ]);
    let (status, made) = populate(api, &list);
    let keys: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((status, keys), (201, vec!["proxies"]));
    let names: Vec<_> = made["proxies"].as_array().unwrap().iter().map(|proxy| &proxy["name"]).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!((&made["proxies"][0]["enabled"], &made["proxies"][1]["enabled"]), (&json!(true), &json!(false)));
    assert_eq!(api.get("/proxies").json()["b"], made["proxies"][0]);
}

#[test]
fn a_proxy_that_is_the_same_stays_and_another_takes_its_place() {
    let (program, backend, other) = (start(), Backend::echo(), Backend::lines());
    let api = program.toxiproxy();
    let (address, apart) = (create(api, "a", backend.address()), create(api, "apart", backend.address()));
    add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 1 } }));
    let mut client = Client::connect(address);
    assert_passes(&mut client);
    let before = api.get("/proxies/a").json();
    for host in ["127.0.0.1", "localhost"] {
        let listen = format!("{host}:{}", address.port());
        let same =
            json!([{ "name": "a", "listen": listen, "upstream": backend.address().to_string(), "enabled": false }]);
        assert_eq!(populate(api, &same), (201, json!({ "proxies": [before] })));
    }
    assert_passes(&mut client);
    let mut next = Client::connect(address);
    assert_passes(&mut next);

    let changed = json!([{ "name": "a", "listen": address.to_string(), "upstream": other.address().to_string() }]);
    let (status, made) = populate(api, &changed);
    assert_eq!((status, &made["proxies"][0]["toxics"]), (201, &json!([])));
    assert_eq!(client.ending(), Ending::Closed);
    Client::connect(address).send("hello\n").expect("+hello\r\n");
    assert_passes(&mut Client::connect(apart));
    // Any port is another one.
    let anywhere = json!([{ "name": "a", "listen": "localhost:0", "upstream": other.address().to_string() }]);
    assert_eq!(populate(api, &anywhere).0, 201);
}

#[test]
fn a_list_that_is_wrong_changes_nothing() {
    let (program, backend) = (start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address().to_string());
    create(api, "known", backend.address());
    let before = api.get("/proxies").body;
    let good = json!({ "name": "good", "listen": "localhost:0", "upstream": upstream });
    for (bad, status, message) in [
        (json!({ "listen": "a:1" }), 400, "missing required field: name at proxy 2"),
        (Value::Null, 400, "missing required field: name at proxy 2"),
        (json!({ "name": "x" }), 400, "missing required field: upstream at proxy 2"),
        (good.clone(), 400, "duplicate proxy name \"good\""),
        (
            json!({ "name": "x", "upstream": "a:1", "listen": "local373" }),
            500,
            "listen tcp: address local373: missing port in address",
        ),
        (
            json!({ "name": "known", "upstream": "a:1", "listen": "local373" }),
            500,
            "address local373: missing port in address",
        ),
        (
            json!({ "name": "x", "upstream": "a:1", "toxics": [{ "type": "x" }] }),
            400,
            "invalid toxic type (proxy `x`, toxic 1)",
        ),
        (
            json!({ "name": "x", "upstream": "a:1", "toxics": [{ "name": "t", "type": "noop", "toxicity": 2 }] }),
            400,
            "bad request body: toxicity 2 is not from 0 to 1 (proxy `x`, toxic `t`)",
        ),
    ] {
        let expected = json!({ "error": message, "status": status, "proxies": null });
        assert_eq!(populate(api, &json!([good, bad])), (status, expected));
        assert_eq!(api.get("/proxies").body, before);
    }
    let (status, answer) = populate(api, &json!({}));
    assert_eq!((status, &answer["proxies"]), (400, &Value::Null));
    assert_eq!(ask(api, "POST", "/populate", &json!({})).header("content-type"), Some("application/json"));
    assert_eq!(is(&api.post_body("/populate", "")).1["error"], json!("bad request body: EOF"));
}

#[test]
fn what_was_made_before_a_failure_stays() {
    let (program, backend) = (start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address().to_string());
    let taken = backend.address().to_string();
    let list = json!([
        { "name": "a", "listen": "localhost:0", "upstream": upstream },
        { "name": "b", "listen": taken, "upstream": "a:1" },
        { "name": "c", "listen": "localhost:0", "upstream": upstream },
    ]);
    let (status, answer) = populate(api, &list);
    let message = format!("listen tcp {taken}: bind: address already in use");
    assert_eq!((status, &answer["error"], &answer["status"]), (500, &json!(message), &json!(500)));
    assert_eq!(answer["proxies"], json!([api.get("/proxies/a").json()]));
    assert_eq!(api.get("/proxies").json().as_object().unwrap().len(), 1);
}

#[test]
fn toxics_of_a_list_are_taken() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let upstream = backend.address().to_string();
    let toxics = json!([{ "type": "limit_data", "attributes": { "bytes": 2 } }]);
    let list = json!([{ "name": "a", "listen": "localhost:0", "upstream": upstream, "toxics": toxics }]);
    let made = populate(api, &list).1["proxies"][0].clone();
    let address: SocketAddr = made["listen"].as_str().unwrap().parse().unwrap();
    assert_eq!(Client::connect(address).send("hello\n").read_to_end().0, b"he");
    // What was read can be restored.
    add(api, "a", &json!({ "type": "noop" }));
    assert_eq!(populate(api, &json!([made])), (201, json!({ "proxies": [made] })));
}

#[test]
fn an_empty_list_of_toxics_keeps_those_of_a_proxy_that_is_the_same() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 1 } }));
    let before = api.get("/proxies/a").json();
    let proxy = |toxics| json!({ "name": "a", "listen": address.to_string(), "upstream": backend.address().to_string(), "toxics": toxics });
    for toxics in [json!([]), Value::Null] {
        assert_eq!(populate(api, &json!([proxy(toxics)])), (201, json!({ "proxies": [before] })));
    }
    // One that leads elsewhere is another proxy.
    let mut elsewhere = proxy(json!([]));
    elsewhere["upstream"] = "a:1".into();
    let (status, made) = populate(api, &json!([elsewhere]));
    assert_eq!((status, &made["proxies"][0]["toxics"]), (201, &json!([])));
}

#[test]
fn reset_enables_all_and_removes_all_toxics() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let (one, other) = (create(api, "a", backend.address()), create(api, "b:1", backend.address()));
    for toxic in [json!({ "type": "timeout" }), json!({ "type": "latency", "stream": "upstream" })] {
        add(api, "a", &toxic);
    }
    ask(api, "POST", "/proxies/b:1", &json!({ "enabled": false }));
    let reply = api.ask("POST", "/reset", "", "ignored");
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    for address in [one, other] {
        assert_passes(&mut Client::connect(address));
    }
    assert_eq!(api.get("/proxies/a").json()["toxics"], json!([]));
}

#[test]
fn reset_tells_what_cannot_be_enabled_and_resets_the_rest() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let taken = backend.address().to_string();
    let list = json!([{ "name": "a", "listen": taken, "upstream": "a:1", "enabled": false }]);
    assert_eq!(populate(api, &list).0, 201);
    let address = create(api, "b", backend.address());
    add(api, "b", &json!({ "type": "timeout" }));
    let message = format!("listen tcp {taken}: bind: address already in use");
    assert_eq!(is(&api.post("/reset")), error(500, &message));
    assert_passes(&mut Client::connect(address));
}
