//! One proxy.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use serde_json::json;

use super::world::client::Ending;
use super::*;

#[test]
fn a_proxy_from_its_creation_to_its_end() {
    let (program, backend) = (start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address().to_string());
    let body = json!({ "name": "redis", "listen": "localhost:0", "upstream": upstream });
    let reply = ask(api, "POST", "/proxies", &body);
    let listen = reply.json()["listen"].as_str().unwrap().to_owned();
    let address: SocketAddr = listen.parse().unwrap();
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let proxy = json!({ "name": "redis", "listen": listen, "upstream": upstream, "enabled": true, "toxics": [] });
    assert_eq!((reply.status, reply.body.as_str()), (201, proxy.to_string().as_str()));
    assert_passes(&mut Client::connect(address));

    assert_eq!(is(&api.get("/proxies/redis")), (200, proxy.clone()));
    assert_eq!(is(&api.get("/proxies")), (200, json!({ "redis": proxy })));
    assert_eq!(is(&ask(api, "POST", "/proxies", &body)), error(409, "proxy already exists"));

    let mut client = Client::connect(address);
    assert_passes(&mut client);
    let reply = api.delete("/proxies/redis");
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(client.ending(), Ending::Closed);
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(is(&api.delete("/proxies/redis")), error(404, "proxy not found"));
    assert_eq!(is(&api.get("/proxies/redis")), error(404, "proxy not found"));
    assert_eq!(is(&ask(api, "POST", "/proxies/redis", &json!({}))), error(404, "proxy not found"));
}

#[test]
fn proxies_are_sorted_by_name() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    for name in ["b", "a", "B", "redis:6379", "10", "9", "\u{e9}"] {
        create(api, name, backend.address());
    }
    let body = api.get("/proxies").body;
    let places: Vec<_> = ["10", "9", "B", "a", "b", "redis:6379", "\u{e9}"]
        .iter()
        .map(|name| body.find(&format!("\"{name}\":{{")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{body}");
}

#[test]
fn names_may_have_any_character_but_control_characters() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let longest = "é".repeat(127);
    for (name, path) in [
        ("redis:6379", "redis:6379"),
        ("redis:6380", "redis%3A6380"),
        ("my db", "my%20db"),
        ("a/b?c", "a%2Fb%3Fc"),
        (longest.as_str(), &"%C3%A9".repeat(127)),
    ] {
        create(api, name, backend.address());
        assert_eq!(api.get(&format!("/proxies/{path}")).json()["name"], json!(name));
        add(api, path, &json!({ "type": "noop", "name": "tox/ic 1" }));
        assert_eq!(api.get(&format!("/proxies/{path}/toxics/tox%2Fic%201")).status, 200);
        assert_eq!(api.delete(&format!("/proxies/{path}/toxics/tox%2Fic%201")).status, 204);
        assert_eq!(api.delete(&format!("/proxies/{path}")).status, 204);
    }
    for name in ["a\nb", &"x".repeat(256)] {
        let reply = ask(api, "POST", "/proxies", &json!({ "name": name, "upstream": "a:1" }));
        assert_eq!(reply.status, 400, "{reply:?}");
    }
}

