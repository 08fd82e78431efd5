//! What outlives a connection with `keep_alive` and `reuse_socket`, and what does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::Mutex;
use std::time::Duration;

use world::client::Ending;
use world::{Backend, Client, Program, eventually};

/// Answers one call on each connection, then closes it.
fn one_call() -> Backend {
    Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("+1\r\n");
    })
}

#[test]
fn without_keep_alive_the_client_ends_with_the_backend() {
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
fn with_keep_alive_a_head_that_does_not_end_reaches_the_next_backend() {
    for half_closes in [false, true] {
        let (tell, told) = std::sync::mpsc::channel();
        let told = Mutex::new(Some(told));
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            let first = told.lock().unwrap().take();
            if let Some(told) = first {
                stream.read(3);
                stream.send("+1\r\n");
                told.recv().unwrap();
            } else {
                stream.expect("*100\r\n");
                stream.send("-ERR no\r\n");
            }
        });
        let options = "--keep-alive --protocol redis --handler delay --handler-delay-sleep 0 --head-timeout 300ms";
        let vaurien = Program::start(&backend, options);
        let mut client = vaurien.connect();
        client.send("a\r\n").expect("+1\r\n").send("*100\r\n");
        tell.send(()).unwrap();
        eventually("the backend is done", || backend.ended() == 1);
        if half_closes {
            client.half_close();
        }
        client.expect("-ERR no\r\n");
        assert_eq!(backend.connections(), 2);
    }
}

#[test]
fn a_backend_connection_is_reused_by_the_next_client() {
    for protocol in ["tcp", "redis"] {
        let backend = Backend::lines();
        let vaurien = Program::start(&backend, &format!("--reuse-socket --protocol {protocol}"));
        let open = vaurien.descriptors();
        for _ in 0..10 {
            vaurien.connect().send("PING\r\n").expect("+PING\r\n");
            eventually("the backend's connection is kept", || vaurien.descriptors() == open + 1);
        }
        assert_eq!(backend.connections(), 1, "{protocol}");
    }
}

#[test]
fn a_backend_connection_that_carries_state_is_not_reused() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
    let open = vaurien.descriptors();
    for (number, call) in ["SELECT 1", "AUTH x", "CLIENT SETNAME x", "MULTI", "WATCH x"].iter().enumerate() {
        vaurien.connect().send(format!("{call}\r\n")).expect(format!("+{call}\r\n"));
        eventually("nothing is kept", || backend.ended() == number + 1 && vaurien.descriptors() == open);
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
fn a_kept_connection_on_which_bytes_arrive_is_closed() {
    let (park, parked) = std::sync::mpsc::channel();
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.read(6);
        stream.send("+1\r\n");
        park.send(stream).unwrap();
    });
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
    let open = vaurien.descriptors();
    vaurien.connect().send("PING\r\n").expect("+1\r\n");
    eventually("the connection is kept", || vaurien.descriptors() == open + 1);
    let mut first = parked.recv().unwrap();
    first.send("+late\r\n");
    vaurien.connect().send("PING\r\n").expect("+1\r\n");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn kept_connections_are_limited_in_time_and_number() {
    let backend = Backend::lines();
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis --pool-size 2 --pool-timeout 1");
    let open = vaurien.descriptors();
    let mut clients: Vec<_> = (0..5).map(|_| vaurien.connect()).collect();
    for client in &mut clients {
        client.send("PING\r\n").expect("+PING\r\n");
    }
    drop(clients);
    eventually("two are kept", || backend.ended() == 3 && vaurien.descriptors() == open + 2);
    eventually("none is kept", || backend.ended() == 5 && vaurien.descriptors() == open);
}

#[test]
fn a_client_that_leaves_with_an_open_call_ends_its_backend_connection() {
    let backend = Backend::new(|stream| drop(Client::from(stream).read_to_end()));
    let unanswered = [("redis", "BLPOP a 0\r\n"), ("memcache", "mg a v q\r\n"), ("tcp", "a line\r\n")];
    for (number, (protocol, call)) in unanswered.into_iter().enumerate() {
        let vaurien = Program::start(&backend, &format!("--reuse-socket --protocol {protocol}"));
        let open = vaurien.descriptors();
        let (mut closing, mut resetting) = (vaurien.connect(), vaurien.connect());
        closing.send(call);
        resetting.send(call);
        eventually("both are connected", || vaurien.descriptors() == open + 4);
        drop(closing);
        resetting.reset();
        eventually("nothing is kept", || vaurien.descriptors() == open && backend.ended() == 2 * (number + 1));
    }
}

#[test]
fn a_half_closed_client_that_takes_its_reply_late_gets_all_of_it() {
    for size in (1..=8).map(|size| size * 700_000) {
        let reply = format!("${size}\r\n{}\r\n", "x".repeat(size));
        let (tell, sent) = std::sync::mpsc::channel();
        let said = reply.clone();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            stream.read(7);
            stream.send(&said);
            tell.send(()).unwrap();
            stream.read_to_end();
        });
        let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
        let mut client = vaurien.connect();
        client.send("GET k\r\n").half_close();
        // What does not fit into the buffers is not sent until the client reads.
        let _ = sent.recv_timeout(Duration::from_millis(200));
        assert!(client.read(reply.len()) == reply.as_bytes(), "{size}");
    }
}

#[test]
fn a_backend_connection_inside_a_push_is_not_reused() {
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(6);
        stream.send("+1\r\n>2\r\n+inva");
        stream.read_to_end();
    });
    let vaurien = Program::start(&backend, "--reuse-socket --protocol redis");
    let open = vaurien.descriptors();
    vaurien.connect().send("PING\r\n").expect("+1\r\n>2\r\n+inva");
    eventually("nothing is kept", || backend.ended() == 1 && vaurien.descriptors() == open);
}

#[test]
fn with_keep_alive_a_call_that_sleeps_while_the_backend_leaves_dials_again() {
    for protocol in ["tcp", "redis"] {
        let (tell, told) = std::sync::mpsc::channel();
        let told = Mutex::new(Some(told));
        let backend = Backend::new(move |stream| {
            let first = told.lock().unwrap().take();
            if let Some(told) = first {
                told.recv().unwrap();
            } else {
                let mut stream = Client::from(stream);
                stream.read(3);
                stream.send("+a\r\n").ending();
            }
        });
        let options =
            format!("--keep-alive --protocol {protocol} --handler delay --handler-delay-sleep 1 --log-level trace");
        let mut vaurien = Program::start(&backend, &options);
        let mut client = vaurien.connect();
        client.send("a\r\n");
        vaurien.line("drawn for delay");
        tell.send(()).unwrap();
        client.expect("+a\r\n");
        assert_eq!(backend.connections(), 2, "{protocol}");
        assert_eq!(vaurien.stop().calls("delay"), 1, "{protocol}");
    }
}
