//! What toxics do to connections, open ones as well.

use std::time::{Duration, Instant};

use serde_json::json;

use super::world::client::Ending;
use super::world::eventually;
use super::*;

/// A proxy in front of an echo, and an open connection through it.
fn open(program: &Program, backend: &Backend) -> (Api, SocketAddr, Client) {
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    let mut client = Client::connect(address);
    assert_passes(&mut client);
    (api, address, client)
}

fn time(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

#[test]
fn latency_is_added_and_taken_away_on_an_open_connection() {
    let (program, backend) = (start(), Backend::echo());
    let (api, _, mut client) = open(&program, &backend);
    add(api, "a", &json!({ "type": "latency", "attributes": { "latency": 300 } }));
    assert!(time(|| assert_passes(&mut client)) >= Duration::from_millis(300));
    ask(api, "POST", "/proxies/a/toxics/latency_downstream", &json!({ "attributes": { "latency": 60_000 } }));
    client.send("held\n");
    assert_eq!(api.delete("/proxies/a/toxics/latency_downstream").status, 204);
    client.expect("held\n");
}

#[test]
fn bandwidth_of_0_stalls_and_lets_go() {
    let program = Program::spawn(&mut Program::command("--toxiproxy localhost:0 --http --http-port 0"));
    let backend = Backend::echo();
    let (api, _, mut client) = open(&program, &backend);
    for name in ["CUT_CONNECTION_DOWNSTREAM", "CUT_CONNECTION_UPSTREAM"] {
        let stream = if name.ends_with("UPSTREAM") { "upstream" } else { "downstream" };
        add(api, "a", &json!({ "name": name, "type": "bandwidth", "stream": stream, "attributes": { "rate": 0 } }));
    }
    let sent = || program.api().get("/v1/proxies/a").json()["status"]["bytes"]["to_backend"].as_u64();
    let before = sent();
    client.send("kept\n");
    eventually("the proxy holds the line", || sent() == before.map(|before| before + 5));
    assert!(client.is_silent());
    for name in ["CUT_CONNECTION_DOWNSTREAM", "CUT_CONNECTION_UPSTREAM"] {
        assert_eq!(api.delete(&format!("/proxies/a/toxics/{name}")).status, 204);
    }
    client.expect("kept\n");
}

#[test]
fn bandwidth_limits_a_rate() {
    let (program, backend) = (start(), Backend::echo());
    let (api, _, mut client) = open(&program, &backend);
    add(api, "a", &json!({ "type": "bandwidth", "attributes": { "rate": 100 } }));
    let block = vec![b'x'; 50_000];
    let took = time(|| {
        client.send(&block).expect(&block);
    });
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[test]
fn limit_data_passes_so_many_bytes() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, _) = open(&program, &backend);
    add(api, "a", &json!({ "type": "limit_data", "attributes": { "bytes": 4 } }));
    assert_eq!(Client::connect(address).send("hello\n").read_to_end().0, b"hell");
}

#[test]
fn timeout_closes_after_silence() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, _) = open(&program, &backend);
    add(api, "a", &json!({ "type": "timeout", "stream": "upstream", "attributes": { "timeout": 100 } }));
    let took = time(|| assert_eq!(Client::connect(address).send("hello\n").ending(), Ending::Closed));
    assert!(took >= Duration::from_millis(100), "{took:?}");
}

#[test]
fn reset_peer_resets_open_connections_and_new_ones() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, mut client) = open(&program, &backend);
    add(api, "a", &json!({ "type": "reset_peer" }));
    assert_eq!(client.send("hello\n").ending(), Ending::Reset);
    assert_eq!(Client::connect(address).send("hello\n").ending(), Ending::Reset);
}

#[test]
fn slow_close_delays_the_end_and_slicer_cuts() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, _) = open(&program, &backend);
    add(api, "a", &json!({ "type": "slow_close", "attributes": { "delay": 200 } }));
    add(
        api,
        "a",
        &json!({ "type": "slicer", "attributes": { "average_size": 2, "size_variation": 1, "delay": 1000 } }),
    );
    let took = time(|| {
        let (bytes, ending) = Client::connect(address).send_while_reading(b"0123456789");
        assert_eq!((bytes.as_slice(), ending), (&b"0123456789"[..], Ending::Closed));
    });
    assert!(took >= Duration::from_millis(200), "{took:?}");
}

#[test]
fn toxicity_is_drawn_for_each_connection() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, _) = open(&program, &backend);
    add(api, "a", &json!({ "type": "limit_data", "toxicity": 0.5, "attributes": { "bytes": 0 } }));
    let cut = (0..100).filter(|_| Client::connect(address).send("x\n").send_while_reading(b"").0.is_empty()).count();
    assert!((25..=75).contains(&cut), "{cut}");
    ask(api, "POST", "/proxies/a/toxics/limit_data_downstream", &json!({ "toxicity": 0 }));
    assert_passes(&mut Client::connect(address));
}

#[test]
fn no_request_waits_for_traffic() {
    let (program, backend) = (start(), Backend::echo());
    let (api, address, _) = open(&program, &backend);
    add(api, "a", &json!({ "type": "timeout", "attributes": { "timeout": 0 } }));
    let mut clients: Vec<_> = (0..500).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        client.send("lost\n");
    }
    super::world::eventually("the backend has them all", || backend.connections() > 500);
    let took = time(|| assert_eq!(api.delete("/proxies/a/toxics/timeout_downstream").status, 204));
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Those that lost bytes end; none that lost none does.
    let mut next = Client::connect(address);
    assert_passes(&mut next);
    for client in &mut clients {
        let (bytes, _) = client.send_while_reading(b"");
        assert!(bytes.is_empty() || bytes == b"lost\n", "{bytes:?}");
    }
}