#[test]
fn a_port_in_use_is_told_in_the_words_of_go_and_nothing_is_kept() {
    let program = start();
    let api = program.toxiproxy();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = format!("listen tcp 127.0.0.1:{port}: bind: address already in use");
    for host in ["localhost", "127.0.0.1"] {
        let body = json!({ "name": "a", "listen": format!("{host}:{port}"), "upstream": "a:1" });
        assert_eq!(is(&ask(api, "POST", "/proxies", &body)), error(500, &message));
    }
    assert_eq!(api.get("/proxies").body, "{}");
    // A disabled one takes no port.
    let body = json!({ "name": "a", "listen": format!("localhost:{port}"), "upstream": "a:1", "enabled": false });
    let reply = ask(api, "POST", "/proxies", &body);
    assert_eq!((reply.status, &reply.json()["listen"]), (201, &body["listen"]));
    assert_eq!(is(&ask(api, "POST", "/proxies/a", &json!({ "enabled": true }))), error(500, &message));
    let body = json!({ "name": "b", "listen": format!("localhost:{port}"), "upstream": "a:1", "enabled": false });
    assert_eq!(ask(api, "POST", "/proxies", &body).status, 201);
    drop(taken);
    assert_eq!(ask(api, "PATCH", "/proxies/b", &json!({ "enabled": true })).status, 200);
    let reply = ask(api, "PATCH", "/proxies/a", &json!({ "listen": "local373" }));
    assert_eq!(is(&reply), error(500, "address local373: missing port in address"));
    let reply = ask(api, "POST", "/proxies", &json!({ "name": "c", "listen": "no.such.invalid:1", "upstream": "a:1" }));
    assert_eq!(is(&reply), error(500, "listen tcp: lookup no.such.invalid: no such host"));
}

#[test]
fn without_a_host_a_proxy_listens_on_all_addresses() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let mut listen = json!("");
    for (name, given) in
        [("a", Some("")), ("b", None), ("c", Some(":0")), ("d", Some("0.0.0.0:0")), ("e", Some("[::]:0"))]
    {
        let body = json!({ "name": name, "listen": given, "upstream": backend.address().to_string() });
        listen = ask(api, "POST", "/proxies", &body).json()["listen"].clone();
        let address: SocketAddr = listen.as_str().unwrap().parse().unwrap();
        assert!(address.ip().is_unspecified() && address.port() > 0, "{listen}");
        assert_passes(&mut Client::connect(([127, 0, 0, 1], address.port()).into()));
        if address.is_ipv6() {
            assert_passes(&mut Client::connect(([0, 0, 0, 0, 0, 0, 0, 1], address.port()).into()));
        }
    }
    // The same in other words: nothing restarts.
    let port = listen.as_str().unwrap().rsplit(':').next().unwrap();
    let mut client = Client::connect(([127, 0, 0, 1], port.parse().unwrap()).into());
    assert_passes(&mut client);
    for same in [format!("0.0.0.0:{port}"), format!(":{port}"), format!("[::]:{port}")] {
        let reply = ask(api, "POST", "/proxies/e", &json!({ "listen": same, "enabled": true }));
        assert_eq!((reply.status, &reply.json()["listen"]), (200, &listen));
        assert_passes(&mut client);
    }
}

#[test]
fn disabling_closes_all_and_enabling_takes_the_same_port_again() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 1 } }));
    let before = api.get("/proxies/a").json();
    let mut client = Client::connect(address);
    assert_passes(&mut client);
    let reply = ask(api, "PATCH", "/proxies/a", &json!({ "enabled": false }));
    let mut disabled = before.clone();
    disabled["enabled"] = json!(false);
    assert_eq!(is(&reply), (200, disabled));
    assert_eq!(client.ending(), Ending::Closed);
    assert!(TcpStream::connect(address).is_err());
    for _ in 0..2 {
        assert_eq!(is(&ask(api, "POST", "/proxies/a", &json!({ "enabled": true }))), (200, before.clone()));
    }
    let mut client = Client::connect(address);
    assert_passes(&mut client);
    // What a client has read changes nothing when it is sent back.
    assert_eq!(is(&ask(api, "POST", "/proxies/a", &before)), (200, before.clone()));
    assert_eq!(is(&ask(api, "PATCH", "/proxies/a", &json!({ "name": "b", "enabled": null }))), (200, before));
    assert_passes(&mut client);
}

