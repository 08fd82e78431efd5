//! The same proxies in our own API.

use serde_json::json;

use super::world::client::Ending;
use super::*;

#[test]
fn a_proxy_of_a_toxiproxy_client_gets_rules_and_handlers() {
    let backend = Backend::lines();
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    let (theirs, ours) = (program.toxiproxy(), program.api());
    let address = create(theirs, "my redis:6379", backend.address());
    let path = "/v1/proxies/my%20redis%3A6379";
    let proxy = ours.get(path).json();
    assert_eq!(proxy["backend"], json!(backend.address().to_string()));
    let reply = ours.patch(path, "{\"protocol\":\"redis\",\"rules\":[\"GET => error\"]}");
    assert_eq!(reply.status, 200, "{reply:?}");
    let toxic = ours.ask("POST", &format!("{path}/toxics"), "", "{\"toxic\":\"latency(latency=5ms)\"}");
    assert_eq!(toxic.status, 201, "{toxic:?}");
    assert_eq!(toxic.header("location"), Some("/v1/proxies/my%20redis%3A6379/toxics/latency%5Fdownstream"));
    let rule = ours.ask("POST", &format!("{path}/rules"), "", "{\"rule\":\"name=pay SET => dummy\"}");
    assert_eq!(rule.status, 201, "{rule:?}");
    assert_eq!(rule.header("location"), Some("/v1/proxies/my%20redis%3A6379/rules/pay"));
    Client::connect(address).send("SET a b\r\n").expect("+SET a b\r\n").send("GET a\r\n").read_until("\r\n");
    assert_eq!(ours.get(path).json()["status"]["faults"]["rule-1.error"], json!(1));
    let toxics = theirs.get("/proxies/my%20redis:6379").json()["toxics"].clone();
    assert_eq!(toxics[0]["attributes"], json!({ "latency": 5, "jitter": 0 }));

    // Disabling and enabling keeps what our own API has given it.
    for enabled in [false, true] {
        ask(theirs, "POST", "/proxies/my%20redis:6379", &json!({ "enabled": enabled }));
    }
    let after = ours.get(path).json();
    assert_eq!((after["rules"].as_array().unwrap().len(), &after["enabled"]), (2, &json!(true)));
    assert!(ours.get("/metrics").body.contains("my redis:6379"));
    assert_eq!(ours.delete(path).status, 204);
    assert_eq!(theirs.get("/proxies").body, "{}");
}

#[test]
fn our_own_proxies_are_seen_and_changed_by_toxiproxys_clients() {
    let backend = Backend::echo();
    let program = Program::start(&backend, "--toxiproxy localhost:0 --http --http-port 0");
    let (theirs, ours) = (program.toxiproxy(), program.api());
    let proxy = theirs.get("/proxies/default").json();
    assert_eq!(proxy["listen"], json!(program.address().to_string()));
    assert_eq!(proxy["upstream"], json!(backend.address().to_string()));
    add(theirs, "default", &json!({ "type": "bandwidth", "attributes": { "rate": 5 } }));
    assert_eq!(ours.proxy("default")["toxics"], json!(["bandwidth(rate=5KB/s)"]));
    ask(theirs, "POST", "/proxies/default", &json!({ "enabled": false }));
    assert_eq!(ours.proxy("default")["enabled"], json!(false));
    let loss = ours.ask("POST", "/v1/proxies/default/toxics", "", "{\"toxic\":\"loss(rate=0.1)\"}");
    assert_eq!(loss.status, 201, "{loss:?}");
    let shown = theirs.get("/proxies/default/toxics/loss_downstream").json();
    assert_eq!(shown["attributes"], json!({ "rate": 0.1, "correlation": 0, "rto": 200 }));
}

