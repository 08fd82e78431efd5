//! What outlives a connection, and what does not: `keep_alive` and `reuse_socket`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod world;

use world::client::Ending;
use world::{Backend, Client, Program, eventually};

/// Answers one call for each connection.
fn one_call() -> Backend {
    Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("+1\r\n");
    })
}

#[test]
fn without_keep_alive_client_and_backend_share_one_fate() {
    for protocol in ["tcp", "redis", "memcache"] {
        let vaurien = Program::start(&one_call(), &format!("--protocol {protocol}"));
        let mut client = vaurien.connect();
        assert_eq!(client.send("a\r\n").read_to_end(), (b"+1\r\n".to_vec(), Ending::Closed));
    }
}

#[test]
fn with_keep_alive_the_next_call_dials_again() {
    for protocol in ["tcp", "redis"] {
        for handler in ["dummy", "delay --handler-delay-sleep 0"] {
            let backend = one_call();
            let vaurien = Program::start(&backend, &format!("--keep-alive --protocol {protocol} --handler {handler}"));
            let mut client = vaurien.connect();
            for call in 1..=20 {
                client.send("a\r\n").expect("+1\r\n");
                eventually("the backend is done", || backend.ended() == call);
            }
            assert_eq!(backend.connections(), 20);
        }
    }
}

#[test]
fn with_keep_alive_a_broken_reply_still_ends_the_client() {
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("$100\r\nhalf");
    });
    let vaurien = Program::start(&backend, "--keep-alive true --protocol redis");
    assert_eq!(vaurien.connect().send("a\r\n").read_to_end(), (b"$100\r\nhalf".to_vec(), Ending::Closed));
}

#[test]
fn with_keep_alive_a_client_may_leave_while_there_is_no_backend() {
    let backend = one_call();
    let vaurien = Program::start(&backend, "--keep-alive --protocol redis");
    let open = vaurien.descriptors();
    let mut client = vaurien.connect();
    client.send("a\r\n").expect("+1\r\n");
    eventually("only the client is left", || vaurien.descriptors() == open + 1);
    drop(client);
    eventually("nobody is left", || vaurien.descriptors() == open);
}

#[test]
fn a_backend_connection_is_reused_by_the_next_client() {
    for protocol in ["tcp", "redis"] {
        let backend = Backend::lines();
        let vaurien = Program::start(&backend, &format!("--reuse-socket --protocol {protocol}"));
        let open = vaurien.descriptors();
        for _ in 0..10 {
            vaurien.connect().send("a\r\n").expect("+a\r\n");
            eventually("the backend's connection is kept", || vaurien.descriptors() == open + 1);
        }
        assert_eq!(backend.connections(), 1, "{protocol}");
    }
}

#[test]
fn a_backend_connection_in_the_middle_of_a_call_is_not_reused() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
    let open = vaurien.descriptors();
    vaurien.connect().send("*2\r\n$3\r\nGET");
    eventually("nothing is kept", || backend.ended() == 1 && vaurien.descriptors() == open);
}

#[test]
fn a_backend_connection_on_which_something_was_said_is_thrown_away() {
    let (park, parked) = std::sync::mpsc::channel();
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("+1\r\n");
        park.send(stream).unwrap();
    });
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
    let open = vaurien.descriptors();
    vaurien.connect().send("a\r\n").expect("+1\r\n");
    eventually("it is kept", || vaurien.descriptors() == open + 1);
    let mut first = parked.recv().unwrap();
    first.send("+late\r\n");
    vaurien.connect().send("a\r\n").expect("+1\r\n");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_kept_connection_is_given_up_in_time_and_no_more_are_kept_than_asked_for() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis --pool-size 2 --pool-timeout 1");
    let open = vaurien.descriptors();
    let mut clients: Vec<_> = (0..5).map(|_| vaurien.connect()).collect();
    for client in &mut clients {
        client.send("a\r\n").expect("+a\r\n");
    }
    drop(clients);
    eventually("two are kept", || backend.ended() == 3 && vaurien.descriptors() == open + 2);
    eventually("none is kept", || backend.ended() == 5 && vaurien.descriptors() == open);
}
