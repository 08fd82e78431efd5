//! The original vaurien's contract, row by row.

use serde_json::json;

use super::world::Backend;
use super::{is, start, wrong};

#[test]
fn the_old_contract_is_kept_to_the_letter() {
    let backend = Backend::lines();
    let program = start(&backend, "");
    let api = program.api();
    let same = |path: &str, body: &str| {
        let reply = api.get(path);
        assert_eq!(
            (reply.status, reply.body.as_str(), reply.header("content-type")),
            (200, body, Some(JSON)),
            "{path}"
        );
    };
    same("/behavior", r#"{"behavior":"dummy"}"#);
    same("/handler", r#"{"handler":"dummy"}"#);
    same(
        "/behaviors",
        r#"{"behaviors":["abort","blackout","corrupt","cut","delay","dummy","error","goaway","hang","miss","reply","reset","slow","tls","transient"]}"#,
    );
    same(
        "/handlers",
        r#"{"handlers":["abort","blackout","corrupt","cut","delay","dummy","error","goaway","hang","miss","reply","reset","slow","tls","transient"]}"#,
    );
    same("/backend", &format!(r#"{{"backend":"{}"}}"#, backend.address()));

    let put = |path: &str, body: &str| {
        let reply = api.put(path, body);
        assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ok"}"#), "{path} {body}");
    };
    put("/behavior", r#"{"name": "delay", "sleep": 2}"#);
    same("/behavior", r#"{"behavior":"delay"}"#);
    assert_eq!(api.get("/v1/proxies/default").json()["handlers"], json!({ "delay": { "sleep": 2, "before": true } }));
    // The others have their defaults.
    put("/handler", r#"{"name": "delay", "before": false}"#);
    same("/handler", r#"{"handler":"delay"}"#);
    assert_eq!(api.get("/v1/proxies/default").json()["handlers"], json!({ "delay": { "sleep": 1, "before": false } }));
    put("/behavior", r#"{"name": "20:delay,5:error", "options": {"delay": {"sleep": 2}}}"#);
    same("/behavior", r#"{"behavior":"20:delay,5:error"}"#);
    put("/behavior", r#"{"name": "dummy"}"#);

    let other = Backend::new(|mut stream| std::io::Write::write_all(&mut stream, b"$-1\r\n").unwrap());
    put("/backend", &format!(r#"{{"backend": "{}"}}"#, other.address()));
    same("/backend", &format!(r#"{{"backend":"{}"}}"#, other.address()));
    assert_eq!(backend.connections(), 0);
    program.connect().send("get a\r\n").expect("$-1\r\n");
}

const JSON: &str = "application/json";

#[test]
fn the_content_type_does_not_matter() {
    let program = start(&Backend::lines(), "");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let reply = program.api().ask("PUT", "/behavior", kind, r#"{"name": "hang"}"#);
        assert_eq!(is(&reply), (200, json!({ "status": "ok" })), "{kind}");
        let reply = program.api().ask("PATCH", "/v1/proxies/default", kind, r#"{"handler": "dummy"}"#);
        assert_eq!((reply.status, &reply.json()["handler"]), (200, &json!("dummy")), "{kind}");
    }
}

#[test]
fn what_is_wrong_is_said_in_the_contracts_words() {
    let program = start(&Backend::lines(), "");
    let no_json = "the value is not a valid json object";
    let no_name = r#"the value should contain a "name" key"#;
    for (body, name, description) in [
        ("", "", no_json),
        ("name=delay", "", no_json),
        (r#"{"name": "delay""#, "", no_json),
        ("[]", "", no_json),
        ("null", "", no_json),
        ("{}", "", no_name),
        (r#"{"sleep": 1}"#, "", no_name),
        (r#"{"name": "x"}"#, "name", "the 'x' behavior does not exist"),
        (r#"{"name": null}"#, "name", r#"`null` is no behavior, write `"delay"` or `"20:delay,5:error"`"#),
        (r#"{"name": ["delay"]}"#, "name", r#"`["delay"]` is no behavior, write `"delay"` or `"20:delay,5:error"`"#),
        (r#"{"name": "20:delay,5:x"}"#, "name", "the 'x' behavior does not exist"),
        (r#"{"name": "delay", "slep": 1}"#, "slep", "unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?"),
        (r#"{"name": "delay", "sleep": []}"#, "sleep", "`[]` is not a number of seconds"),
        (
            r#"{"name": "error", "warmup": 18446744073709551616}"#,
            "warmup",
            "`1.8446744073709552e+19` is not a whole number of calls, 0 or more",
        ),
    ] {
        assert_eq!(is(&program.api().put("/behavior", body)), wrong(400, "body", name, description), "{body}");
    }
    let unknown = program.api().put("/handler", r#"{"name": "x"}"#);
    assert_eq!(
        unknown.body,
        r#"{"status":"error","errors":[{"location":"body","name":"name","description":"the 'x' handler does not exist"}]}"#
    );
    assert_eq!(is(&program.api().get("/behavior")), (200, json!({ "behavior": "dummy" })), "nothing has changed");
}

#[test]
fn users_own_names_are_told_apart_in_a_mix() {
    let program = start(&Backend::lines(), "");
    let reply = program.api().put("/behavior", r#"{"name": "20:x,5:delay,5:y"}"#);
    let error = |name| json!({ "location": "body", "name": "name", "description": format!("the '{name}' behavior does not exist") });
    assert_eq!(is(&reply), (400, json!({ "status": "error", "errors": [error("x"), error("y")] })));
}
