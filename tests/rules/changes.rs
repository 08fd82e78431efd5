//! Rules that change while the proxy serves.

use serde_json::json;

use super::world::file::proxy;
use super::world::{Backend, File, eventually};
use super::{pass, start};

#[test]
fn rules_are_a_key_of_a_proxy() {
    let program = start(&Backend::lines(), "redis", &["GET times=1 => error"], "");
    let api = program.api();
    assert_eq!(api.proxy("default")["rules"], json!(["GET times=1 => error"]));
    let rules = json!([
        "SET => error",
        { "name": "reads", "match": { "command": "GET", "key": "user:*" }, "handler": "error" },
    ]);
    let changed = api.patch("/v1/proxies/default", &json!({ "rules": rules }).to_string());
    assert_eq!(changed.status, 200, "{}", changed.body);
    let changed = changed.json();
    assert_eq!(changed["applied"]["now"], json!(["rules"]));
    let texts = json!(["SET => error", "command=GET key=user:* name=reads => error"]);
    assert_eq!(changed["rules"], texts);
    assert_eq!(pass(&mut program.connect(), &["GET a", "GET user:1", "SET a b"]), [true, false, false]);
    let status = &api.proxy("default")["status"]["rules"];
    let shown = json!([
        { "name": "rule-1", "rule": "SET => error", "calls": 1, "excluded": 0, "times_left": null },
        {
            "name": "reads", "rule": "command=GET key=user:* name=reads => error",
            "calls": 1, "excluded": 0, "times_left": null,
        },
    ]);
    assert_eq!(*status, shown);
    let plan = api.events().into_iter().rfind(|event| event["event"] == "plan").unwrap();
    assert_eq!(plan["rules"], texts);

    let shown = api.proxy("default");
    let put = api.put("/v1/proxies/default", &shown.to_string());
    assert_eq!((put.status, &put.json()["rules"]), (200, &texts), "what GET answers can be PUT");
    let taken = api.put("/v1/proxies/reads", r#"{"backend": "a:1", "proxy": "127.0.0.1:0"}"#);
    assert_eq!((taken.status, &taken.json()["errors"][0]["name"]), (400, &json!("name")), "{}", taken.body);
    let taken = api.patch("/v1/proxies/default", r#"{"rules": ["GET name=default => error"]}"#);
    assert_eq!((taken.status, &taken.json()["errors"][0]["name"]), (400, &json!("rules")), "{}", taken.body);
    let none = api.patch("/v1/proxies/default", r#"{"rules": null}"#).json();
    assert_eq!(none["rules"], json!([]));
    let wrong = api.patch("/v1/proxies/default", r#"{"rules": ["GET header.x=1 => error"]}"#);
    let error = &wrong.json()["errors"][0];
    let why = "`GET header.x=1 => error`: `header.x` needs protocol http, this proxy has redis";
    assert_eq!((wrong.status, &error["name"], &error["description"]), (400, &json!("rules"), &json!(why)));
}

#[test]
fn a_rule_that_stays_goes_on_counting() {
    let program = start(&Backend::lines(), "redis", &["GET times=1 => error", "SET times=1 => error"], "");
    let (api, mut client) = (program.api(), program.connect());
    assert_eq!(pass(&mut client, &["GET a"]), [false]);
    let change = |body: serde_json::Value| assert_eq!(api.patch("/v1/proxies/default", &body.to_string()).status, 200);
    change(json!({ "rules": ["PING => dummy", "GET times=1 => error", "SET times=1 => hang"] }));
    assert_eq!(pass(&mut client, &["GET a"]), [true], "it has had its call");
    change(json!({ "handler": "delay(sleep=1ms)" }));
    change(json!({ "buffer": 100 }));
    assert_eq!(pass(&mut client, &["GET a"]), [true]);
    assert_eq!(api.proxy("default")["status"]["calls"]["rule-1.error"], 1, "and its name");
    change(json!({ "rules": ["GET times=1 => 100:error"] }));
    assert_eq!(pass(&mut client, &["GET a", "GET a"]), [false, true], "another rule");
}

#[test]
fn what_a_rule_holds_stays_held_while_others_change() {
    let program = start(&Backend::lines(), "redis", &["GET held => hang"], "");
    let (api, mut client) = (program.api(), program.connect());
    client.send("GET held\r\n");
    let holds = || api.get("/v1/proxies/default/connections").json()["connections"][0]["handler"] == "rule-1.hang";
    eventually("it is held", holds);
    let change = |body: &str| assert_eq!(api.patch("/v1/proxies/default", body).status, 200);
    change(r#"{"handler": "delay"}"#);
    change(r#"{"rules": ["SET => error", "GET held => hang"]}"#);
    assert!(holds() && client.is_silent());
    change(r#"{"rules": []}"#);
    client.ending();
}

#[test]
fn a_reload_keeps_what_unchanged_rules_have_counted() {
    let backend = Backend::lines();
    let text = |rules: &str| proxy("cache", &backend, &format!("rules = [{rules}]"));
    let file = File::new(text("'GET times=1 => error', 'SET times=1 => error'"));
    let mut program = file.start("");
    let api = program.api();
    let mut client = api.client("cache");
    assert_eq!(pass(&mut client, &["GET a", "SET a b"]), [false, false]);
    file.write(text(
        "'DEL => error', { match = { command = 'SET' }, times = 1, handler = 'error' }, 'GET times=1 => error'",
    ));
    program.signal("HUP");
    program.line("reloaded");
    assert_eq!(pass(&mut client, &["GET a", "SET a b", "DEL a"]), [true, false, false], "one is written differently");
}
