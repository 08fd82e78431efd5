//! Faults of TLS that could never be seen are refused, wherever they are asked for.

use std::fs;

use serde_json::json;
use tempfile::TempDir;
use vaurien::Authority;

use super::world::program::assert_complains;
use super::world::{Api, File, Program};

const WITHOUT: &str = "`tls`: it needs TLS with clients, `tls.auto` or `tls.cert`";
const UNTRUSTED: &str = "`tls`: this fault needs `tls.auto`: clients have to trust who signs the certificate";
const ALONE: &str = "`delay+tls`: `tls` acts before there is a call, and stands alone";
const LOOKS: &str =
    "`GET => tls`: `tls` acts before there is a request: choose connections by `client=` and `connection=` alone";
const WAITS: &str = "`tls` acts before there is a request, and `GET => dummy` waits for one: give it a rule before that, \
                     `connection=1 => tls`";
const BEHIND: &str =
    "`=> tls`: `tls` acts before there is a request, and `GET => dummy` waits for one: move that rule behind";

/// A folder with a certificate and its key.
fn folder() -> TempDir {
    let (folder, own) = (tempfile::tempdir().unwrap(), Authority::generate());
    fs::write(folder.path().join("own.pem"), own.certificate_pem()).unwrap();
    fs::write(folder.path().join("own-key.pem"), own.key_pem()).unwrap();
    folder
}

/// With `@` in place of the folder.
fn within(folder: &TempDir, text: &str) -> String {
    text.replace('@', &format!("{}/", folder.path().display()))
}

#[test]
fn as_a_flag() {
    let folder = folder();
    let own = "--tls-cert @own.pem --tls-key @own-key.pem";
    let auto = "--protocol http --tls auto --tls-dir @tls";
    for (flags, place, why) in [
        ("--handler tls".to_owned(), "--handler", WITHOUT),
        ("--handler 10:tls(fault=old_version)".to_owned(), "--handler", WITHOUT),
        ("--rule =>tls".to_owned(), "--rule", &format!("`=> tls`: {WITHOUT}")),
        (format!("{own} --handler tls(fault=expired)"), "--handler", UNTRUSTED),
        (format!("{own} --handler tls(fault=wrong_name)"), "--handler", UNTRUSTED),
        (format!("{auto} --rule GET=>tls"), "--rule", LOOKS),
        (format!("{auto} --handler delay+tls"), "--handler", ALONE),
    ] {
        let flags = within(&folder, &format!("--proxy 127.0.0.1:0 --backend 127.0.0.1:9 {flags}"));
        assert_complains(&flags, 2, &[&format!("{place}: {why}")]);
    }
}

#[test]
fn in_the_file() {
    let folder = folder();
    let own = "tls = { cert = '@own.pem', key = '@own-key.pem' }";
    for (keys, line, why) in [
        ("handler = 'tls'".to_owned(), 3, format!("handler: {WITHOUT}")),
        (
            "rules = [\n  'connection=2 => dummy',\n  'connection=1 => tls',\n]".to_owned(),
            5,
            format!("`connection=1 => tls`: {WITHOUT}"),
        ),
        (format!("{own}\nhandler = 'tls'"), 4, format!("handler: {UNTRUSTED}")),
        ("tls.auto = true\nhandler = 'delay+tls'".to_owned(), 4, format!("handler: {ALONE}")),
        ("tls.auto = true\nhandler = 'tls'\nrules = ['GET => dummy']".to_owned(), 4, format!("handler: {WAITS}")),
        ("tls.auto = true\nrules = [\n  'GET => dummy',\n  '=> tls'\n]".to_owned(), 6, BEHIND.to_owned()),
    ] {
        let file = File::new(within(&folder, &format!("backend = '127.0.0.1:9'\nprotocol = 'http'\n{keys}\n")));
        let flags = within(&folder, &format!("--proxy 127.0.0.1:0 --tls-dir @tls --config {}", file.path().display()));
        assert_complains(&flags, 2, &[&format!("{}:{line}: {why}", file.path().display())]);
    }
}

