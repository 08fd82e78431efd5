use std::time::Duration;

use super::*;
use crate::events::{Batch, EventKind, Next, SharedTexts};

fn ok() -> (u16, Value) {
    (200, json!({ "status": "ok" }))
}

#[tokio::test]
async fn the_old_contract_is_kept() {
    let world = World::new(&["default", "other"]).await;
    let names = json!([
        "abort",
        "blackout",
        "corrupt",
        "cut",
        "delay",
        "dummy",
        "error",
        "goaway",
        "hang",
        "miss",
        "reply",
        "reset",
        "slow",
        "tls",
        "transient"
    ]);
    assert_eq!(world.get("/behavior").await.is(), (200, json!({ "behavior": "dummy" })));
    assert_eq!(world.get("/behaviors").await.is(), (200, json!({ "behaviors": names })));
    assert_eq!(world.get("/handlers").await.is(), (200, json!({ "handlers": names })));
    assert_eq!(world.get("/backend").await.is(), (200, json!({ "backend": "localhost:6379" })));

    assert_eq!(world.call("PUT", "/behavior", r#"{"name": "delay", "sleep": 2}"#).await.is(), ok());
    assert_eq!(world.get("/behavior").await.is(), (200, json!({ "behavior": "delay" })));
    assert_eq!(world.get("/handler").await.is(), (200, json!({ "handler": "delay" })));
    assert_eq!(world.call("PUT", "/handler", r#"{"name": "20:delay,5:error"}"#).await.is(), ok());
    assert_eq!(world.get("/behavior").await.is(), (200, json!({ "behavior": "20:delay,5:error" })));
    assert_eq!(world.call("PUT", "/backend", r#"{"backend": "db:1"}"#).await.is(), ok());
    assert_eq!(world.get("/backend").await.is(), (200, json!({ "backend": "db:1" })));
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let world = World::new(&["only"]).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json", "nonsense", ""] {
        for (method, path, body) in [("PUT", "/behavior", r#"{"name": "hang"}"#), ("PATCH", "/v1/proxies/only", "{}")] {
            let request = request(method, path).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap();
            assert_eq!(world.send(request).await.status, 200, "{method} {kind}");
        }
    }
}

/// All settings of `error`.
fn error(inject: bool, warmup: u64) -> Value {
    json!({
        "inject": inject, "warmup": warmup, "kind": null, "message": null, "to": null, "grpc": null, "status": null, "retry_after": null,
        "headers": null, "body": null,
    })
}

#[tokio::test]
async fn options_that_are_not_given_have_their_defaults() {
    let world = World::new(&["default"]).await;
    let handlers = || world.proxies.get("default").unwrap().config().keys.all["handlers"].clone();
    for (body, then) in [
        (r#"{"name": "delay", "sleep": 2, "before": false}"#, json!({ "delay": { "sleep": 2, "before": false } })),
        (r#"{"name": "delay", "before": true, "sleep": null}"#, json!({ "delay": { "sleep": 1, "before": true } })),
        (r#"{"name": "error", "inject": true}"#, json!({ "delay": { "before": true }, "error": error(true, 0) })),
        (
            r#"{"name": "20:delay,5:error", "options": {"delay": {"sleep": "5ms"}}}"#,
            json!({ "delay": { "sleep": 0.005, "before": true }, "error": error(false, 0) }),
        ),
        (
            r#"{"name": "error", "options": {"error": {"warmup": 3}}}"#,
            json!({ "delay": { "sleep": 0.005 }, "error": error(false, 3) }),
        ),
    ] {
        assert_eq!(world.call("PUT", "/behavior", body).await.is(), ok(), "{body}");
        assert_eq!(handlers(), then, "{body}");
    }
    assert_eq!(world.call("PUT", "/behavior", r#"{"name": "error", "warmup": 2.0}"#).await.is(), ok());
    assert_eq!(handlers()["error"], error(false, 2));
    assert_eq!(world.call("PUT", "/behavior", r#"{"name": "hang", "for": "5s"}"#).await.is(), ok());
    let config = world.proxies.get("default").unwrap().config();
    let lasts = world.proxies.times("default").proxy(&config).unwrap();
    assert!(lasts > Duration::from_secs(4) && lasts <= Duration::from_secs(5), "{lasts:?}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_contracts_words() {
    let world = World::new(&["default"]).await;
    let json = "the value is not a valid json object";
    for (body, name, description) in [
        ("", "", json),
        ("delay", "", json),
        ("[]", "", json),
        (r#""delay""#, "", json),
        ("{}", "", r#"the value should contain a "name" key"#),
        (r#"{"sleep": 2}"#, "", r#"the value should contain a "name" key"#),
        (r#"{"name": "x"}"#, "name", "the 'x' behavior does not exist"),
        (r#"{"name": ""}"#, "name", "the '' behavior does not exist"),
        (r#"{"name": "20:delay,5:x"}"#, "name", "the 'x' behavior does not exist"),
        (r#"{"name": "20:delay,x"}"#, "name", "the 'x' behavior does not exist"),
        (r#"{"name": 5}"#, "name", r#"`5` is no behavior, write `"delay"` or `"20:delay,5:error"`"#),
        (r#"{"name": "70:delay,40:error"}"#, "name", "the percentages add up to 110, at most 100 is possible"),
        (r#"{"name": "delay", "sleep": "soon"}"#, "sleep", "invalid duration `soon`: write `10s`, `250ms` or seconds"),
        (r#"{"name": "error", "warmup": true}"#, "warmup", "`true` is not a whole number of calls, 0 or more"),
        (r#"{"name": "delay", "slep": 1}"#, "slep", "unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?"),
        (r#"{"name": "delay", "for": 0}"#, "for", "`0` would end at once, give more than 0"),
        (r#"{"name": "delay", "for": "x"}"#, "for", "invalid duration `x`: write `10s`, `250ms` or seconds"),
        (r#"{"name": "delay", "options": 1}"#, "options", r#"write `"options": {"delay": {"sleep": 2}}`"#),
        (
            r#"{"name": "delay", "options": {"delay": 1}}"#,
            "options.delay",
            r#"write `"options": {"delay": {"sleep": 2}}`"#,
        ),
        (r#"{"name": "delay", "options": {"hang": {}}}"#, "options.hang", "`hang` is not in the mix (known: delay)"),
        (
            r#"{"name": "delay", "sleep": 1, "options": {"delay": {}}}"#,
            "sleep",
            "`sleep` is not in `options`, move it there",
        ),
        (
            r#"{"name": "20:delay,5:error", "sleep": 1}"#,
            "sleep",
            r#"`sleep` could belong to several handlers, write `"options": {"delay": {"sleep": 2}}`"#,
        ),
        (
            r#"{"name": "20:delay,5:error", "options": {"error": {"warmup": -1}}}"#,
            "options.error.warmup",
            "`-1` is not a whole number of calls, 0 or more",
        ),
    ] {
        let answer = world.call("PUT", "/behavior", body).await;
        assert_eq!(answer.is(), wrong(400, "body", name, description), "{body}");
    }
    let answer = world.call("PUT", "/handler", r#"{"name": "x"}"#).await;
    assert_eq!(answer.is(), wrong(400, "body", "name", "the 'x' handler does not exist"));
    assert_eq!(world.get("/behavior").await.is(), (200, json!({ "behavior": "dummy" })));
}

#[tokio::test]
async fn every_unknown_handler_of_a_mix_is_an_error_of_its_own() {
    let world = World::new(&["default"]).await;
    let answer = world.call("PUT", "/behavior", r#"{"name": "20:x,5:delay,200:y"}"#).await;
    let errors: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| e["description"].clone()).collect();
    let sum = "the percentages add up to 225, at most 100 is possible";
    assert_eq!(errors, ["the 'x' behavior does not exist", "the 'y' behavior does not exist", sum]);
}

#[tokio::test]
async fn a_backend_is_checked() {
    let world = World::new(&["default"]).await;
    for (body, name, description) in [
        ("x", "", "the value is not a valid json object"),
        ("{}", "", r#"the value should contain a "backend" key"#),
        (r#"{"backend": "db"}"#, "backend", "`db` has no port, write `db:PORT`"),
        (r#"{"backend": 5}"#, "backend", "`5` is not text, put it in quotes"),
        (r#"{"backend": "db:1", "x": 1}"#, "x", "unknown key `x` (known: backend)"),
    ] {
        assert_eq!(world.call("PUT", "/backend", body).await.is(), wrong(400, "body", name, description), "{body}");
    }
}

#[tokio::test]
async fn with_no_proxy_to_mean_the_full_api_is_named() {
    let what = "no proxy is called `default`, and there is not exactly one: use /v1/proxies/{name}";
    for names in [&[][..], &["a", "b"]] {
        let world = World::new(names).await;
        for path in ["/behavior", "/handler", "/backend"] {
            assert_eq!(world.get(path).await.is(), wrong(404, "", "", what));
            assert_eq!(world.call("PUT", path, r#"{"name": "hang", "backend": "db:1"}"#).await.status, 404);
        }
        assert_eq!(world.get("/behaviors").await.status, 200);
    }
    assert_eq!(World::new(&["only"]).await.get("/behavior").await.status, 200);
}

#[tokio::test]
async fn events_share_the_rules_that_stay() {
    let world = World::new(&["only"]).await;
    let rules =
        |last: &str| json!({ "protocol": "redis", "rules": ["GET => error", "SET => error", last] }).to_string();
    assert_eq!(world.call("PATCH", "/v1/proxies/only", rules("DEL => error")).await.status, 200);
    for name in ["delay", "hang"] {
        assert_eq!(world.call("PUT", "/behavior", json!({ "name": name }).to_string()).await.status, 200);
    }
    assert_eq!(world.call("PATCH", "/v1/proxies/only", rules("PING => error")).await.status, 200);
    let Next::Batch(Batch { events, .. }) = world.proxies.events().reader(Some(0)).try_next() else { panic!() };
    let lists = events.iter().map(|event| match &event.kind {
        EventKind::Plan { rules, .. } => rules.clone(),
        other => panic!("{other:?}"),
    });
    let lists: Vec<SharedTexts> = lists.filter(|rules| !rules.is_empty()).collect();
    let [first, delay, hang, last] = lists.as_slice() else { panic!("{lists:?}") };
    assert!(Arc::ptr_eq(first, delay) && Arc::ptr_eq(delay, hang));
    assert!(Arc::ptr_eq(&hang[1], &last[1]) && &*last[2] == "PING => error");
}
