use std::time::Duration;

use super::*;

const TOXICS: &str = "/v1/proxies/cache/toxics";
const TOXIC: &str = "/v1/proxies/cache/toxics/latency_downstream";
const RULE: &str = "/v1/proxies/cache/rules/rule-1";

#[tokio::test]
async fn what_is_no_object_is_answered_with_what_is_changed() {
    let world = World::new(&["cache"]).await;
    let (toxic, rule) = (r#"{"toxic": "latency(latency=100ms)"}"#, r#"{"rule": "GET user:* => error"}"#);
    for (method, path, example) in [
        ("POST", TOXICS, toxic),
        ("PUT", TOXIC, toxic),
        ("PATCH", TOXIC, toxic),
        ("POST", "/v1/proxies/cache/rules", rule),
        ("PATCH", RULE, rule),
        // A proxy may be called so.
        ("PUT", "/v1/proxies/toxics", r#"{"handler": "delay"}"#),
    ] {
        for (body, what) in [
            ("", format!("the body is empty, write a JSON object such as `{example}`")),
            ("[]", format!("the body is not a JSON object, write `{example}`")),
            ("{\n  x", format!("the body is not JSON, write `{example}` (line 2, column 3)")),
        ] {
            assert_eq!(world.call(method, path, body).await.is(), wrong(400, "body", "", &what), "{method} {path}");
        }
    }
    // The examples are right.
    world.call("PATCH", "/v1/proxies/cache", r#"{"protocol": "redis"}"#).await;
    assert_eq!(world.call("POST", TOXICS, toxic).await.status, 201);
    assert_eq!(world.call("POST", "/v1/proxies/cache/rules", rule).await.status, 201);
}

#[tokio::test]
async fn what_is_removed_is_removed_for_good() {
    let world = World::new(&["cache"]).await;
    world.call("POST", TOXICS, r#"{"toxic": "latency(latency=1s)"}"#).await;
    world.call("PATCH", "/v1/proxies/cache", r#"{"protocol": "redis"}"#).await;
    world.call("POST", "/v1/proxies/cache/rules", r#"{"rule": "GET => error"}"#).await;
    for (path, instead) in [
        (TOXIC, r#"`PATCH` with `{"toxicity": 0, "for": "10s"}` takes it away for a time"#),
        (TOXICS, r#"`PATCH` the proxy with `{"toxics": [], "for": "10s"}` to take them away for a time"#),
        (RULE, "leave it out"),
        ("/v1/proxies/cache", r#"`PATCH` with `{"enabled": false, "for": "10s"}` stops it for a time"#),
    ] {
        let what = format!("DELETE removes for good and takes no body: {instead}");
        assert_eq!(world.call("DELETE", path, r#"{"for": "10s"}"#).await.is(), wrong(400, "body", "", &what));
        if path != TOXICS {
            assert_eq!(world.get(path).await.status, 200, "{path} is still there");
        }
    }
    for path in [TOXIC, TOXICS, RULE, "/v1/proxies/cache"] {
        assert_eq!(world.call("DELETE", path, " {} ").await.status, 204, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_instead_takes_toxics_away_for_a_time() {
    let world = World::new(&["cache"]).await;
    world.call("POST", TOXICS, r#"{"toxic": "latency(latency=1s)"}"#).await;
    let proxy = "/v1/proxies/cache";
    let texts = async || world.get(proxy).await.json()["toxics"].clone();
    for (path, body, meanwhile) in [
        (TOXIC, r#"{"toxicity": 0, "for": "10s"}"#, json!(["latency(latency=1s,toxicity=0)"])),
        (proxy, r#"{"toxics": [], "for": "10s"}"#, json!([])),
    ] {
        assert_eq!(world.call("PATCH", path, body).await.status, 200, "{path}");
        assert_eq!(texts().await, meanwhile);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(texts().await, json!(["latency(latency=1s)"]), "{path}");
    }
}
