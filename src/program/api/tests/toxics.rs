use std::time::Duration;

use super::*;
use crate::proxy::config::ProxyConfig;
use crate::proxy::set::Times;

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

/// The time until a change of this is taken back.
type Time = fn(&Times, &ProxyConfig) -> Option<Duration>;

#[tokio::test]
async fn only_what_is_there_for_a_time_has_one() {
    let world = World::new(&["cache"]).await;
    let proxy = "/v1/proxies/cache";
    world.call("PATCH", proxy, r#"{"protocol": "redis", "rules": ["GET => error"]}"#).await;
    world.call("POST", TOXICS, r#"{"toxic": "latency(latency=1s)"}"#).await;
    let (times, config) = (|| world.proxies.times("cache"), || world.proxies.get("cache").unwrap().config());
    let cases: [(&str, &str, Time); 3] = [
        (RULE, r#"{"handler": "delay", "for": "1h"}"#, |times, config| {
            times.rule("rule-1", &config.rules[0].to_string())
        }),
        (TOXIC, r#"{"toxicity": 0.5, "for": "1h"}"#, |times, config| times.toxic(&config.toxics[0])),
        (proxy, r#"{"handler": "hang", "for": "1h"}"#, Times::proxy),
    ];
    for (path, body, time) in cases {
        let before = config();
        assert!(world.call("PATCH", path, body).await.json()["status"]["reverts_in"].is_number(), "{path}");
        assert!(time(&times(), &config()).is_some(), "{path}");
        // While it is taken back, the one before is in force already.
        assert_eq!(time(&times(), &before), None, "{path}");
    }
}
