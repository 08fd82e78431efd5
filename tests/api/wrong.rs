//! Bad requests to the full API, each with its status and whole body.

use serde_json::json;

use super::world::Backend;
use super::{is, start, wrong};

#[test]
fn what_is_wrong_with_a_body_is_said() {
    let program = start(&Backend::lines(), "");
    let empty = r#"the body is empty, write a JSON object such as `{"handler": "delay"}`"#;
    let no_object = r#"the body is not a JSON object, write `{"handler": "delay"}`"#;
    let known = "(known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient)";
    for (body, name, description) in [
        ("", "", empty),
        ("x", "", r#"the body is not JSON, write `{"handler": "delay"}` (line 1, column 1)"#),
        ("[]", "", no_object),
        ("null", "", no_object),
        ("5", "", no_object),
        (r#"{"bakend": 1}"#, "bakend", "unknown key `bakend`, did you mean `backend`?"),
        (r#"{"handler": "x"}"#, "handler", &format!("unknown handler `x` {known}")),
        (r#"{"handler": "20:delay,90:error"}"#, "handler", "the percentages add up to 110, at most 100 is possible"),
        (r#"{"handlers": {"x": {}}}"#, "handlers.x", &format!("unknown handler `x` {known}")),
        (r#"{"handlers": []}"#, "handlers", "`handlers` is `[]`, write a table, `[handlers.delay]`"),
        (r#"{"buffer": 0}"#, "buffer", "`0` is too small, a read takes 1 to 262144 bytes"),
        (r#"{"enabled": "yes"}"#, "enabled", "`yes` is not true or false"),
        (r#"{"backend": null}"#, "backend", "the backend is missing, give `HOST:PORT`"),
        (
            r#"{"backend": "localhost:99999"}"#,
            "backend",
            "`localhost:99999` has an invalid port `99999`, a port is 0 to 65535",
        ),
        (r#"{"name": "other"}"#, "name", "the path says `default`, and a proxy cannot be renamed: leave `name` out"),
        (r#"{"for": 0}"#, "for", "`0` would end at once, give more than 0"),
        (r#"{"for": []}"#, "for", "`[]` is not a number of seconds"),
    ] {
        let reply = program.api().patch("/v1/proxies/default", body);
        assert_eq!(is(&reply), wrong(400, "body", name, description), "{body}");
    }
}

#[test]
fn a_key_that_is_repeated_is_refused() {
    let program = start(&Backend::lines(), "");
    let repeated = |key: &str, column: usize| {
        wrong(400, "body", "", &format!("the key `{key}` is repeated at line 1 column {column}"))
    };
    let body = r#"{"handler": "delay", "handler": "error"}"#;
    assert_eq!(is(&program.api().patch("/v1/proxies/default", body)), repeated("handler", 30));
    // An escaped character is the character.
    let body = r#"{"handlers": {"delay": {"sleep": 1, "sl\u0065ep": 2}}}"#;
    assert_eq!(is(&program.api().patch("/v1/proxies/default", body)), repeated("sleep", 48));
    let body = r#"{"name": "hang", "name": "hang"}"#;
    assert_eq!(is(&program.api().put("/behavior", body)), repeated("name", 23));
    let body = r#"{"backend": "a:1", "backend": "b:1"}"#;
    assert_eq!(is(&program.api().put("/backend", body)), repeated("backend", 28));
    assert_eq!(program.api().get("/behavior").json(), json!({ "behavior": "dummy" }));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let program = start(&Backend::lines(), "");
    let body = r#"{"backend": "db", "bufer": null, "handlers": {"delay": {"sleep": -1, "slep": 1}}}"#;
    let reply = program.api().patch("/v1/proxies/default", body).json();
    let mut names: Vec<_> = reply["errors"].as_array().unwrap().iter().map(|error| error["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["backend", "bufer", "handlers.delay.sleep", "handlers.delay.slep"]);
}

#[test]
fn a_put_of_an_incomplete_proxy_names_patch() {
    let program = start(&Backend::lines(), "");
    let what = "the backend is missing, give `HOST:PORT`; PUT replaces all settings, PATCH changes some of them";
    for body in [r#"{"handler": "delay"}"#, r#"{"backend": null}"#, "{}"] {
        for name in ["default", "new"] {
            let reply = program.api().put(&format!("/v1/proxies/{name}"), body);
            assert_eq!(is(&reply), wrong(400, "body", "backend", what), "{name}: {body}");
        }
    }
    let reply = program.api().put("/v1/proxies/default", r#"{"backend": "db"}"#);
    assert!(!reply.body.contains("PATCH"), "{}", reply.body);
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let body = r#"{"backend": "localhost:1", "proxy": "127.0.0.1:0"}"#;
    for name in ["a%2Fb", "..", "%2E%2E", "%2e%2e%2fx", "a.b", "%20", "%C3%A4", &"x".repeat(65)] {
        let reply = api.put(&format!("/v1/proxies/{name}"), body);
        assert_eq!((reply.status, &reply.json()["errors"][0]["location"]), (400, &json!("path")), "{name}");
    }
    assert_eq!(api.put("/v1/proxies/a/b", body).status, 404);
    let reply = api.put("/v1/proxies/%FF", body);
    assert_eq!((reply.status, &reply.json()["errors"][0]["location"]), (400, &json!("path")));
    let unknown = wrong(404, "path", "name", "there is no proxy `x`, GET /v1/proxies lists them");
    assert_eq!(is(&api.get("/v1/proxies/x")), unknown);
    assert_eq!(is(&api.ask("POST", "/v1/proxies/x/reset", "", "")), unknown);
}

#[test]
fn a_bad_query_or_event_number_is_refused() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    for (path, name, description) in [
        ("/v1/events?since=x", "since", "`x` is not an event's number"),
        ("/v1/events?since=18446744073709551616", "since", "`18446744073709551616` is not an event's number"),
        ("/v1/events?follow=1", "follow", "`1` is not true or false"),
        ("/v1/events?since=1&since=2", "since", "`since` is given twice, give it once"),
        ("/v1/events?from=1", "from", "unknown parameter `from` (known: since, follow)"),
    ] {
        assert_eq!(is(&api.get(path)), wrong(400, "query", name, description), "{path}");
    }
    let reply = api.ask("GET", "/v1/events", "Last-Event-ID: -1\r\n", "");
    let what = "not an event's number: send the last `id:` that was read";
    assert_eq!(is(&reply), wrong(400, "header", "Last-Event-ID", what));
}

#[test]
fn a_wrong_method_or_path_is_told_what_is_right() {
    let program = start(&Backend::lines(), "");
    for (method, path, allow) in [
        ("POST", "/behavior", "GET,HEAD,PUT"),
        ("DELETE", "/backend", "GET,HEAD,PUT"),
        ("POST", "/v1/proxies/default", "GET,HEAD,PUT,PATCH,DELETE"),
        ("GET", "/v1/proxies/default/reset", "POST"),
        ("OPTIONS", "/metrics", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let reply = program.api().ask(method, path, "", "");
        let what = format!("{path} has no {method}, use {}", allow.replace(',', ", "));
        assert_eq!((is(&reply), reply.header("allow")), (wrong(405, "", "", &what), Some(allow)));
    }
    for path in ["//", "/v1", "/v2", "//behavior", "/behavior/", "/v1/proxies/"] {
        let what = format!("there is no {path}, see /v1/openapi.json");
        assert_eq!(is(&program.api().get(path)), wrong(404, "path", "", &what));
    }
}
