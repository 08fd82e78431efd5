use std::collections::BTreeSet;
use std::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_proxy_is_created_shown_changed_and_removed() {
    let world = World::new(&[]).await;
    assert_eq!(world.get("/v1/proxies").await.is(), (200, json!({ "proxies": {} })));
    let created = world
        .call("PUT", "/v1/proxies/cache", r#"{"backend": "db:1", "proxy": "127.0.0.1:0", "handler": "delay"}"#)
        .await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, Some("/v1/proxies/cache")));
    assert!(created.json()["applied"]["now"].as_array().unwrap().contains(&json!("handler")));

    let shown = world.get("/v1/proxies/cache").await;
    let addresses = world.proxies.get("cache").unwrap().addresses();
    let status = json!({
        "addresses": addresses,
        "connections": { "total": 0, "open": 0, "opaque": 0 },
        "calls": { "delay": 0 },
        "faults": { "delay": 0 },
        "rules": [],
        "bytes": { "to_backend": 0, "to_client": 0 },
        "waited": null,
        "backend_time": null,
        "backend_failures": 0,
        "handshake_failures": 0,
        "handshake_reasons": [],
        "reverts_in": null,
    });
    assert_eq!(shown.json()["status"], status);
    assert_eq!((&shown.json()["name"], &shown.json()["handler"]), (&json!("cache"), &json!("delay")));
    assert_eq!(world.get("/v1/proxies").await.json(), json!({ "proxies": { "cache": shown.json() } }));

    let replaced = world.call("PUT", "/v1/proxies/cache", shown.text.clone()).await;
    assert_eq!(replaced.status, 200);
    let mut same = replaced.json();
    assert!(same.as_object_mut().unwrap().remove("applied").is_some());
    assert_eq!(same, shown.json());

    let patch = r#"{"handler": "hang", "for": 2.5, "handlers": {"delay": {"sleep": 3}}}"#;
    let changed = world.call("PATCH", "/v1/proxies/cache", patch).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["handler"]), (200, &json!("hang")));
    assert_eq!(changed.json()["backend"], "db:1");
    let reverts_in = changed.json()["status"]["reverts_in"].as_f64().unwrap();
    assert!(reverts_in > 1.5 && reverts_in <= 2.5, "{reverts_in}");
    let reset = world.call("POST", "/v1/proxies/cache/reset", "").await;
    assert_eq!((reset.status.as_u16(), &reset.json()["handler"]), (200, &json!("delay")));

    let removed = world.call("DELETE", "/v1/proxies/cache", "").await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    assert_eq!(world.get("/v1/proxies").await.json(), json!({ "proxies": {} }));
}