#[test]
fn an_update_leads_elsewhere_and_keeps_toxics() {
    let (program, one, other) = (start(), Backend::echo(), Backend::lines());
    let api = program.toxiproxy();
    let address = create(api, "a", one.address());
    let toxic = add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 1 } }));
    let mut client = Client::connect(address);
    assert_passes(&mut client);
    let upstream = other.address().to_string();
    let reply = ask(api, "POST", "/proxies/a", &json!({ "upstream": upstream }));
    assert_eq!((reply.status, &reply.json()["upstream"]), (200, &json!(upstream)));
    assert_eq!(client.ending(), Ending::Closed);
    Client::connect(address).send("hello\n").expect("+hello\r\n");

    let moved = ask(api, "PATCH", "/proxies/a", &json!({ "listen": "127.0.0.1:0" })).json();
    let new: SocketAddr = moved["listen"].as_str().unwrap().parse().unwrap();
    assert_ne!(new, address);
    assert_eq!(moved["toxics"], json!([toxic]));
    Client::connect(new).send("hello\n").expect("+hello\r\n");
    assert!(TcpStream::connect(address).is_err());
    // The same address in another spelling.
    let mut client = Client::connect(new);
    client.send("1\n").expect("+1\r\n");
    let same = format!("localhost:{}", new.port());
    assert_eq!(ask(api, "PATCH", "/proxies/a", &json!({ "listen": same })).json()["listen"], moved["listen"]);
    client.send("2\n").expect("+2\r\n");
}

#[test]
fn an_upstream_is_echoed_and_looked_up_when_a_client_comes() {
    let program = start();
    let api = program.toxiproxy();
    for (name, upstream) in [("a", "somehost.invalid:12345"), ("b", "http://example.invalid"), ("c", "nowhere")] {
        let body = json!({ "name": name, "listen": "localhost:0", "upstream": upstream });
        let proxy = ask(api, "POST", "/proxies", &body).json();
        assert_eq!(proxy["upstream"], json!(upstream));
        assert_eq!(api.get(&format!("/proxies/{name}")).json(), proxy);
        let mut client = Client::connect(proxy["listen"].as_str().unwrap().parse().unwrap());
        let _ = client.read_to_end();
    }
    let backend = Backend::echo();
    let reply = ask(api, "POST", "/proxies/c", &json!({ "upstream": backend.address().to_string() }));
    assert_passes(&mut Client::connect(reply.json()["listen"].as_str().unwrap().parse().unwrap()));
}

#[test]
fn toxics_of_a_new_proxy_are_taken() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let toxics =
        json!([{ "type": "limit_data", "attributes": { "bytes": 3 } }, { "type": "noop", "stream": "upstream" }]);
    let body =
        json!({ "name": "a", "listen": "localhost:0", "upstream": backend.address().to_string(), "toxics": toxics });
    let proxy = ask(api, "POST", "/proxies", &body).json();
    let names: Vec<_> = proxy["toxics"].as_array().unwrap().iter().map(|toxic| toxic["name"].clone()).collect();
    assert_eq!(names, ["noop_upstream", "limit_data_downstream"]);
    let mut client = Client::connect(proxy["listen"].as_str().unwrap().parse().unwrap());
    assert_eq!(client.send("hello\n").read_to_end().0, b"hel");
    let body = json!({ "name": "b", "upstream": "a:1", "toxics": [{ "type": "latent" }] });
    assert_eq!(is(&ask(api, "POST", "/proxies", &body)), error(400, "invalid toxic type (toxic 1)"));
}

