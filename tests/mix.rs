//! A mix whose handlers have settings in place and names of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::{Duration, Instant};

use serde_json::json;
use world::{Backend, Client, Program};

/// How long a call of a backend of lines takes.
fn call(client: &mut Client) -> Duration {
    let begun = Instant::now();
    client.send("get a\r\n").expect("+get a\r\n");
    begun.elapsed()
}

#[test]
fn each_entry_has_its_own_settings_and_counts() {
    let mix = "--protocol redis --seed 3 --handler 50:short=delay(sleep=2ms),50:long=delay(sleep=50ms,before=false)";
    let program = Program::start(&Backend::lines(), mix);
    let mut client = program.connect();
    let times: Vec<Duration> = (0..20).map(|_| call(&mut client)).collect();
    assert!(times.iter().all(|time| *time >= Duration::from_millis(2)), "{times:?}");
    let counts = program.stop();
    let long = times.iter().filter(|time| **time >= Duration::from_millis(50)).count();
    assert!(counts.calls("long") > 0 && counts.calls("short") > 0, "{:#?}", counts.lines);
    assert_eq!(counts.calls("long") + counts.calls("short"), 20);
    // A short one may be late.
    assert!(long as u64 >= counts.calls("long"), "{times:?}, {:#?}", counts.lines);
}

#[test]
fn settings_in_place_are_added_to_those_of_the_handler() {
    let arguments = "--protocol redis --http --http-port 0 --handler-delay-sleep 1ms --handler-delay-before false";
    let program = Program::start(&Backend::lines(), &format!("{arguments} --handler delay(sleep=60ms)"));
    assert!(call(&mut program.connect()) >= Duration::from_millis(60));
    let api = program.api();
    let proxy = api.get("/v1/proxies/default").json();
    assert_eq!(proxy["handler"], "delay(sleep=60ms)");
    assert_eq!(proxy["handlers"]["delay"], json!({ "sleep": 0.001, "before": false }), "of the others");
}

#[test]
fn the_same_text_is_a_plan_everywhere() {
    let program = Program::start(&Backend::lines(), "--protocol redis --http --http-port 0");
    let (api, mix) = (program.api(), "10:delay(sleep=100ms),1:late=delay(sleep=\"1m 30s\")");
    let body = json!({ "name": mix }).to_string();
    assert_eq!(api.put("/behavior", &body).status, 200);
    assert_eq!(api.get("/behavior").json(), json!({ "behavior": mix }));
    let body = json!({ "name": mix, "options": { "delay": { "before": false } } }).to_string();
    assert_eq!(api.put("/behavior", &body).status, 200);
    let delay = &api.get("/v1/proxies/default").json()["handlers"]["delay"];
    assert_eq!(*delay, json!({ "sleep": 1, "before": false }), "both entries have the options");
    assert_eq!(api.patch("/v1/proxies/default", &json!({ "handler": mix }).to_string()).status, 200);
    assert_eq!(api.get("/v1/proxies/default").json()["handler"], mix);
    let wrong = api.patch("/v1/proxies/default", r#"{"handler": "20:delay(slep=1s)"}"#);
    let why = "`20:delay(slep=1s)`: unknown setting `slep` (known: sleep, before), did you mean `sleep`?";
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["description"]), (400, &json!(why)));
    let seen: Vec<String> =
        api.events().iter().filter_map(|event| Some(event["handler"].as_str()?.to_owned())).collect();
    assert!(seen.contains(&mix.to_owned()), "{seen:?}");
}
