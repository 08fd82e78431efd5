//! Bodies, as Go reads them.

use serde_json::json;

use super::*;

#[test]
fn mistakes_in_bodies_have_the_texts_of_go() {
    let program = start();
    let api = program.toxiproxy();
    let bad = |why: &str| error(400, &format!("bad request body: {why}"));
    for (body, expected) in [
        ("", bad("EOF")),
        ("  ", bad("EOF")),
        ("{", bad("unexpected EOF")),
        ("{\"name\": \"a\"", bad("unexpected EOF")),
        ("name", bad("invalid character 'a' in literal null (expecting 'u')")),
        ("x=1", bad("invalid character 'x' looking for beginning of value")),
        ("[]", bad("json: cannot unmarshal array into Go value of type toxiproxy.Proxy")),
        ("{\"name\":1}", bad("json: cannot unmarshal number into Go struct field Proxy.name of type string")),
        ("{\"enabled\":\"yes\"}", bad("json: cannot unmarshal string into Go struct field Proxy.enabled of type bool")),
        ("{}", error(400, "missing required field: name")),
        ("null", error(400, "missing required field: name")),
        ("{\"upstream\":\"a:1\"}", error(400, "missing required field: name")),
        ("{\"name\":null,\"upstream\":\"a:1\"}", error(400, "missing required field: name")),
        ("{\"name\":\"a\"}", error(400, "missing required field: upstream")),
        ("{\"name\":\"a\",\"upstream\":\"\"}", error(400, "missing required field: upstream")),
        (
            "{\"name\":\"a\",\"upstream\":\"b:1\",\"listen\":\"local373\"}",
            error(500, "listen tcp: address local373: missing port in address"),
        ),
    ] {
        assert_eq!(is(&api.post_body("/proxies", body)), expected, "{body}");
    }
    assert_eq!(api.get("/proxies").body, "{}");
}

#[test]
fn keys_in_any_case_null_unknown_keys_repeated_keys_and_what_is_behind() {
    let (program, backend) = (start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address());
    let body = format!(
        "{{\"NAME\":\"x\",\"name\":\"a\",\"Listen\":\"localhost:0\",\"UPSTREAM\":\"{upstream}\",\"enabled\":null,\
         \"Logger\":{{}},\"unknown\":[1],\"toxics\":null}} and more"
    );
    let reply = api.post_body("/proxies", &body);
    assert_eq!(reply.status, 201, "{reply:?}");
    let proxy = reply.json();
    assert_eq!((&proxy["name"], &proxy["enabled"], &proxy["toxics"]), (&json!("a"), &json!(true), &json!([])));
}

#[test]
fn integers_are_integers() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    create(api, "a", backend.address());
    for (value, shown) in [
        ("1000.0", "number 1000.0"),
        ("1e3", "number 1e3"),
        ("\"1000\"", "string"),
        ("9223372036854775808", "number 9223372036854775808"),
        ("true", "bool"),
        ("{}", "object"),
    ] {
        let body = format!("{{\"type\":\"latency\",\"attributes\":{{\"latency\":{value}}}}}");
        let message = format!(
            "bad request body: json: cannot unmarshal {shown} into Go struct field LatencyToxic.attributes.latency of type int64"
        );
        assert_eq!(is(&api.post_body("/proxies/a/toxics", &body)), error(400, &message));
    }
    assert_eq!(api.get("/proxies/a/toxics").body, "[]");
}

#[test]
fn what_is_out_of_range_is_refused_or_clamped() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    for (toxic, why) in [
        (json!({ "type": "bandwidth", "attributes": { "rate": -1 } }), "rate: -1 is negative, write 0 or more"),
        (json!({ "type": "latency", "attributes": { "jitter": -5 } }), "jitter: -5 is negative, write 0 or more"),
        (
            json!({ "type": "corrupt", "attributes": { "probability": 0.5 } }),
            "`corrupt` needs `rate`, write `\"attributes\": {\"rate\": 0.01}`",
        ),
        (json!({ "type": "loss" }), "`loss` needs `rate`, write `\"attributes\": {\"rate\": 0.01}`"),
        (json!({ "type": "noop", "toxicity": 2.5 }), "toxicity 2.5 is not from 0 to 1"),
        (json!({ "type": "noop", "toxicity": -1 }), "toxicity -1 is not from 0 to 1"),
        (
            json!({ "type": "noop", "toxicity": "1" }),
            "json: cannot unmarshal string into Go struct field ToxicWrapper.toxicity of type float32",
        ),
    ] {
        let reply = ask(api, "POST", "/proxies/a/toxics", &toxic);
        assert_eq!(is(&reply), error(400, &format!("bad request body: {why}")), "{toxic}");
    }
    // These kill Toxiproxy.
    let most = i64::MAX;
    for (toxic, shown) in [
        (
            json!({ "type": "latency", "attributes": { "latency": most, "jitter": most } }),
            json!({ "latency": 31_536_000_000_u64, "jitter": 31_536_000_000_u64 }),
        ),
        (json!({ "type": "bandwidth", "attributes": { "rate": most } }), json!({ "rate": 1_099_511_627_u64 })),
        (
            json!({ "type": "slicer", "attributes": { "average_size": 0, "size_variation": 0 } }),
            json!({ "average_size": 0, "size_variation": 0, "delay": 0 }),
        ),
        (
            json!({ "type": "slicer", "stream": "upstream", "attributes": { "average_size": 1, "size_variation": 5 } }),
            json!({ "average_size": 1, "size_variation": 5, "delay": 0 }),
        ),
    ] {
        assert_eq!(add(api, "a", &toxic)["attributes"], shown);
    }
    assert_eq!(api.delete("/proxies/a/toxics/latency_downstream").status, 204);
    assert_passes(&mut Client::connect(address));
}
