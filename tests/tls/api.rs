//! TLS in the API.

use std::fs;

use serde_json::{Value, json};

use super::pki::{TlsClient, shows};
use super::{Api, Backend, Pki, Program, http};

const CALL: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn start(pki: &Pki, backend: &Backend) -> Program {
    Program::start(backend, &pki.named("--protocol http --http --http-port 0 --tls-dir @tls"))
}

/// Changes the proxy, and returns what applies to new connections.
#[track_caller]
fn patch(api: Api, body: &Value) -> Value {
    let reply = api.patch("/v1/proxies/default", &body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["applied"]["new_connections"].clone()
}

/// What GET shows can be PUT, and changes nothing.
#[track_caller]
fn put_what_is_shown(api: Api) {
    let reply = api.put("/v1/proxies/default", &api.proxy("default").to_string());
    assert_eq!((reply.status, &reply.json()["applied"]["new_connections"]), (200, &json!([])), "{}", reply.body);
}

/// The errors of a change, each with its name.
#[track_caller]
fn refused(api: Api, body: &Value) -> Vec<(String, String)> {
    let reply = api.patch("/v1/proxies/default", &body.to_string());
    assert_eq!(reply.status, 400, "{}", reply.body);
    let text = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
    let errors = reply.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| (text(error, "name"), text(error, "description"))).collect()
}

#[test]
fn tls_is_turned_on_and_off() {
    let (pki, backend) = (Pki::new(), http("a"));
    let vaurien = start(&pki, &backend);
    let api = vaurien.api();
    let off = json!({ "auto": false, "cert": null, "key": null });
    assert_eq!(api.proxy("default")["tls"], off);
    let none = json!({ "enabled": false, "ca": null, "name": null, "cert": null, "key": null, "insecure": false });
    assert_eq!(api.proxy("default")["backend_tls"], none);

    assert_eq!(patch(api, &json!({ "tls": { "auto": true } })), json!(["tls"]));
    assert_eq!(TlsClient::connect(vaurien.address()).call(), "a");
    assert!(pki.path("tls/ca.pem").exists());
    assert_eq!(api.proxy("default")["tls"], json!({ "auto": true, "cert": null, "key": null }));
    put_what_is_shown(api);
    // The same again is no change.
    assert_eq!(patch(api, &json!({ "tls": { "auto": true } })), json!([]));

    pki.write("own");
    let own = json!({ "auto": null, "cert": pki.path("cert.pem"), "key": pki.path("key.pem") });
    assert_eq!(patch(api, &json!({ "tls": own })), json!(["tls"]));
    assert!(shows(vaurien.address(), "own"));
    put_what_is_shown(api);

    for none in [json!({ "tls": null }), json!({ "tls": { "cert": null, "key": null } })] {
        patch(api, &json!({ "tls": own }));
        assert_eq!(patch(api, &none), json!(["tls"]));
        assert_eq!(api.proxy("default")["tls"], off);
        vaurien.connect().send(CALL).read_until("a");
    }
}

#[test]
fn any_key_turns_on_tls_towards_the_backend() {
    let (pki, backend) = (Pki::new(), http("a"));
    let (vaurien, other) = (start(&pki, &backend), pki.backend("behind"));
    let api = vaurien.api();
    let address = format!("localhost:{}", other.address().port());
    let change = json!({ "backend": address, "backend_tls": { "ca": pki.path("ca.pem") } });
    assert_eq!(patch(api, &change), json!(["backend", "backend_tls"]));
    assert_eq!(api.proxy("default")["backend_tls"]["enabled"], true);
    vaurien.connect().send(CALL).read_until("behind");
    assert_eq!(patch(api, &json!({ "backend_tls": { "enabled": false } })), json!(["backend_tls"]));
    assert_eq!(api.proxy("default")["backend_tls"]["ca"], json!(pki.path("ca.pem")));
    patch(api, &json!({ "backend_tls": null }));
    assert_eq!(api.proxy("default")["backend_tls"]["ca"], Value::Null);
}

#[test]
fn mistakes_name_their_keys() {
    let (pki, backend) = (Pki::new(), http("a"));
    let vaurien = start(&pki, &backend);
    let api = vaurien.api();
    let absent = pki.path("absent.pem");
    let cannot_read = format!("cannot read `{}`: no such file or directory", absent.display());
    let wrong = |name: &str, what: &str| (name.to_owned(), what.to_owned());
    assert_eq!(
        refused(api, &json!({ "tls": { "cert": absent, "key": absent }, "backend_tls": { "ca": absent } })),
        [wrong("tls.cert", &cannot_read), wrong("tls.key", &cannot_read), wrong("backend_tls.ca", &cannot_read)]
    );
    assert_eq!(
        refused(api, &json!({ "tls": true, "backend_tls": 5 })),
        [
            wrong("tls", "`tls` is `true`, and has options of its own: `{\"auto\": true}`"),
            wrong("backend_tls", "`backend_tls` is `5`, and has options of its own: `{\"enabled\": true}`"),
        ]
    );
    assert_eq!(
        refused(api, &json!({ "tls": { "cert": "a.pem" } })),
        [wrong("tls.cert", "its private key is missing, give `tls.key`")]
    );
    assert_eq!(
        refused(api, &json!({ "backend": "https://a/b" })),
        [wrong("backend", "`https://a/b` is a URL, write `a:443` with `backend_tls.enabled`")]
    );
    let [(place, what)] = &refused(api, &json!({ "handler": "tls" }))[..] else { panic!("one mistake") };
    assert!(place == "handler" && what.contains("`tls.auto`"), "{place}: {what}");
    assert_eq!(patch(api, &json!({ "handler": "tls", "tls": { "auto": true } })), json!(["tls"]));
}

#[test]
fn a_change_of_other_keys_reads_no_certificate() {
    let (pki, backend) = (Pki::new(), http("a"));
    let vaurien = start(&pki, &backend);
    let api = vaurien.api();
    pki.write("own");
    let own = json!({ "tls": { "cert": pki.path("cert.pem"), "key": pki.path("key.pem") } });
    patch(api, &own);
    fs::write(pki.path("key.pem"), "").unwrap();
    // What is being renewed does not get in the way of other changes.
    patch(api, &json!({ "handler": "delay(sleep=1ms)", "rules": ["GET /x => dummy"] }));
    let rule = api.post_body("/v1/proxies/default/rules", r#"{"rule": "GET /y => dummy"}"#);
    assert_eq!(rule.status, 201, "{}", rule.body);
    assert_eq!(api.put("/behavior", r#"{"name": "dummy", "for": "1h"}"#).status, 200);
    assert!(shows(vaurien.address(), "own"));
    let [(place, _)] = &refused(api, &own)[..] else { panic!("one mistake") };
    assert_eq!(place, "tls.key");
    assert!(shows(vaurien.address(), "own"));
    pki.write("renewed");
    assert_eq!(patch(api, &own), json!(["tls"]));
    assert!(shows(vaurien.address(), "renewed"));
}
