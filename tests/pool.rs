//! Backend connections that are kept for the next client take no resources beyond themselves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use world::{Backend, Program, eventually};

#[test]
fn keeping_connections_for_long_does_not_leak() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--protocol redis --reuse-socket --pool-timeout 1h");
    let serve = |clients: usize| {
        for _ in 0..clients {
            let mut client = vaurien.connect();
            client.send("PING\r\n").expect("+PING\r\n");
            client.reset();
        }
    };
    serve(1000);
    let before = vaurien.memory();
    serve(6000);
    let grown = vaurien.memory().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB for 6000 clients");
    assert!(backend.connections() <= 100, "{} connections to the backend", backend.connections());
}

#[test]
fn each_kept_connection_is_closed_after_its_timeout() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--protocol redis --reuse-socket --pool-timeout 50ms");
    for round in 1..=3 {
        let mut clients: Vec<_> = (0..round).map(|_| vaurien.connect()).collect();
        for client in &mut clients {
            client.send("PING\r\n").expect("+PING\r\n");
        }
        drop(clients);
        eventually("the connections are closed", || backend.ended() == backend.connections());
    }
}
