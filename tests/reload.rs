//! SIGHUP reads the file again, and systemd and statsd are notified.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;

use serde_json::json;
use world::client::Ending;
use world::file::{call, proxy, settled};
use world::{Backend, File, PATIENCE, Program, eventually};

/// Makes the program read its file again, and waits until it has.
fn reload(program: &mut Program) {
    program.signal("HUP");
    program.line("reloaded");
}

#[test]
fn each_proxy_becomes_what_the_file_says() {
    let backend = Backend::lines();
    let (same, other) = (proxy("same", &backend, ""), proxy("other", &backend, ""));
    let file = File::new(same.clone() + &other + &proxy("gone", &backend, ""));
    let mut program = file.start("");
    let api = program.api();
    let [mut same_client, mut other_client, mut gone_client] = ["same", "other", "gone"].map(|name| settled(api, name));
    let (address, gone) = (api.address("same"), api.address("gone"));
    let renamed = proxy("new", &backend, "").replace("127.0.0.1:0", &gone.to_string());
    file.write(same + &proxy("other", &backend, "handler = \"blackout\"") + &renamed);
    reload(&mut program);

    call(&mut same_client);
    assert_eq!(api.address("same"), address);
    assert_eq!(api.proxy("same")["status"]["calls"], json!({"dummy": 2}));
    assert_eq!(other_client.send("a\r\n").ending(), Ending::Closed);
    assert_eq!(api.proxy("other")["status"]["calls"], json!({"blackout": 1, "dummy": 1}));
    assert_eq!(gone_client.ending(), Ending::Closed);
    assert_eq!(api.get("/v1/proxies/gone").status, 404);
    assert_eq!(api.address("new"), gone, "the port of a removed proxy");
    settled(api, "new");
    assert!(program.seen().iter().all(|line| !line.contains("WARN")), "{:#?}", program.seen());
}

#[test]
fn a_proxy_may_take_the_address_of_another() {
    let backend = Backend::lines();
    let file = File::new(proxy("a", &backend, "") + &proxy("b", &backend, ""));
    let mut program = file.start("");
    let (api, mut client) = (program.api(), settled(program.api(), "a"));
    let (b, at_b) = (api.address("b"), proxy("a", &backend, "").replace("127.0.0.1:0", &api.address("b").to_string()));
    file.write(at_b + &proxy("b", &backend, "").replace("127.0.0.1:0", "localhost:0"));
    reload(&mut program);
    assert_eq!(api.address("a"), b);
    call(&mut client);
    settled(api, "b");
    assert!(program.seen().iter().all(|line| !line.contains("WARN")), "{:#?}", program.seen());
}

#[test]
fn two_proxies_may_swap_addresses() {
    let backend = Backend::lines();
    let file = File::new(proxy("a", &backend, "") + &proxy("b", &backend, ""));
    let mut program = file.start("");
    let api = program.api();
    let (a, b, mut client) = (api.address("a"), api.address("b"), settled(api, "a"));
    let at = |name, address: SocketAddr| proxy(name, &backend, "").replace("127.0.0.1:0", &address.to_string());
    for (at_a, at_b) in [(b, a), (a, b)] {
        file.write(at("a", at_a) + &at("b", at_b));
        reload(&mut program);
        assert_eq!((api.address("a"), api.address("b")), (at_a, at_b));
        call(&mut client);
        settled(api, "a");
        settled(api, "b");
    }
    assert!(program.seen().iter().all(|line| !line.contains("WARN")), "{:#?}", program.seen());
}

#[test]
fn a_proxy_that_cannot_change_stays_and_is_reported() {
    let (backend, taken) = (Backend::lines(), TcpListener::bind("127.0.0.1:0").unwrap());
    let file = File::new(proxy("a", &backend, "") + &proxy("b", &backend, ""));
    let mut program = file.start("");
    let (api, before) = (program.api(), program.api().address("a"));
    let moved = proxy("a", &backend, "").replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    file.write(moved + &proxy("b", &backend, "handler = \"delay\"\n"));
    program.signal("HUP");
    program.line("reloaded, except 1 of 2 proxies");
    assert_eq!(program.seen().iter().filter(|line| line.contains("not reloaded: cannot listen on")).count(), 1);
    assert_eq!((api.address("a"), &api.proxy("b")["handler"]), (before, &json!("delay")));
    settled(api, "a");
}

#[test]
fn a_broken_file_changes_nothing_and_is_one_error_line() {
    let backend = Backend::lines();
    let good = proxy("a", &backend, "");
    let file = File::new(&good);
    let mut program = file.start("");
    let (api, mut client) = (program.api(), settled(program.api(), "a"));
    for broken in [good.replace("redis", "rediss") + "nonsense = 1\n", "[proxies.a".to_owned(), String::new()] {
        file.write(&broken);
        program.signal("HUP");
        let line = program.line("not reloaded");
        assert!(line.contains("ERROR"), "{line}");
        call(&mut client);
        settled(api, "a");
    }
    file.write(good);
    reload(&mut program);
    let errors = program.seen().iter().filter(|line| line.contains("ERROR") || line.contains("WARN")).count();
    assert_eq!(errors, 3, "{:#?}", program.seen());
    assert_eq!(api.proxy("a")["status"]["connections"]["total"], 4);
}

