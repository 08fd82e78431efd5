//! What the program prints when it is ready, with settings from flags, variables and a file.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::world::client::Ending;
use crate::world::{Backend, Client, Program};

#[test]
fn the_ready_line_names_the_bound_address_and_the_seed() {
    let backend = Backend::echo();
    let mut vaurien = Program::start(&backend, "--protocol redis --handler 5:delay --seed 42");
    let (address, backend) = (vaurien.address(), backend.address());
    assert_ne!(address.port(), 0);
    let ready = format!("ready: {address} -> {backend}, protocol redis, handler 5:delay, seed 42");
    assert!(vaurien.seen()[0].ends_with(&ready), "{:#?}", vaurien.seen());
    vaurien.signal("TERM");
    assert_eq!(vaurien.wait(), Some(0));
}

#[test]
fn nothing_is_printed_on_standard_output() {
    let backend = Backend::echo();
    let (reader, writer) = std::io::pipe().unwrap();
    let arguments = format!("--proxy 127.0.0.1:0 --backend {} --log-level trace", backend.address());
    let mut command = Program::command(&arguments);
    let vaurien = Program::spawn_with_stdout(&mut command, writer.into());
    drop(command);
    vaurien.connect().send("call").expect("call");
    vaurien.stop();
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
}

#[test]
fn a_host_name_listens_on_all_its_addresses_with_the_same_port() {
    let backend = Backend::echo();
    let arguments = format!("--proxy localhost:0 --backend {}", backend.address());
    let vaurien = Program::spawn(&mut Program::command(&arguments));
    let here = |ip: &IpAddr| TcpListener::bind((*ip, 0)).is_ok();
    let expected: BTreeSet<IpAddr> =
        ("localhost", 0).to_socket_addrs().unwrap().map(|address| address.ip()).filter(here).collect();
    assert_eq!(vaurien.addresses().iter().map(std::net::SocketAddr::ip).collect::<BTreeSet<_>>(), expected);
    for address in vaurien.addresses() {
        assert_eq!(address.port(), vaurien.address().port());
        Client::connect(*address).send("call").expect("call");
    }
}

#[test]
fn an_ipv6_address_is_written_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        return eprintln!("this machine has no IPv6 loopback");
    }
    let backend = Backend::echo();
    let vaurien = Program::spawn(&mut Program::command(&format!("--proxy [::1]:0 --backend {}", backend.address())));
    assert!(vaurien.address().is_ipv6(), "{:#?}", vaurien.seen());
    vaurien.connect().send("call").expect("call");
    assert!(vaurien.seen()[0].contains("ready: [::1]:"), "{:#?}", vaurien.seen());
}

#[test]
fn in_json_every_line_is_an_object() {
    let arguments = "--log-format json --log-level trace --connect-timeout 1";
    let mut vaurien = Program::start(&Backend::nobody(), arguments);
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    vaurien.line("cannot reach the backend");
    let lines = vaurien.stop().lines;
    for line in &lines {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for key in ["timestamp", "level", "message"] {
            assert!(object.contains_key(key), "{line}");
        }
    }
    assert!(lines.len() >= 5, "{lines:#?}");
}

#[test]
fn variables_and_a_file_work_like_flags() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vaurien.toml");
    let backend = Backend::lines();
    let text = format!("backend = '{}'\nseed = 7\nproxy = 'nobody.invalid:0'\n", backend.address());
    std::fs::write(&path, text).unwrap();
    let mut command = Program::command("--handler-delay-sleep 0.2");
    command
        .env("VAURIEN_CONFIG", &path)
        .env("VAURIEN_PROXY", "127.0.0.1:0")
        .env("VAURIEN_HANDLER", "delay")
        .env("VAURIEN_HANDLER_DELAY_SLEEP", "1h")
        .env("VAURIEN_PROTOCOL", "redis");
    let vaurien = Program::spawn(&mut command);
    let begun = Instant::now();
    vaurien.connect().send("a\r\nb\r\n").expect("+a\r\n+b\r\n");
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(vaurien.seed(), "7");
    assert_eq!(vaurien.stop().calls("delay"), 2);
}