/// Asserts that a change is refused, with this message at this place.
#[track_caller]
fn assert_refused(api: Api, method: &str, path: &str, body: &str, place: &str, why: &str) {
    let reply = match method {
        "PUT" => api.put(path, body),
        "PATCH" => api.patch(path, body),
        _ => api.post_body(path, body),
    };
    let errors = json!([{ "location": "body", "name": place, "description": why }]);
    assert_eq!((reply.status, &reply.json()["errors"]), (400, &errors), "{method} {path} {body}");
}

fn start(folder: &TempDir, options: &str) -> Program {
    let options = format!("--protocol http --http --http-port 0 --tls-dir @tls {options}");
    Program::start_at("127.0.0.1:9", &within(folder, &options))
}

#[test]
fn in_the_api() {
    let folder = folder();
    let vaurien = start(&folder, "");
    let (proxy, of_rule) = ("/v1/proxies/default", format!("`=> tls`: {WITHOUT}"));
    for (method, path, body, place, why) in [
        ("PATCH", proxy, r#"{"handler": "tls"}"#, "handler", WITHOUT),
        ("PATCH", proxy, r#"{"rules": ["=> tls"]}"#, "rules", &of_rule),
        ("PATCH", proxy, r#"{"handler": "delay+tls"}"#, "handler", ALONE),
        ("PUT", proxy, r#"{"backend": "127.0.0.1:9", "handler": "tls"}"#, "handler", WITHOUT),
        ("PUT", "/v1/proxies/new", r#"{"backend": "127.0.0.1:9", "handler": "tls"}"#, "handler", WITHOUT),
        ("POST", "/v1/proxies/default/rules", r#"{"rule": "=> tls"}"#, "rule", &of_rule),
        ("POST", "/v1/proxies/default/rules", r#"{"rule": "=> tls", "for": "1h"}"#, "rule", &of_rule),
        ("PUT", "/v1/proxies/default/rules/a", r#"{"rule": "=> tls"}"#, "rule", &format!("`name=a => tls`: {WITHOUT}")),
        ("PUT", "/behavior", r#"{"name": "tls"}"#, "name", WITHOUT),
    ] {
        assert_refused(vaurien.api(), method, path, body, place, why);
    }
    let own = within(&folder, r#"{"cert": "@own.pem", "key": "@own-key.pem"}"#);
    assert_refused(
        vaurien.api(),
        "PATCH",
        proxy,
        &format!(r#"{{"tls": {own}, "handler": "tls"}}"#),
        "handler",
        UNTRUSTED,
    );
}

#[test]
fn what_a_fault_needs_stays() {
    let folder = folder();
    let vaurien = start(&folder, "--tls auto --handler tls");
    let proxy = "/v1/proxies/default";
    let api = vaurien.api();
    assert_refused(api, "PATCH", proxy, r#"{"tls": null}"#, "handler", WITHOUT);
    let own = within(&folder, r#"{"tls": {"auto": false, "cert": "@own.pem", "key": "@own-key.pem"}}"#);
    assert_refused(api, "PATCH", proxy, &own, "handler", UNTRUSTED);
    // A rule in front of it that has to see the request.
    assert_refused(api, "POST", &format!("{proxy}/rules"), r#"{"rule": "GET => dummy"}"#, "handler", WAITS);
    assert_eq!(api.post_body(&format!("{proxy}/rules"), r#"{"rule": "connection=1 name=a => tls"}"#).status, 201);
    assert_eq!(api.patch(proxy, r#"{"handler": "dummy"}"#).status, 200);
    let before = r#"{"rule": "GET => dummy", "before": "first"}"#;
    let why = "`connection=1 name=a => tls`: `tls` acts before there is a request, and `GET => dummy` waits for one: move that rule \
               behind";
    assert_refused(api, "POST", &format!("{proxy}/rules"), before, "rule", why);
    assert_eq!(api.post_body(&format!("{proxy}/rules"), r#"{"rule": "GET => dummy"}"#).status, 201);
}