#[test]
fn a_reload_reverts_api_changes_but_keeps_proxies_that_the_api_added() {
    let backend = Backend::lines();
    let file = File::new(proxy("a", &backend, "") + &proxy("b", &backend, ""));
    let mut program = file.start("");
    let api = program.api();
    let keys = json!({"proxy": "127.0.0.1:0", "backend": backend.address(), "protocol": "redis"}).to_string();
    assert_eq!(api.put("/v1/proxies/added", &keys).status, 201);
    let mut client = settled(api, "added");
    assert_eq!(api.patch("/v1/proxies/a", r#"{"handler": "blackout"}"#).status, 200);
    assert_eq!(api.delete("/v1/proxies/b").status, 204);
    reload(&mut program);
    settled(api, "a");
    settled(api, "b");
    call(&mut client);
}

#[test]
fn a_reset_returns_to_the_file_as_last_read() {
    let backend = Backend::lines();
    let file = File::new(proxy("a", &backend, ""));
    let mut program = file.start("");
    let api = program.api();
    let blackout = r#"{"handler": "blackout", "for": "1h"}"#;
    assert_eq!(api.patch("/v1/proxies/a", blackout).status, 200);
    file.write(proxy("a", &backend, "handler = \"blackout\""));
    reload(&mut program);
    assert_eq!(api.proxy("a")["status"]["reverts_in"], json!(null), "the change must be permanent");
    assert_eq!(api.post("/v1/proxies/a/reset").status, 200);
    assert_eq!(api.proxy("a")["handler"], "blackout");
}

#[test]
fn each_setting_that_needs_a_restart_is_one_warning() {
    let backend = Backend::lines();
    let text = |seed, host| format!("seed = {seed}\n[http]\nallow_host = [\"{host}\"]\n{}", proxy("a", &backend, ""));
    let file = File::new(text(1, "a.example"));
    let mut program = file.start("");
    file.write(text(2, "b.example"));
    reload(&mut program);
    let warnings: Vec<_> = program.seen().iter().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 2 && warnings[0].contains("seed") && warnings[1].contains("http"), "{warnings:#?}");
}

#[test]
fn without_a_file_the_signal_ends_the_program() {
    let mut program = Program::start(&Backend::lines(), "");
    program.signal("HUP");
    assert_eq!(program.wait(), None, "the signal must end the program");
}

#[test]
fn systemd_is_notified_of_each_step() {
    let (backend, folder) = (Backend::lines(), tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut datagram = [0; 256];
        let len = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..len].to_vec()).unwrap()
    };
    let file = File::new(proxy("default", &backend, ""));
    let mut command = Program::command("");
    let program = Program::spawn(command.arg("--config").arg(file.path()).env("NOTIFY_SOCKET", &path));
    assert_eq!(next().trim_end(), "READY=1");
    call(&mut program.connect());
    for broken in ["", "nonsense = 1\n"] {
        file.write(broken.to_owned() + &proxy("default", &backend, ""));
        program.signal("HUP");
        let reloading = next();
        let time = reloading.trim_end().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
        assert!(matches!(time, Some(Ok(1..))), "{reloading:?}");
        assert_eq!(next().trim_end(), "READY=1");
    }
    program.signal("TERM");
    assert_eq!(next().trim_end(), "STOPPING=1");
    program.stopped();
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0]).is_err());
}

#[test]
fn statsd_gets_the_counts() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let program = Program::start(&Backend::lines(), &format!("--protocol redis --statsd-enabled --statsd-port {port}"));
    let mut client = program.connect();
    (0..3).for_each(|_| call(&mut client));
    drop(client);
    program.stop();
    server.set_nonblocking(true).unwrap();
    let (mut told, mut datagram) = (BTreeMap::new(), [0; 2048]);
    while let Ok(len) = server.recv(&mut datagram) {
        for line in str::from_utf8(&datagram[..len]).unwrap().lines() {
            let (name, count) = line.strip_suffix("|c").unwrap().split_once(':').unwrap();
            *told.entry(name.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    let expected = [("end", 1), ("start", 1), ("to_backend", 3), ("to_client", 3)];
    assert!(told.into_iter().eq(expected.map(|(name, count)| (format!("vaurien.redis.{name}"), count))));
}

#[test]
fn a_missing_statsd_breaks_nothing() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = format!("--protocol redis --statsd-enabled --statsd-port {nobody} --http --http-port 0");
    let program = Program::start(&Backend::lines(), &arguments);
    drop(settled(program.api(), "default"));
    eventually("the client has left", || program.api().proxy("default")["status"]["connections"]["open"] == 0);
    let counts = program.stop();
    assert!(counts.lines.iter().all(|line| !line.contains("WARN")), "{:#?}", counts.lines);
}
