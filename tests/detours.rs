//! Replies that send a client past the proxy are told once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::{BufRead, BufReader, Write};

use world::{Backend, Program};

/// Answers each line with the rest of it, `\\r` and `\\n` being line ends.
fn parrot() -> Backend {
    Backend::new(|mut stream| {
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let said = line.split_once(' ').map_or(&*line, |(_, said)| said);
            if stream.write_all(format!("{said}\r\n").as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn told(program: Program) -> Vec<String> {
    let lines = program.stop().lines;
    lines.into_iter().filter(|line| line.contains("past this proxy")).collect()
}

#[test]
fn a_node_of_a_cluster_that_names_another_is_told_once() {
    let program = Program::start(&parrot(), "--protocol redis");
    for _ in 0..2 {
        let mut client = program.connect();
        client.send("ECHO +OK\r\nECHO -MOVED 3999 10.0.0.7:6379\r\nECHO -ASK 3999 10.0.0.8:6379\r\n");
        client.expect("+OK\r\n-MOVED 3999 10.0.0.7:6379\r\n-ASK 3999 10.0.0.8:6379\r\n");
    }
    let told = told(program);
    let [told] = told.as_slice() else { panic!("{told:?}") };
    let what =
        "default: the backend sends clients past this proxy (MOVED to 10.0.0.7:6379): their calls there meet no fault";
    assert!(told.contains("WARN") && told.contains(what), "{told}");
}

#[test]
fn a_command_that_asks_for_other_nodes_is_told() {
    for (command, is_told) in
        [("CLUSTER SHARDS", true), ("cluster slots", true), ("SENTINEL masters", true), ("CLUSTER INFO", false)]
    {
        let program = Program::start(&parrot(), "--protocol redis --handler delay --handler-delay-sleep 1ms");
        program.connect().send(format!("{command} +OK\r\n")).read_until("\r\n");
        assert_eq!(told(program).len(), usize::from(is_told), "{command}");
    }
}

#[test]
fn a_redirection_to_the_backend_itself_is_told() {
    for is_ours in [true, false] {
        let backend = Backend::new(move |mut stream| {
            let address = stream.local_addr().unwrap();
            let location = if is_ours { format!("http://{address}/new") } else { "/new".to_owned() };
            for _ in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).filter(String::is_empty)
            {
                let reply = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        let program = Program::start(&backend, "--protocol http");
        let mut client = program.connect();
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\n\r\n").read_until("\r\n\r\n");
        }
        assert_eq!(told(program).len(), usize::from(is_ours));
    }
}
