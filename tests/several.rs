//! Several proxies in one daemon: each is independent, and proxies are added, moved and removed while others serve.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use world::client::Ending;
use world::file::{call, proxy, settled};
use world::{Api, Backend, File, Program, eventually};

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The configuration and addresses of a proxy, without its counts.
fn shape(api: Api, name: &str) -> Value {
    let mut proxy = api.proxy(name);
    proxy["status"] = proxy["status"]["addresses"].take();
    proxy
}

#[test]
fn each_proxy_has_its_own_protocol_handler_and_counts() {
    let (lines, echo) = (Backend::lines(), Backend::echo());
    let slow = "handler = \"delay\"\n[proxies.slow.handlers.delay]\nsleep = \"1ms\"";
    let text = proxy("cache", &lines, "") + &proxy("slow", &lines, slow) + &proxy("web", &echo, "protocol = \"tcp\"");
    let text = text.replace("protocol = \"redis\"\nprotocol = \"tcp\"", "protocol = \"tcp\"\nhandler = \"blackout\"");
    let program = File::new(text).start("");
    let api = program.api();
    for (name, calls) in [("cache", 3), ("slow", 2)] {
        let mut client = api.client(name);
        (0..calls).for_each(|_| call(&mut client));
    }
    assert_eq!(api.client("web").send("a").ending(), Ending::Closed);
    let lines = program.stop().lines;
    for count in ["cache dummy 3 0", "slow delay 2 2", "web blackout 1 1", "web: 1 connections"] {
        let says = |line: &&String| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ").starts_with(count);
        assert_eq!(lines.iter().filter(says).count(), 1, "{count:?} in {lines:#?}");
    }
}

