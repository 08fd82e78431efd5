//! Rules that the API adds, changes and removes one by one.

use serde_json::{Value, json};

use super::world::api::Reply;
use super::world::client::Ending;
use super::world::file::proxy;
use super::world::{Api, Backend, File, eventually};
use super::{pass, start};

const RULES: &str = "/v1/proxies/default/rules";

fn at(rule: &str) -> String {
    format!("{RULES}/{rule}")
}

/// The names and texts of a proxy's rules, in their order.
fn rules(api: Api, proxy: &str) -> Vec<(String, String)> {
    let rules = api.get(&format!("/v1/proxies/{proxy}/rules")).json()["rules"].take();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    rules.as_array().unwrap().iter().map(|rule| (text(rule, "name"), text(rule, "rule"))).collect()
}

#[track_caller]
fn assert_rules(api: Api, proxy: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned())).collect();
    assert_eq!(rules(api, proxy), expected);
}

/// The body of a reply with this status.
#[track_caller]
fn body(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.body);
    reply.json()
}

fn plans(api: Api) -> Vec<Value> {
    api.events().into_iter().filter(|event| event["event"] == "plan").map(|event| event["rules"].clone()).collect()
}

#[test]
fn a_rule_is_added_changed_moved_and_removed() {
    let program = start(&Backend::lines(), "redis", &["GET => error"], "");
    let (api, mut client) = (program.api(), program.connect());
    let status =
        |calls: u64| json!({ "calls": calls, "faults": calls, "excluded": 0, "times_left": null, "reverts_in": null });
    let first = json!({ "name": "rule-1", "rule": "GET => error", "status": status(0) });
    assert_eq!(body(&api.get(RULES), 200), json!({ "rules": [first] }));

    let added = api.post_body(RULES, r#"{"rule": "SET => error"}"#);
    assert_eq!(added.header("location"), Some("/v1/proxies/default/rules/rule-2"));
    let applied = json!({ "now": ["rules"], "new_connections": [] });
    let shown = json!({ "name": "rule-2", "rule": "SET => error", "status": status(0), "applied": applied });
    assert_eq!(body(&added, 201), shown);
    let table =
        r#"{"name": "kept", "match": {"command": "GET", "key": "kept"}, "handler": "dummy", "before": "first"}"#;
    body(&api.post_body(RULES, table), 201);
    assert_eq!(pass(&mut client, &["GET a", "GET kept", "SET a b"]), [false, true, false]);
    let kept = "command=GET key=kept name=kept => dummy";
    assert_rules(api, "default", &[("kept", kept), ("rule-1", "GET => error"), ("rule-2", "SET => error")]);
    let second = json!({ "name": "rule-2", "rule": "SET => error", "status": status(1) });
    assert_eq!(body(&api.get(&at("rule-2")), 200), second);

    let changed = body(&api.patch(&at("rule-1"), r#"{"times": 1, "match": {"key": "a*"}}"#), 200);
    assert_eq!(changed["rule"], "GET times=1 key=a* => error", "it keeps its name");
    assert_eq!(pass(&mut client, &["GET b", "GET a", "GET a"]), [true, false, true]);
    body(&api.patch(&at("rule-1"), r#"{"times": null, "name": "rule-1"}"#), 200);
    assert_eq!(pass(&mut client, &["GET a", "GET a"]), [false, false]);
    let replaced = body(&api.put(&at("rule-1"), r#"{"rule": "GET b => error"}"#), 200);
    assert_eq!((&replaced["name"], &replaced["rule"]), (&json!("rule-1"), &json!("GET b => error")));
    assert_eq!(pass(&mut client, &["GET a", "GET b"]), [true, false]);
    let shown = api.get(&at("rule-1")).body;
    assert_eq!(body(&api.put(&at("rule-1"), &shown), 200)["applied"]["now"], json!([]), "what GET answers can be PUT");
    let put = api.put(&at("pay"), r#"{"match": {"command": "DEL"}, "handler": "error", "before": "rule-2"}"#);
    assert_eq!(put.header("location"), Some("/v1/proxies/default/rules/pay"));
    body(&put, 201);
    let pay = "command=DEL name=pay => error";
    let b = "GET b => error";
    assert_rules(api, "default", &[("kept", kept), ("rule-1", b), ("pay", pay), ("rule-2", "SET => error")]);
    body(&api.patch(&at("rule-2"), r#"{"before": "kept"}"#), 200);
    assert_rules(api, "default", &[("rule-2", "SET => error"), ("kept", kept), ("rule-1", b), ("pay", pay)]);

    assert_eq!((api.delete(&at("rule-2")).status, api.delete(&at("kept")).status), (204, 204));
    assert_eq!(pass(&mut client, &["SET a b", "DEL a"]), [true, false]);
    assert_rules(api, "default", &[("rule-1", b), ("pay", pay)]);
    let named = body(&api.post_body(RULES, r#"{"rule": "SET => error", "before": "pay"}"#), 201);
    assert_eq!(named["name"], "rule-3", "the calls of `rule-2` were another rule's");
    assert_eq!(named["status"]["calls"], 0);
    assert_eq!(api.proxy("default")["rules"], json!([b, "SET => error", pay]));
}

#[test]
fn each_change_is_one_plan() {
    let program = start(&Backend::lines(), "redis", &["GET => error"], "");
    let api = program.api();
    let before = plans(api).len();
    body(&api.post_body(RULES, r#"{"rule": "SET => error", "before": "rule-1"}"#), 201);
    body(&api.patch(&at("rule-1"), r#"{"handler": "delay"}"#), 200);
    assert_eq!(api.delete(&at("rule-2")).status, 204);
    assert_eq!(api.post_body(RULES, r#"{"rule": "SET => eror"}"#).status, 400);
    let plans = plans(api).split_off(before);
    let expected = json!([["SET => error", "GET => error"], ["SET => error", "GET => delay"], ["GET => delay"]]);
    assert_eq!(json!(plans), expected);
}

#[test]
fn other_rules_go_on() {
    let program = start(&Backend::lines(), "redis", &["PING times=1 => error", "GET held => hang"], "");
    let (api, mut client, mut held) = (program.api(), program.connect(), program.connect());
    assert_eq!(pass(&mut client, &["PING"]), [false]);
    held.send("GET held\r\n");
    let holds = || {
        let connections = api.get("/v1/proxies/default/connections").json()["connections"].take();
        connections.as_array().unwrap().iter().any(|connection| connection["handler"] == "rule-2.hang")
    };
    eventually("it is held", holds);
    body(&api.post_body(RULES, r#"{"rule": "SET name=x => error", "before": "first"}"#), 201);
    body(&api.patch(&at("x"), r#"{"handler": "delay(sleep=1ms)"}"#), 200);
    body(&api.patch(&at("rule-2"), r#"{"before": "x"}"#), 200);
    assert_eq!(api.delete(&at("x")).status, 204);
    assert_eq!(pass(&mut client, &["PING"]), [true], "it has had its call");
    assert!(holds() && held.is_silent());
    body(&api.patch(&at("rule-2"), r#"{"handler": "error"}"#), 200);
    assert_eq!(held.ending(), Ending::Reset);
    body(&api.patch(&at("rule-1"), r#"{"times": 2}"#), 200);
    assert_eq!(pass(&mut client, &["PING", "PING", "PING"]), [false, false, true], "a changed rule starts afresh");
}

#[test]
fn what_came_for_a_time_is_taken_back_alone() {
    let program = start(&Backend::lines(), "redis", &["PING times=1 => error", "GET => error"], "");
    let (api, mut client) = (program.api(), program.connect());
    assert_eq!(pass(&mut client, &["PING"]), [false]);
    let added = body(&api.post_body(RULES, r#"{"rule": "SET => error", "before": "first", "for": "400ms"}"#), 201);
    let reverts_in = added["status"]["reverts_in"].as_f64().unwrap();
    assert!(reverts_in > 0.0 && reverts_in <= 0.4, "{reverts_in}");
    let changed = body(&api.patch(&at("rule-2"), r#"{"handler": "delay", "for": "500ms"}"#), 200);
    assert_eq!(changed["rule"], "GET => delay");
    let again = body(&api.patch(&at("rule-2"), r#"{"handler": "hang", "for": "500ms"}"#), 200);
    assert_eq!(again["rule"], "GET => hang");
    body(&api.post_body(RULES, r#"{"rule": "DEL => error"}"#), 201);
    assert_eq!(api.patch("/v1/proxies/default", r#"{"buffer": 100}"#).status, 200);
    eventually("both are as before", || {
        let rules = rules(api, "default");
        !rules.iter().any(|(_, rule)| rule.starts_with("SET") || rule.ends_with("hang"))
    });
    let expected = [("rule-1", "PING times=1 => error"), ("rule-2", "GET => error"), ("rule-4", "DEL => error")];
    assert_rules(api, "default", &expected);
    assert_eq!(api.get(&at("rule-2")).json()["status"]["reverts_in"], json!(null));
    assert_eq!(api.proxy("default")["buffer"], 100);
    assert_eq!(pass(&mut client, &["PING", "SET a b", "GET a", "DEL a"]), [true, true, false, false]);
}

#[test]
fn a_removed_rule_that_had_no_calls_leaves_nothing() {
    let program = start(&Backend::lines(), "redis", &["GET => error"], "");
    let (api, mut client) = (program.api(), program.connect());
    for _ in 0..3 {
        let added = body(&api.post_body(RULES, r#"{"rule": "SET => 50:error,50:delay"}"#), 201);
        assert_eq!(added["name"], "rule-2");
        assert_eq!(api.delete(&at("rule-2")).status, 204);
    }
    assert!(!api.get("/metrics").body.contains("rule-2"), "{}", api.get("/metrics").body);
    body(&api.post_body(RULES, r#"{"rule": "SET => error"}"#), 201);
    assert_eq!(pass(&mut client, &["SET a b"]), [false]);
    assert_eq!(api.delete(&at("rule-2")).status, 204);
    assert_eq!(api.proxy("default")["status"]["calls"]["rule-2.error"], 1, "it stays, and so does its name");
    assert_eq!(body(&api.post_body(RULES, r#"{"rule": "SET => error"}"#), 201)["name"], "rule-3");
}

#[test]
fn what_is_there_for_a_time_may_hide_other_rules() {
    let program = start(&Backend::lines(), "redis", &["GET a* name=pay => delay(sleep=1ms)"], "");
    let api = program.api();
    // An outage put first.
    body(&api.post_body(RULES, r#"{"rule": "=> error", "name": "out", "before": "first", "for": "300ms"}"#), 201);
    body(&api.post_body(RULES, r#"{"rule": "SET => error", "name": "set"}"#), 201);
    body(&api.patch("/v1/proxies/default", r#"{"buffer": 100}"#), 200);
    eventually("it is over", || api.get(&at("out")).status == 404);
    // What a rule is taken back to may be hidden meanwhile.
    body(&api.patch(&at("pay"), r#"{"rule": "DEL => error", "for": "200ms"}"#), 200);
    body(&api.post_body(RULES, r#"{"rule": "GET => miss", "name": "all", "before": "first", "for": "400ms"}"#), 201);
    eventually("both are over", || {
        let rules = rules(api, "default");
        rules.len() == 2 && rules[0].1 == "GET a* name=pay => delay(sleep=1ms)"
    });
    // To stay, it must not hide another that stays.
    let hides = api.post_body(RULES, r#"{"rule": "GET => miss", "before": "first"}"#);
    assert_eq!((hides.status, &hides.json()["errors"][0]["name"]), (400, &json!("rule")), "{}", hides.body);
    body(&api.patch(&at("pay"), r#"{"rule": "DEL => error", "for": "200ms"}"#), 200);
    body(&api.post_body(RULES, r#"{"rule": "GET => miss", "name": "all", "before": "first"}"#), 201);
    eventually("it is taken back", || rules(api, "default")[1].1 == "GET a* name=pay => delay(sleep=1ms)");
    body(&api.patch(&at("set"), r#"{"times": 3}"#), 200);
}

/// Waits for the end of the times of changes that were made before, and are no longer than 200 ms.
fn pass_time(api: Api) {
    body(&api.post_body(RULES, r#"{"rule": "CLOCK name=clock => error", "before": "first", "for": "200ms"}"#), 201);
    eventually("the time is over", || api.get(&at("clock")).status == 404);
}

#[test]
fn what_was_changed_in_between_is_not_taken_back() {
    let program = start(&Backend::lines(), "redis", &["GET => error"], "");
    let api = program.api();
    body(&api.post_body(RULES, r#"{"rule": "A name=a => error", "for": "200ms"}"#), 201);
    let stays = body(&api.patch(&at("a"), r#"{"times": 3}"#), 200);
    assert_eq!(stays["status"]["reverts_in"], json!(null));
    body(&api.patch(&at("rule-1"), r#"{"handler": "delay", "for": "200ms"}"#), 200);
    assert_eq!(api.delete(&at("rule-1")).status, 204);
    body(&api.post_body(RULES, r#"{"rule": "B name=b => error", "for": "200ms"}"#), 201);
    assert_eq!(api.delete(&at("b")).status, 204);
    body(&api.put(&at("b"), r#"{"rule": "B => error"}"#), 201);
    body(&api.post_body(RULES, r#"{"rule": "C name=c => error", "for": "200ms"}"#), 201);
    let list = json!({ "rules": ["A times=3 name=a => error", "B name=b => error", "C name=c => error"] });
    assert_eq!(api.patch("/v1/proxies/default", &list.to_string()).status, 200);
    pass_time(api);
    assert_eq!(api.proxy("default")["rules"], list["rules"]);

    body(&api.post_body(RULES, r#"{"rule": "D name=d => error", "for": "200ms"}"#), 201);
    assert_eq!(api.delete("/v1/proxies/default").status, 204);
    let backend = Backend::lines();
    let again = json!({ "proxy": "127.0.0.1:0", "backend": backend.address(), "protocol": "redis", "rules": ["D name=d => error"] });
    assert_eq!(api.put("/v1/proxies/default", &again.to_string()).status, 201);
    pass_time(api);
    assert_rules(api, "default", &[("d", "D name=d => error")]);
}

#[test]
fn a_temporary_change_of_the_proxy_goes_its_own_way() {
    let program = start(&Backend::lines(), "redis", &["GET => error"], "");
    let api = program.api();
    let proxy = || api.proxy("default");
    let patch = |keys: &str| assert_eq!(api.patch("/v1/proxies/default", keys).status, 200);
    patch(r#"{"handler": "hang", "for": "300ms"}"#);
    body(&api.post_body(RULES, r#"{"rule": "SET => error"}"#), 201);
    assert_eq!(proxy()["handler"], "hang");
    assert!(proxy()["status"]["reverts_in"].as_f64().unwrap() > 0.0);
    eventually("the handler is as before", || proxy()["handler"] == "dummy");
    assert_rules(api, "default", &[("rule-1", "GET => error"), ("rule-2", "SET => error")]);

    // The list that comes back has what was changed meanwhile, and not what was there for a time.
    body(&api.post_body(RULES, r#"{"rule": "PING name=ping => error", "for": "200ms"}"#), 201);
    patch(r#"{"rules": ["X name=x => error"], "for": "600ms"}"#);
    body(&api.post_body(RULES, r#"{"rule": "DEL => error", "before": "x"}"#), 201);
    assert_rules(api, "default", &[("rule-3", "DEL => error"), ("x", "X name=x => error")]);
    eventually("the rules are as before", || proxy()["status"]["reverts_in"] == json!(null));
    let expected = [("rule-1", "GET => error"), ("rule-2", "SET => error"), ("rule-3", "DEL => error")];
    assert_rules(api, "default", &expected);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_told_with_its_place() {
    let program = start(&Backend::lines(), "redis", &["GET => error", "SET name=writes => error"], "");
    let api = program.api();
    let known = "(there are: rule-1, writes)";
    for (method, path, request, status, location, name, what) in [
        (
            "GET",
            "/v1/proxies/x/rules",
            "",
            404,
            "path",
            "name",
            "there is no proxy `x`, GET /v1/proxies lists them".into(),
        ),
        (
            "POST",
            "/v1/proxies/x/rules",
            "{}",
            404,
            "path",
            "name",
            "there is no proxy `x`, GET /v1/proxies lists them".into(),
        ),
        (
            "DELETE",
            "/v1/proxies/x/rules/a",
            "",
            404,
            "path",
            "name",
            "there is no proxy `x`, GET /v1/proxies lists them".into(),
        ),
        ("GET", &at("pay"), "", 404, "path", "rule", format!("`default` has no rule `pay` {known}")),
        ("PATCH", &at("pay"), "{}", 404, "path", "rule", format!("`default` has no rule `pay` {known}")),
        ("DELETE", &at("pay"), "", 404, "path", "rule", format!("`default` has no rule `pay` {known}")),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL name=writes => error"}"#,
            409,
            "body",
            "name",
            "`SET name=writes => error` has the name `writes` already: give another, or remove it first".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "name": "rule-1"}"#,
            409,
            "body",
            "name",
            "`GET => error` has the name `rule-1` already: give another, or remove it first".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "name": "default"}"#,
            400,
            "body",
            "rule",
            "`DEL name=default => error`: a proxy is named `default` as well, write `name=…` with another".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "name": "a b"}"#,
            400,
            "body",
            "name",
            "invalid name `a b`: write 1 to 64 letters, digits, `_` and `-`".into(),
        ),
        (
            "PUT",
            &at("a.b"),
            r#"{"rule": "DEL => error"}"#,
            400,
            "path",
            "rule",
            "invalid name `a.b`: write 1 to 64 letters, digits, `_` and `-`".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "before": "pay"}"#,
            400,
            "body",
            "before",
            "there is no other rule `pay`, write `first`, `rule-1`, `writes`, or leave it out for the last place"
                .into(),
        ),
        (
            "PATCH",
            &at("writes"),
            r#"{"before": "first", "for": "1s"}"#,
            400,
            "body",
            "before",
            "a rule that is there cannot be moved for a time, leave out `before` or `for`".into(),
        ),
        (
            "POST",
            RULES,
            "{}",
            400,
            "body",
            "rule",
            "the rule is missing, write `\"rule\": \"GET /pay* => error\"`, or a table".into(),
        ),
        ("POST", RULES, r#"{"rule": 5}"#, 400, "body", "rule", "`5` is no text, write `\"GET /pay* => error\"`".into()),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "times": 3}"#,
            400,
            "body",
            "times",
            "`times` belongs into the text of `rule`, or write a table without `rule`".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "DEL => error", "for": 0}"#,
            400,
            "body",
            "for",
            "`0` would end at once, give more than 0".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "GET a => error"}"#,
            400,
            "body",
            "rule",
            "`GET a => error` is never reached: `GET => error` takes all of its calls, move this rule before it".into(),
        ),
        (
            "PUT",
            &at("writes"),
            r#"{"rule": "SET header.x=1 => error"}"#,
            400,
            "body",
            "rule",
            "`SET header.x=1 name=writes => error`: `header.x` needs protocol http, this proxy has redis".into(),
        ),
        (
            "PUT",
            &at("writes"),
            r#"{"rule": "SET name=reads => error"}"#,
            400,
            "body",
            "name",
            "the path says `writes`, and a rule cannot be renamed: leave `name` out".into(),
        ),
        (
            "PATCH",
            &at("writes"),
            r#"{"name": "reads"}"#,
            400,
            "body",
            "name",
            "the path says `writes`, and a rule cannot be renamed: leave `name` out".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"rule": "SET name=a => error", "name": "b"}"#,
            400,
            "body",
            "name",
            "the text has the name `a`, write it in one place".into(),
        ),
        (
            "PATCH",
            &at("writes"),
            r#"{"times": 0}"#,
            400,
            "body",
            "times",
            "`times=0`: write a whole number, 1 or more".into(),
        ),
        (
            "PATCH",
            &at("writes"),
            r#"{"handler": null}"#,
            400,
            "body",
            "handler",
            "a rule needs a `handler`, write another one".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"match": {"client": "x"}, "handler": "error"}"#,
            400,
            "body",
            "match.client",
            "`x` is no network, write `10.0.0.0/8` or an IP address".into(),
        ),
        (
            "POST",
            RULES,
            r#"{"match": {"command": "DEL"}}"#,
            400,
            "body",
            "handler",
            "the rule has no `handler`, write `handler = \"error\"`".into(),
        ),
    ] {
        let reply = api.ask(method, path, "", request);
        let error: Value = json!({ "location": location, "name": name, "description": what });
        let expected = json!({ "status": "error", "errors": [error] });
        assert_eq!((reply.status, reply.json()), (status, expected), "{method} {path} {request}");
    }
    let several = r#"{"match": {"client": "x", "comand": "DEL"}, "times": 0, "handler": "eror"}"#;
    let wrong = body(&api.post_body(RULES, several), 400)["errors"].take();
    let mut names: Vec<_> = wrong.as_array().unwrap().iter().map(|error| error["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["handler", "match.client", "match.comand", "times"]);
    assert_rules(api, "default", &[("rule-1", "GET => error"), ("writes", "SET name=writes => error")]);
    api.delete(&at("rule-1"));
    api.delete(&at("writes"));
    let none = "`default` has no rule `writes`, it has none";
    assert_eq!(api.get(&at("writes")).json()["errors"][0]["description"], none);
    assert_eq!(api.proxy("default")["rules"], json!([]));
}

#[test]
fn a_reload_drops_what_the_api_has_added() {
    let backend = Backend::lines();
    let text = |name: &str, rules: &str| proxy(name, &backend, &format!("rules = [{rules}]"));
    let cache = text("cache", "'PING times=1 => error', 'GET held => hang', 'SET name=writes => error'");
    let file = File::new(&cache);
    let mut program = file.start("");
    let api = program.api();
    let own = json!({ "proxy": "127.0.0.1:0", "backend": backend.address(), "protocol": "redis" });
    assert_eq!(api.put("/v1/proxies/own", &own.to_string()).status, 201);
    body(&api.post_body("/v1/proxies/own/rules", r#"{"rule": "GET => error"}"#), 201);
    let (mut client, mut held) = (api.client("cache"), api.client("cache"));
    assert_eq!(pass(&mut client, &["PING"]), [false]);
    held.send("GET held\r\n");
    let holds = || {
        let connections = api.get("/v1/proxies/cache/connections").json()["connections"].take();
        connections.as_array().unwrap().iter().any(|connection| connection["handler"] == "rule-2.hang")
    };
    eventually("it is held", holds);

    let rules = "/v1/proxies/cache/rules";
    body(&api.post_body(rules, r#"{"rule": "DEL => error", "before": "first"}"#), 201);
    body(&api.post_body(rules, r#"{"rule": "TYPE name=type => error", "for": "1h"}"#), 201);
    body(&api.patch(&format!("{rules}/writes"), r#"{"handler": "reset", "for": "1h"}"#), 200);
    program.signal("HUP");
    program.line("reloaded");
    let of_the_file =
        [("rule-1", "PING times=1 => error"), ("rule-2", "GET held => hang"), ("writes", "SET name=writes => error")];
    assert_rules(api, "cache", &of_the_file);
    assert_eq!(api.get(&format!("{rules}/writes")).json()["status"]["reverts_in"], json!(null));
    assert_eq!(pass(&mut client, &["PING", "SET a b", "DEL a", "TYPE a"]), [true, false, true, true]);
    assert!(holds() && held.is_silent());
    assert_rules(api, "own", &[("rule-1", "GET => error")]);

    assert_eq!(api.delete(&format!("{rules}/rule-1")).status, 204);
    program.signal("HUP");
    program.line("reloaded");
    assert_rules(api, "cache", &of_the_file);
    assert_eq!(pass(&mut client, &["PING", "PING"]), [false, true], "it is new");
}

#[test]
fn a_status_tells_how_many_calls_are_left() {
    let rules = ["GET after=1 times=2 name=reads => error", "SET times=1 per=connection name=writes => error"];
    let program = start(&Backend::lines(), "redis", &rules, "");
    let (api, mut client) = (program.api(), program.connect());
    let status = |rule: &str| {
        let status = api.get(&format!("/v1/proxies/default/rules/{rule}")).json()["status"].clone();
        json!([status["calls"], status["excluded"], status["times_left"]])
    };
    assert_eq!(status("reads"), json!([0, 0, 2]));
    assert_eq!(pass(&mut client, &["GET a", "GET b"]), [true, false]);
    assert_eq!(status("reads"), json!([1, 1, 1]));
    assert_eq!(pass(&mut client, &["GET a", "GET b", "SET a", "SET b"]), [false, true, false, true]);
    assert_eq!((status("reads"), status("writes")), (json!([2, 2, 0]), json!([1, 1, null])));
    // Another number of times is another text: the rule starts afresh, and its name keeps its calls.
    assert_eq!(api.patch("/v1/proxies/default/rules/reads", r#"{"times": 5}"#).status, 200);
    assert_eq!(status("reads"), json!([2, 0, 5]));
    // It starts afresh once more when that is taken back.
    assert_eq!(pass(&mut client, &["GET a", "GET b"]), [true, false]);
    assert_eq!(api.patch("/v1/proxies/default/rules/reads", r#"{"times": 9, "for": "50ms"}"#).status, 200);
    eventually("the change is taken back", || status("reads") == json!([3, 0, 5]));
}
