//! One toxic.

use serde_json::json;

use super::*;

#[test]
fn a_toxic_from_its_creation_to_its_end() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    create(api, "a", backend.address());
    let reply = ask(api, "POST", "/proxies/a/toxics", &json!({ "type": "latency", "attributes": { "latency": 100 } }));
    let toxic = "{\"attributes\":{\"latency\":100,\"jitter\":0},\"name\":\"latency_downstream\",\"type\":\"latency\",\
                 \"stream\":\"downstream\",\"toxicity\":1}";
    assert_eq!((reply.status, reply.body.as_str()), (200, toxic));
    assert_eq!(api.get("/proxies/a/toxics/latency_downstream").body, toxic);
    assert_eq!(api.get("/proxies/a/toxics").body, format!("[{toxic}]"));
    assert_eq!(api.get("/proxies/a").json()["toxics"][0].to_string(), toxic);

    for method in ["POST", "PATCH"] {
        let change = json!({ "attributes": { "jitter": 7 }, "toxicity": 0.3, "name": "b", "type": "noop", "stream": "upstream" });
        let reply = ask(api, method, "/proxies/a/toxics/latency_downstream", &change);
        let changed = toxic.replace("\"jitter\":0", "\"jitter\":7").replace("toxicity\":1", "toxicity\":0.3");
        assert_eq!((reply.status, reply.body.as_str()), (200, changed.as_str()));
    }
    // Nothing of it is changed by half.
    let half = json!({ "attributes": { "latency": 5, "jitter": "x" } });
    assert_eq!(ask(api, "POST", "/proxies/a/toxics/latency_downstream", &half).status, 400);
    assert_eq!(
        api.get("/proxies/a/toxics/latency_downstream").json()["attributes"],
        json!({ "latency": 100, "jitter": 7 })
    );
    assert_eq!(is(&ask(api, "POST", "/proxies/a/toxics/none", &json!([]))), error(404, "toxic not found"));

    let reply = api.delete("/proxies/a/toxics/latency_downstream");
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    for reply in [
        api.delete("/proxies/a/toxics/latency_downstream"),
        api.get("/proxies/a/toxics/latency_downstream"),
        ask(api, "PATCH", "/proxies/a/toxics/latency_downstream", &json!({})),
    ] {
        assert_eq!(is(&reply), error(404, "toxic not found"));
    }
    for reply in [
        api.get("/proxies/none/toxics"),
        ask(api, "POST", "/proxies/none/toxics", &json!({})),
        api.get("/proxies/none/toxics/a"),
        ask(api, "POST", "/proxies/none/toxics/a", &json!({})),
        api.delete("/proxies/none/toxics/a"),
    ] {
        assert_eq!(is(&reply), error(404, "proxy not found"));
    }
}

#[test]
fn every_type_has_all_of_its_attributes() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    create(api, "a", backend.address());
    for (kind, attributes) in [
        ("latency", json!({ "latency": 0, "jitter": 0 })),
        ("bandwidth", json!({ "rate": 0 })),
        ("slow_close", json!({ "delay": 0 })),
        ("timeout", json!({ "timeout": 0 })),
        ("reset_peer", json!({ "timeout": 0 })),
        ("slicer", json!({ "average_size": 0, "size_variation": 0, "delay": 0 })),
        ("limit_data", json!({ "bytes": 0 })),
        ("noop", json!({})),
    ] {
        for given in
            [json!({ "type": kind }), json!({ "type": kind, "attributes": null, "stream": "upstream", "name": null })]
        {
            let toxic = add(api, "a", &given);
            let stream = given["stream"].as_str().unwrap_or("downstream");
            let name = format!("{kind}_{stream}");
            let expected = json!({
                "attributes": attributes, "name": name, "type": kind, "stream": stream, "toxicity": 1,
            });
            assert_eq!(toxic, expected);
        }
    }
}

#[test]
fn mistakes_are_told_in_their_order() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    create(api, "a", backend.address());
    let stream = error(400, "stream was invalid, can be either upstream or downstream");
    let wrong = json!({ "latency": "x" });
    for (toxic, expected) in [
        (json!({ "stream": "up", "type": "none" }), stream.clone()),
        (json!({ "stream": "", "type": "latency" }), stream),
        (json!({ "type": "none", "attributes": wrong }), error(400, "invalid toxic type")),
        (json!({}), error(400, "invalid toxic type")),
        (json!({ "type": "Latency" }), error(400, "invalid toxic type")),
        (json!({ "type": "packet_loss" }), error(400, "invalid toxic type")),
    ] {
        assert_eq!(is(&ask(api, "POST", "/proxies/a/toxics", &toxic)), expected, "{toxic}");
    }
    let reply = api.post_body("/proxies/a/toxics", "");
    assert_eq!(is(&reply), error(400, "bad request body: EOF"));
    add(api, "a", &json!({ "type": "latency", "name": "foobar", "stream": "upstream" }));
    // A name is one of the proxy, whatever the stream; and it is told before the attributes.
    let twice = json!({ "type": "latency", "name": "foobar", "attributes": wrong });
    assert_eq!(is(&ask(api, "POST", "/proxies/a/toxics", &twice)), error(409, "toxic already exists"));
    assert_eq!(api.get("/proxies/a/toxics").json().as_array().unwrap().len(), 1);
}

#[test]
fn streams_are_read_in_any_case_and_echoed() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    create(api, "a", backend.address());
    add(api, "a", &json!({ "type": "noop" }));
    let toxic = add(api, "a", &json!({ "type": "noop", "stream": "UPSTREAM" }));
    assert_eq!((&toxic["name"], &toxic["stream"]), (&json!("noop_UPSTREAM"), &json!("UPSTREAM")));
    add(api, "a", &json!({ "type": "latency", "stream": "upstream" }));
    add(api, "a", &json!({ "type": "latency" }));
    let toxics = api.get("/proxies/a/toxics").json();
    let names: Vec<_> = toxics.as_array().unwrap().iter().map(|toxic| toxic["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["noop_UPSTREAM", "latency_upstream", "noop_downstream", "latency_downstream"]);
    assert_eq!(api.get("/proxies/a/toxics/noop_UPSTREAM").json(), toxic);
}