#[test]
fn two_hundred_proxies_serve_in_one_daemon() {
    const PROXIES: usize = 200;
    let backend = Backend::lines();
    let mut text = String::new();
    for number in 0..PROXIES {
        write!(text, "{}", proxy(&format!("p{number}"), &backend, "")).unwrap();
    }
    let program = File::new(text).start("");
    let api = program.api();
    let mut clients: Vec<_> = (0..PROXIES).map(|number| settled(api, &format!("p{number}"))).collect();
    let all = api.get("/v1/proxies").json();
    let ports: BTreeSet<_> =
        all["proxies"].as_object().unwrap().values().map(|proxy| proxy["status"]["addresses"].to_string()).collect();
    assert_eq!(ports.len(), PROXIES, "every proxy needs a port of its own");
    assert_eq!(api.patch("/v1/proxies/p7", r#"{"handler": "blackout"}"#).status, 200);
    for (number, client) in clients.iter_mut().enumerate() {
        if number == 7 {
            assert_eq!(client.send("a\r\n").ending(), Ending::Closed);
        } else {
            call(client);
        }
    }
    let memory = program.peak_memory();
    assert!(memory < 64 * 1024, "{memory} KiB");
    drop(clients);
    program.stop();
}

#[test]
fn a_disabled_proxy_listens_once_it_is_enabled() {
    let (backend, taken) = (Backend::lines(), Backend::nobody());
    let elsewhere = proxy("taken", &backend, "enabled = false").replace("127.0.0.1:0", &taken.address().to_string());
    let program = File::new(proxy("off", &backend, "enabled = false") + &elsewhere).start("");
    let api = program.api();
    assert_eq!(api.proxy("off")["status"]["addresses"], json!([]));
    let enable = r#"{"enabled": true}"#;
    let answer = api.patch("/v1/proxies/off", enable);
    assert_eq!((answer.status, &answer.json()["applied"]["now"]), (200, &json!(["enabled"])));
    settled(api, "off");
    let answer = api.patch("/v1/proxies/taken", enable);
    assert_eq!(answer.status, 409, "the proxy does not listen: {}", answer.body);
    assert_eq!(api.proxy("taken")["enabled"], false);
}

#[test]
fn connections_of_two_proxies_draw_from_different_streams() {
    const CALLS: usize = 64;
    let backend = Backend::lines();
    let half = |name| {
        proxy(
            name,
            &backend,
            &format!("handler = \"50:delay,50:dummy\"\n[proxies.{name}.handlers.delay]\nsleep = \"1ms\""),
        )
    };
    let text = format!("seed = 42\n{}{}", half("a"), half("b"));
    let delayed = || {
        let program = File::new(&text).start("");
        let api = program.api();
        for name in ["a", "b"] {
            let mut client = api.client(name);
            (0..CALLS).for_each(|_| call(&mut client));
        }
        let faults = api.events().into_iter().filter(|event| event["event"] == "fault");
        let (a, b): (Vec<_>, Vec<_>) = faults.partition(|event| event["proxy"] == "a");
        let calls = |events: Vec<Value>| events.iter().map(|event| event["call"].as_u64().unwrap()).collect::<Vec<_>>();
        (calls(a), calls(b))
    };
    let (a, b) = delayed();
    assert!(a != b && [&a, &b].iter().all(|calls| (10..CALLS - 10).contains(&calls.len())), "{a:?}, {b:?}");
    assert_eq!(delayed(), (a, b), "with the same seed");
}

#[test]
fn a_proxy_that_is_put_serves_until_it_is_deleted() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--http --http-port 0");
    let api = program.api();
    let keys = json!({"proxy": "127.0.0.1:0", "backend": backend.address().to_string(), "protocol": "redis"});
    let created = api.put("/v1/proxies/new", &keys.to_string());
    assert_eq!((created.status, created.header("location")), (201, Some("/v1/proxies/new")));
    let (address, mut open, mut stuck) = (api.address("new"), settled(api, "new"), settled(api, "new"));
    assert_eq!(api.patch("/v1/proxies/new", r#"{"handler": "hang"}"#).status, 200);
    stuck.send("b\r\n");
    eventually("the call hangs", || api.proxy("new")["status"]["faults"]["hang"] == 1);
    let mut other = program.connect();
    call(&mut other);
    assert_eq!(api.delete("/v1/proxies/new").status, 204);
    TcpListener::bind(address).unwrap();
    assert_eq!(open.ending(), Ending::Closed);
    let ending = stuck.ending();
    assert!(matches!(ending, Ending::Closed | Ending::Reset), "{ending:?}");
    assert_eq!((api.get("/v1/proxies/new").status, api.delete("/v1/proxies/new").status), (404, 404));
    call(&mut other);
}

#[test]
fn an_address_in_use_changes_nothing() {
    let (backend, taken) = (Backend::lines(), TcpListener::bind("127.0.0.1:0").unwrap());
    let program = File::new(proxy("a", &backend, "") + &proxy("b", &backend, "")).start("");
    let api = program.api();
    let (mut a, before) = (settled(api, "a"), shape(api, "a"));
    for address in [taken.local_addr().unwrap(), api.address("b")] {
        let keys = json!({"proxy": address, "backend": backend.address(), "protocol": "tcp", "handler": "blackout"});
        for path in ["/v1/proxies/a", "/v1/proxies/c"] {
            let refused = api.put(path, &keys.to_string());
            let error = &refused.json()["errors"][0];
            assert_eq!((refused.status, &error["name"]), (409, &json!("proxy")), "{path}: {error}");
            assert!(error["description"].as_str().unwrap().contains(&format!("cannot listen on {address}: ")));
        }
        assert_eq!(api.patch("/v1/proxies/a", &keys.to_string()).status, 409);
        assert_eq!(shape(api, "a"), before);
        assert_eq!(api.get("/v1/proxies/c").status, 404);
        call(&mut a);
        settled(api, "a");
        settled(api, "b");
    }
    assert_eq!(api.events(), Vec::<Value>::new());
}

#[test]
fn a_proxy_does_not_return_to_an_address_that_another_uses() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--protocol redis --http --http-port 0");
    let (api, before) = (program.api(), program.address());
    assert_eq!(api.patch("/v1/proxies/default", r#"{"proxy": "localhost:0"}"#).status, 200);
    let keys = json!({"proxy": before, "backend": backend.address(), "enabled": false}).to_string();
    let file = json!({"proxy": before, "backend": backend.address()}).to_string();
    assert_eq!(api.put("/v1/proxies/default", &file).status, 200);
    assert_eq!(api.put("/v1/proxies/b", &keys).status, 409);
    assert_eq!(api.patch("/v1/proxies/default", r#"{"proxy": "localhost:0"}"#).status, 200);
    assert_eq!(api.put("/v1/proxies/b", &keys).status, 201);
    assert_eq!(api.put("/v1/proxies/default", &file).status, 409);
    assert_eq!(api.patch("/v1/proxies/default", r#"{"handler": "blackout"}"#).status, 200, "the proxy has not moved");
}

#[test]
fn a_refused_change_turns_no_client_away() {
    let (backend, taken) = (Backend::lines(), TcpListener::bind("127.0.0.1:0").unwrap());
    let program = Program::start(&backend, "--protocol redis --http --http-port 0");
    let (api, over) = (program.api(), AtomicBool::new(false));
    let keys = json!({"proxy": taken.local_addr().unwrap()}).to_string();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                assert_eq!(api.patch("/v1/proxies/default", &keys).status, 409);
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            call(&mut program.connect());
        }
    });
}

/// Sends a request and closes without reading the answer.
fn ask_and_leave(api: Api, method: &str, path: &str, body: &str) {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}", api.0, body.len());
    api.connect().write_all(request.as_bytes()).unwrap();
}

#[test]
fn a_change_is_atomic_when_its_requester_leaves() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--protocol redis --http --http-port 0");
    let api = program.api();
    let keys = json!({"backend": backend.address(), "proxy": "127.0.0.1:0", "protocol": "redis"}).to_string();
    let ways = [("PATCH", r#"{"proxy": "localhost:0"}"#), ("PATCH", r#"{"enabled": false}"#), ("DELETE", "")];
    let changed: Vec<_> = (0..60)
        .map(|number| {
            let name = number.to_string();
            let path = format!("/v1/proxies/{name}");
            assert_eq!(api.put(&path, &keys).status, 201);
            let (first, client) = (api.address(&name), settled(api, &name));
            let (method, body) = ways[number % 3];
            ask_and_leave(api, method, &path, body);
            (name, first, client)
        })
        .collect();
    for (name, first, mut client) in changed {
        // The API and the listener must agree.
        let exists = || api.get(&format!("/v1/proxies/{name}")).status == 200;
        let api_says_first = || exists() && api.proxy(&name)["status"]["addresses"][0] == first.to_string();
        eventually("API and listener agree", || api_says_first() != is_refused(first));
        if exists() && api.proxy(&name)["enabled"] == true {
            settled(api, &name);
            call(&mut client);
        } else {
            assert_eq!(client.ending(), Ending::Closed, "{name}");
        }
    }
}

#[test]
fn a_new_listen_address_moves_the_listener_but_no_connection() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--protocol redis --http --http-port 0");
    let (api, mut old) = (program.api(), program.connect());
    call(&mut old);
    let answer = api.patch("/v1/proxies/default", r#"{"proxy": "localhost:0"}"#);
    let applied = &answer.json()["applied"];
    assert_eq!(*applied, json!({"now": [], "new_connections": ["proxy"]}));
    assert!(is_refused(program.address()));
    settled(api, "default");
    call(&mut old);
}

#[test]
fn a_host_name_can_be_replaced_by_its_address_on_the_same_port() {
    let backend = Backend::lines();
    let file = File::new(proxy("a", &backend, "").replace("127.0.0.1:0", "localhost:0"));
    let program = file.start("");
    let (api, mut old) = (program.api(), settled(program.api(), "a"));
    let port = api.address("a").port();
    for address in ["127.0.0.1", "localhost", "127.0.0.1"] {
        let keys = json!({"proxy": format!("{address}:{port}")}).to_string();
        let answer = api.patch("/v1/proxies/a", &keys);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(api.address("a").port(), port);
        settled(api, "a");
        call(&mut old);
    }
    assert_eq!(api.proxy("a")["status"]["addresses"], json!([format!("127.0.0.1:{port}")]));
}

#[test]
fn a_new_backend_or_protocol_applies_to_new_connections() {
    let (lines, echo) = (Backend::lines(), Backend::echo());
    let program = Program::start(&lines, "--protocol redis --http --http-port 0");
    let (api, mut old) = (program.api(), program.connect());
    call(&mut old);
    let keys = json!({"backend": echo.address(), "protocol": "tcp", "handler": "dummy"}).to_string();
    let applied = api.patch("/v1/proxies/default", &keys).json()["applied"].take();
    assert_eq!(applied, json!({"now": ["handler"], "new_connections": ["backend", "protocol"]}));
    program.connect().send("no command").expect("no command");
    call(&mut old);
    assert_eq!((lines.connections(), echo.connections()), (1, 1));
    old.send("a\r\nb\r\n").expect("+a\r\n+b\r\n");
    let calls = api.get("/v1/proxies/default/connections").json()["connections"][0]["calls"].take();
    assert_eq!(calls, 4, "the connection is still framed as redis");
    let nothing = api.patch("/v1/proxies/default", &json!({"backend": echo.address()}).to_string());
    assert_eq!(nothing.json()["applied"], json!({"now": [], "new_connections": []}));
}

#[test]
fn a_proxy_does_not_become_its_own_backend() {
    let backend = Backend::lines();
    let program = Program::start(&backend, "--protocol redis --http --http-port 0");
    let (api, own) = (program.api(), program.address());
    for itself in [own.to_string(), format!("0.0.0.0:{}", own.port())] {
        let refused = api.patch("/v1/proxies/default", &json!({"backend": itself}).to_string());
        let why = &refused.json()["errors"][0]["description"];
        assert!(refused.status >= 400, "{}", refused.body);
        assert!(why.as_str().unwrap().contains("is this proxy itself"), "{why}");
    }
    assert_eq!(api.proxy("default")["backend"], backend.address().to_string());
    call(&mut program.connect());
    // Another proxy may well have it for its backend.
    let keys = json!({"proxy": "127.0.0.1:0", "backend": own, "protocol": "redis"}).to_string();
    assert_eq!(api.put("/v1/proxies/front", &keys).status, 201);
    call(&mut api.client("front"));
}