#[test]
fn port_0_is_another_port_each_time() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let mut address = create(api, "a", backend.address());
    let toxic = add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 1 } }));
    for listen in ["localhost:0", "127.0.0.1:0", "127.0.0.1:0", ":0", ":0", "localhost:0", ""] {
        for method in ["PATCH", "POST"] {
            let mut client = Client::connect(address);
            assert_passes(&mut client);
            let moved = ask(api, method, "/proxies/a", &json!({ "listen": listen })).json();
            let port = moved["listen"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
            assert_ne!(port, address.port(), "{method} {listen}");
            assert_eq!(moved["toxics"], json!([toxic]));
            assert_eq!(client.ending(), Ending::Closed);
            assert!(TcpStream::connect(address).is_err());
            address.set_port(port);
        }
    }
    // Nothing moves without being asked to.
    let upstream = json!({ "upstream": Backend::nobody().address().to_string() });
    let kept = ask(api, "PATCH", "/proxies/a", &upstream).json();
    assert!(kept["listen"].as_str().unwrap().ends_with(&format!(":{}", address.port())), "{kept}");
    // While it is disabled the port is not known.
    let disabled = ask(api, "PATCH", "/proxies/a", &json!({ "listen": "localhost:0", "enabled": false })).json();
    assert_eq!(disabled["listen"], json!("localhost:0"));
    let enabled = ask(api, "PATCH", "/proxies/a", &json!({ "enabled": true })).json();
    let again: SocketAddr = enabled["listen"].as_str().unwrap().parse().unwrap();
    assert_ne!(again.port(), address.port());
    let list = json!([{ "name": "a", "listen": "localhost:0", "upstream": backend.address().to_string() }]);
    for _ in 0..2 {
        let made = ask(api, "POST", "/populate", &list).json()["proxies"][0]["listen"].clone();
        let made: SocketAddr = made.as_str().unwrap().parse().unwrap();
        assert_ne!(made.port(), again.port());
        assert_passes(&mut Client::connect(made));
    }
}

#[test]
fn an_upstream_that_is_the_proxy_itself_is_refused() {
    let (program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    let port = address.port();
    for upstream in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let reply = ask(api, "PATCH", "/proxies/a", &json!({ "upstream": upstream }));
        let (status, told) = is(&reply);
        let told = told["error"].as_str().unwrap();
        assert!(status == 400 && told.contains(&format!("its upstream `{upstream}` is this proxy itself")), "{told}");
    }
    let body = json!({ "name": "b", "listen": "localhost:1", "upstream": "localhost:1" });
    let told = "bad request body: `localhost:1` is both `upstream` and `listen`, listen somewhere else";
    assert_eq!(is(&ask(api, "POST", "/proxies", &body)), error(400, told));
    assert_passes(&mut Client::connect(address));
}

#[test]
fn what_has_no_effect_is_logged() {
    let (mut program, backend) = (start(), Backend::echo());
    let api = program.toxiproxy();
    let upstream = backend.address().to_string();
    let body = json!({ "name": "a", "listne": "localhost:0", "upstream": upstream, "Logger": {} });
    assert_eq!(ask(api, "POST", "/proxies", &body).status, 201);
    let line = program.line("listne");
    assert!(line.contains("WARN") && line.contains("proxy=\"a\""), "{line}");
    assert!(line.contains("the key `listne` is unknown and has no effect, did you mean `listen`?"), "{line}");
    add(api, "a", &json!({ "type": "latency", "toxicty": 1, "attributes": { "latnecy": 5 } }));
    let line = program.line("toxicty");
    assert!(line.contains("toxic=\"latency_downstream\"") && line.contains("did you mean `toxicity`?"), "{line}");
    let line = program.line("latnecy");
    assert!(line.contains("the attribute `latnecy` is unknown and has no effect, did you mean `latency`?"), "{line}");
    let update = json!({ "attributes": { "jiter": 5 }, "name": "latency_downstream", "type": "latency" });
    assert_eq!(ask(api, "PATCH", "/proxies/a/toxics/latency_downstream", &update).status, 200);
    let line = program.line("jiter");
    assert!(line.contains("did you mean `jitter`?"), "{line}");
    assert_eq!(ask(api, "PATCH", "/proxies/a", &json!({ "enabeld": false })).status, 200);
    let line = program.line("enabeld");
    assert!(line.contains("did you mean `enabled`?"), "{line}");
    let list = json!([{ "name": "b", "upstrem": "a:1", "listen": "localhost:0", "upstream": upstream }]);
    assert_eq!(ask(api, "POST", "/populate", &list).status, 201);
    let line = program.line("upstrem");
    assert!(line.contains("proxy=\"b\"") && line.contains("did you mean `upstream`?"), "{line}");
    // Clients send what they have read.
    let logged = program.seen().iter().filter(|line| line.contains("no effect")).count();
    assert_eq!(logged, 6, "{:#?}", program.seen());
}
