//! How many calls a rule takes, and rules about connections.

use std::io::{Read, Write};

use serde_json::json;

use super::world::client::Ending;
use super::world::{Backend, eventually};
use super::{calls, pass, start};

const GETS: [&str; 6] = ["GET a"; 6];

#[test]
fn calls_are_counted_over_the_proxy_or_over_a_connection() {
    for (rule, first, second) in [
        ("GET times=2 => error", [false, false, true, true, true, true], [true; 6]),
        (
            "GET times=2 per=connection => error",
            [false, false, true, true, true, true],
            [false, false, true, true, true, true],
        ),
        (
            "GET after=1 every=2 times=3 => error",
            [true, true, false, true, false, true],
            [false, true, true, true, true, true],
        ),
    ] {
        let program = start(&Backend::lines(), "redis", &[rule], "");
        assert_eq!(pass(&mut program.connect(), &GETS), first, "{rule}");
        assert_eq!(pass(&mut program.connect(), &GETS), second, "{rule}");
    }
}

#[test]
fn a_rule_is_over_after_its_time() {
    let program = start(&Backend::lines(), "redis", &["during=..1h => error", "during=1h.. => reset"], "");
    assert_eq!(pass(&mut program.connect(), &["GET a"]), [false]);
    let backend = Backend::lines();
    let program = start(&backend, "redis", &["during=..300ms => error"], "");
    let mut client = program.connect();
    eventually("its time is over", || pass(&mut client, &["GET a"]) == [true]);
}

#[test]
fn a_rule_about_connections_alone_acts_before_the_backend_is_dialled() {
    let backend = Backend::lines();
    let rules = ["connection=1 => blackout", "client=192.0.2.0/24 => hang", "client=127.0.0.0/8 connection=2 => reset"];
    let program = start(&backend, "redis", &rules, "");
    assert_eq!(program.connect().ending(), Ending::Closed);
    assert_eq!(program.connect().ending(), Ending::Reset);
    assert_eq!(backend.connections(), 0);
    assert_eq!(pass(&mut program.connect(), &["GET a"]), [true]);
    let counts = json!({ "rule-1.blackout": 1, "rule-2.hang": 0, "rule-3.reset": 1, "dummy": 1 });
    assert_eq!(calls(program.api()), counts);
}

#[test]
fn a_count_is_used_up_by_a_call_and_not_by_a_connection_that_makes_none() {
    let backend = Backend::lines();
    let program = start(&backend, "redis", &["times=1 => blackout", "times=1 => error"], "");
    assert_eq!(program.connect().ending(), Ending::Closed);
    assert_eq!(backend.connections(), 0);
    // They make no call.
    let idle = [program.connect(), program.connect()];
    eventually("their backends are dialled", || backend.connections() == 2);
    assert_eq!(pass(&mut program.connect(), &["GET a", "GET a"]), [false, true]);
    drop(idle);
    assert_eq!(calls(program.api()), json!({ "rule-1.blackout": 1, "rule-2.error": 1, "dummy": 1 }));
}

#[test]
fn a_head_that_a_rule_waits_for_delays_neither_the_dial_nor_what_the_backend_says() {
    let greets = Backend::new(|mut stream| {
        stream.write_all(b">1\r\n+hello\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let program = start(&greets, "redis", &["GET => blackout"], "--handler blackout");
    let mut client = program.connect();
    client.expect(">1\r\n+hello\r\n").send("GE");
    client.send("T a\r\n");
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(calls(program.api()), json!({ "rule-1.blackout": 1, "blackout": 0 }));
}

#[test]
fn a_head_that_does_not_end_turns_the_connection_opaque() {
    let backend = Backend::lines();
    let program = start(&backend, "redis", &["GET => error"], "--head-timeout 50ms");
    let mut client = program.connect();
    client.send("*2\r\n");
    client.expect("+*2\r\n");
    let events = program.api().events();
    let opaque = events.iter().find(|event| event["event"] == "opaque").unwrap();
    assert_eq!(opaque["why"], "a head that is not complete after head_timeout");
}

#[test]
fn an_incomplete_head_passes_where_no_rule_has_to_see_it() {
    let backend = Backend::lines();
    let program =
        start(&backend, "redis", &["GET client=192.0.2.0/24 => error", "connection=1 => dummy"], "--head-timeout 1h");
    let mut client = program.connect();
    client.send("*1\r\n").expect("+*1\r\n");
}

#[test]
fn tcp_has_rules_about_connections() {
    let program =
        start(&Backend::echo(), "tcp", &["connection=2 after=1 times=1 => error", "connection=3 => dummy"], "");
    for connection in 1..=3 {
        let mut client = program.connect();
        for call in 1..=3 {
            client.send("ping");
            if (connection, call) == (2, 2) {
                assert!(client.read_until("\r\n").len() == 1000);
            } else {
                client.expect("ping");
            }
        }
    }
    assert_eq!(calls(program.api()), json!({ "rule-1.error": 1, "rule-2.dummy": 3, "dummy": 5 }));
}