#[tokio::test]
async fn an_unknown_proxy_is_not_found() {
    let world = World::new(&["cache"]).await;
    for (method, path) in [
        ("GET", "/v1/proxies/x"),
        ("PATCH", "/v1/proxies/x"),
        ("DELETE", "/v1/proxies/x"),
        ("POST", "/v1/proxies/x/reset"),
        ("GET", "/v1/proxies/x/connections"),
        ("DELETE", "/v1/proxies/x/connections/1"),
    ] {
        let what = "there is no proxy `x`, GET /v1/proxies lists them";
        assert_eq!(world.call(method, path, "{}").await.is(), wrong(404, "path", "name", what), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_key_by_key() {
    let world = World::new(&["cache"]).await;
    let body = r#"{"backend": "db", "bufer": 1, "handlers": {"delay": {"sleep": "soon"}}}"#;
    for method in ["PUT", "PATCH"] {
        let answer = world.call(method, "/v1/proxies/cache", body).await;
        let names = BTreeSet::from_iter(answer.wrong_names());
        assert_eq!(answer.status, 400);
        assert!(names.iter().eq(["backend", "bufer", "handlers.delay.sleep"]), "{names:?}");
        for (body, name, description) in [
            ("", "", r#"the body is empty, write a JSON object such as `{"handler": "delay"}`"#),
            ("[]", "", r#"the body is not a JSON object, write `{"handler": "delay"}`"#),
            (r#"{"name": "other"}"#, "name", "the path says `cache`, and a proxy cannot be renamed: leave `name` out"),
            (r#"{"for": -1}"#, "for", "invalid duration `-1`: it is negative, write 0 or more"),
        ] {
            let answer = world.call(method, "/v1/proxies/cache", body).await;
            assert_eq!(answer.is(), wrong(400, "body", name, description), "{method} {body}");
        }
    }
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    let taken = world.call("PATCH", "/v1/proxies/cache", json!({ "proxy": at }).to_string()).await;
    let what = format!("cannot listen on {at}: the port is in use: give another `proxy`, or port 0 for a free one");
    assert_eq!(taken.is(), wrong(409, "body", "proxy", &what));
}

#[tokio::test]
async fn what_is_taken_back_has_to_be_a_key() {
    let world = World::new(&["cache"]).await;
    let known = r#"{"buffer": null, "handlers": {"delay": {"sleep": null}, "error": null}}"#;
    assert_eq!(world.call("PATCH", "/v1/proxies/cache", known).await.status, 200);
    let unknown = r#"{"bufer": null, "handlers": {"delay": {"slep": null}, "x": null}}"#;
    let answer = world.call("PATCH", "/v1/proxies/cache", unknown).await;
    let names = BTreeSet::from_iter(answer.wrong_names());
    assert_eq!(answer.status, 400);
    assert!(names.iter().eq(["bufer", "handlers.delay.slep", "handlers.x"]), "{names:?}");
}

#[tokio::test]
async fn a_large_body_is_not_read() {
    let world = World::new(&["default"]).await;
    let what = "the body is too large, send at most 65536 bytes";
    let padded = |size: usize| r#"{"name": "delay"}"#.to_owned() + &" ".repeat(size - 17);
    assert_eq!(world.call("PUT", "/behavior", padded(65536)).await.status, 200);
    assert_eq!(world.call("PUT", "/behavior", padded(65537)).await.is(), wrong(413, "body", "", what));
    assert_eq!(world.call("PUT", "/v1/proxies/x", padded(65537)).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new(&["default"]).await;
    let never = || Body::from_stream(futures_util::stream::pending::<std::io::Result<String>>());
    let what = "the body is too slow, send it within 10 s";
    assert_eq!(world.call("PUT", "/behavior", never()).await.is(), wrong(408, "body", "", what));
    assert_eq!(world.call("PATCH", "/v1/proxies/default", never()).await.status, 408);
    let broken = futures_util::stream::iter([Err::<String, _>(std::io::Error::other("gone"))]);
    let what = "the body is incomplete";
    assert_eq!(world.call("PUT", "/behavior", Body::from_stream(broken)).await.is(), wrong(400, "body", "", what));
}

#[tokio::test]
async fn a_name_has_to_be_one() {
    let world = World::new(&[]).await;
    let body = r#"{"backend": "db:1", "proxy": "127.0.0.1:0"}"#;
    for name in ["a", "A-1_b", "-a", "_", "0", &"x".repeat(64)] {
        assert_eq!(world.call("PUT", &format!("/v1/proxies/{name}"), body).await.status, 201, "{name}");
    }
    for name in ["%20", "a.b", "%C3%A4", "a%2Fb", &"x".repeat(65)] {
        let answer = world.call("PUT", &format!("/v1/proxies/{name}"), body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["location"]), (400, &json!("path")), "{name}");
        assert_eq!(world.get(&format!("/v1/proxies/{name}")).await.status, 404, "{name}");
    }
    assert_eq!(world.get("/v1/proxies/%FF").await.json()["errors"][0]["location"], "path");
}

#[tokio::test]
async fn a_connection_that_is_not_there_is_not_found() {
    let world = World::new(&["cache"]).await;
    let all = world.get("/v1/proxies/cache/connections").await;
    assert_eq!(all.is(), (200, json!({ "connections": [] })));
    let one = "/v1/proxies/cache/connections/1";
    for query in ["?reset=yes", "?rst=true", "?reset=true&reset=false"] {
        let answer = world.call("DELETE", &format!("{one}{query}"), "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["location"]), (400, &json!("query")));
    }
    let what = "`cache` has no connection 1, GET /v1/proxies/cache/connections lists them";
    assert_eq!(world.call("DELETE", one, "").await.is(), wrong(404, "path", "id", what));
    let no_number = world.call("DELETE", "/v1/proxies/cache/connections/x", "").await;
    assert_eq!(no_number.is(), wrong(400, "path", "id", "`x` is not a number"));
}

#[tokio::test]
async fn elsewhere_there_is_nothing() {
    let world = World::new(&["default"]).await;
    let what = "there is no /v2, see /v1/openapi.json";
    assert_eq!(world.get("/v2").await.is(), wrong(404, "path", "", what));
    for path in ["//", "/v1", "/v1/proxies/", "/v1/proxies/a/b", "//behavior", "/v1/proxies/..%2f/reset/x"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (404, &json!("error")), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new(&["default"]).await;
    for (method, path, allow) in [
        ("POST", "/behavior", "GET,HEAD,PUT"),
        ("OPTIONS", "/healthz", "GET,HEAD"),
        ("POST", "/v1/proxies/default", "GET,HEAD,PUT,PATCH,DELETE"),
        ("GET", "/v1/proxies/default/reset", "POST"),
        ("BREW", "/v1/proxies/default/connections/1", "DELETE"),
    ] {
        let answer = world.call(method, path, "").await;
        let what = format!("{path} has no {method}, use {}", allow.replace(',', ", "));
        assert_eq!(answer.is(), wrong(405, "", "", &what));
        assert_eq!(answer.header("allow"), Some(allow));
    }
    let head = world.call("HEAD", "/v1/version", "").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn version_health_and_metrics() {
    let world = World::new(&["default"]).await;
    assert_eq!(world.get("/v1/version").await.is(), (200, json!({ "version": env!("CARGO_PKG_VERSION") })));
    assert_eq!(world.get("/healthz").await.is(), (200, json!({ "status": "ok" })));
    let metrics = world.get("/metrics").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((metrics.status.as_u16(), metrics.header("content-type")), (200, Some(kind)));
    assert!(metrics.text.ends_with("# EOF\n"));
}