#[test]
fn names_of_our_own_keep_their_rule() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    let reply = program.api().put("/v1/proxies/my%20redis", "{\"backend\":\"a:1\"}");
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[test]
fn an_upstream_that_is_no_address_can_be_replaced() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    let (theirs, ours) = (program.toxiproxy(), program.api());
    let body = json!({ "name": "a", "listen": "localhost:0", "upstream": "http://a" });
    assert_eq!(ask(theirs, "POST", "/proxies", &body).status, 201);
    assert_eq!(ours.proxy("a")["backend"], json!("http://a"));
    assert_eq!(ours.patch("/v1/proxies/a", "{\"handler\":\"delay\"}").status, 400);
    assert_eq!(ours.patch("/v1/proxies/a", "{\"backend\":\"b:1\"}").status, 200);
    assert_eq!(theirs.get("/proxies/a").json()["upstream"], json!("b:1"));
}

/// Whether all of several clients read an end of file: one that is reset may see that from `connect` on.
#[track_caller]
fn assert_closes(address: SocketAddr, what: &str) {
    for _ in 0..20 {
        assert_eq!(Client::connect(address).ending(), Ending::Closed, "{what}");
    }
}

#[test]
fn an_upstream_that_cannot_be_reached_closes_the_client_and_a_backend_resets_it() {
    let nobody = Backend::nobody();
    let program = Program::start(&nobody, "--toxiproxy localhost:0 --http --http-port 0");
    let (theirs, ours) = (program.toxiproxy(), program.api());
    assert_eq!(program.connect().ending(), Ending::Reset);
    let address = create(theirs, "a", nobody.address());
    assert_closes(address, "as it was made");
    // What a client has sent does not make a reset of it.
    let (bytes, ending) = Client::connect(address).send_while_reading(&vec![b'x'; 100_000]);
    assert_eq!((bytes.len(), ending), (0, Ending::Closed));
    // It stays so whatever our own API changes.
    assert_eq!(ours.patch("/v1/proxies/a", "{\"handler\":\"1:delay\"}").status, 200);
    assert_closes(address, "PATCH");
    let put = json!({ "proxy": address.to_string(), "backend": nobody.address().to_string(), "keep_alive": true });
    assert_eq!(ours.put("/v1/proxies/a", &put.to_string()).status, 200);
    assert_closes(address, "PUT");
    assert_eq!(ours.post_body("/v1/proxies/a/rules", "{\"rule\":\"connection=1 => delay\"}").status, 201);
    assert_closes(address, "a rule");
    assert_eq!(ours.post("/v1/proxies/a/reset").status, 200);
    assert_closes(address, "reset");
    let other = Backend::nobody();
    assert_eq!(ask(theirs, "POST", "/proxies/a", &json!({ "upstream": other.address().to_string() })).status, 200);
    assert_closes(address, "another upstream");
    // And one of our own stays one.
    let other = json!({ "upstream": other.address().to_string() });
    assert_eq!(ask(theirs, "POST", "/proxies/default", &other).status, 200);
    assert_eq!(program.connect().ending(), Ending::Reset);
}

#[test]
fn the_name_of_a_toxic_is_said_once() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    create(program.toxiproxy(), "a", Backend::nobody().address());
    let ours = program.api();
    let told = |reply: &Reply| (reply.status, reply.json()["errors"][0]["description"].clone());
    let reply = ours.post_body("/v1/proxies/a/toxics", "{\"toxic\":\"a=noop\",\"name\":\"b\"}");
    assert_eq!(told(&reply), (400, json!("`name` belongs into the text of `toxic`, or leave `toxic` out")));
    let reply = ours.put("/v1/proxies/a/toxics/b", "{\"toxic\":\"a=noop\"}");
    assert_eq!(told(&reply), (400, json!("the path says `b`: leave `a=` out of the text")));
    for (path, body) in [
        ("a", "{\"toxic\":\"a=noop\",\"name\":\"a\"}"),
        ("b", "{\"toxic\":\"noop\"}"),
        ("noop_downstream", "{\"toxic\":\"noop\"}"),
    ] {
        assert_eq!(ours.put(&format!("/v1/proxies/a/toxics/{path}"), body).status, 201, "{path}");
    }
    assert_eq!(ours.post_body("/v1/proxies/a/toxics", "{\"toxic\":\"noop\",\"name\":\"c\"}").status, 201);
}
