//! Listing and ending connections.

use std::io::{ErrorKind, Read};
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use super::start;
use super::world::client::Ending;
use super::world::{Api, Backend, Client, PATIENCE, Program, eventually};

const ALL: &str = "/v1/proxies/default/connections";

/// The list of connections, once there are this many.
fn connections(api: Api, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    eventually("they are there", || {
        all.clone_from(api.get(ALL).json()["connections"].as_array().unwrap());
        all.len() == count
    });
    all
}

fn settled(program: &Program) -> Client {
    let mut client = program.connect();
    client.send("get a\r\n").expect("+get a\r\n");
    client
}

#[test]
fn they_are_shown_while_they_live() {
    let program = start(&Backend::lines(), "");
    let mut client = settled(&program);
    let one = connections(program.api(), 1).remove(0);
    let peer = client.local_address().to_string();
    assert!(one["age"].as_f64().unwrap() >= 0.0);
    let shown = ["id", "peer", "bytes", "calls", "handler", "state"].map(|key| one[key].clone());
    let bytes = json!({ "to_backend": 7, "to_client": 8 });
    assert_eq!(shown, [json!(1), json!(peer), bytes, json!(1), Value::Null, json!("open")]);

    program.api().put("/behavior", r#"{"name": "delay", "sleep": 3600}"#);
    client.send("get b\r\n");
    eventually("the handler is at work", || connections(program.api(), 1)[0]["handler"] == "delay");
    drop(client);
    connections(program.api(), 0);
}

#[test]
fn calls_before_an_incomplete_head_are_shown() {
    let program = start(&Backend::lines(), "");
    let mut client = program.connect();
    client.send("GET a\r\nGET b\r\nGE").expect("+GET a\r\n+GET b\r\n");
    assert_eq!(connections(program.api(), 1)[0]["calls"], 2);
}

#[test]
fn each_is_ended_by_its_number_in_order_or_by_a_reset() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let (mut closed, mut reset, mut stays) = (settled(&program), settled(&program), settled(&program));
    assert_eq!(connections(api, 3).iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let end = |id: &str| {
        let reply = api.ask("DELETE", &format!("{ALL}/{id}"), "", "");
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{id}");
    };
    end("1");
    end("2?reset=true");
    assert_eq!((closed.ending(), reset.ending()), (Ending::Closed, Ending::Reset));
    assert_eq!(connections(api, 1)[0]["id"], 3);
    end("3?reset=false");
    assert_eq!(stays.ending(), Ending::Closed);
    connections(api, 0);
    assert_eq!(api.ask("DELETE", &format!("{ALL}/3"), "", "").status, 404);
}

#[test]
fn the_backend_reads_a_reset_too_whether_bytes_are_copied_or_calls_framed() {
    for options in ["--protocol tcp", "--protocol redis", "--handler delay --handler-delay-sleep 0"] {
        let (tell, told) = channel();
        let backend = Backend::new(move |mut stream| {
            let mut ending = stream.read(&mut [0; 64]);
            while let Ok(1..) = ending {
                ending = stream.read(&mut [0; 64]);
            }
            tell.send(ending.map_err(|error| error.kind())).unwrap();
        });
        let program = Program::start(&backend, &format!("--http --http-port 0 {options}"));
        let mut client = program.connect();
        client.send("get a");
        eventually("it is there", || connections(program.api(), 1)[0]["bytes"]["to_backend"] == 5);
        assert_eq!(program.api().ask("DELETE", &format!("{ALL}/1?reset=true"), "", "").status, 204);
        assert_eq!(client.ending(), Ending::Reset);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset), "{options}");
    }
}

#[test]
fn what_hangs_is_ended_too() {
    let program = start(&Backend::lines(), "--handler hang");
    let (mut closed, mut reset) = (program.connect(), program.connect());
    let first = closed.local_address().to_string();
    let all = connections(program.api(), 2);
    for one in all {
        let query = if one["peer"] == first.as_str() { "" } else { "?reset=true" };
        assert_eq!(program.api().ask("DELETE", &format!("{ALL}/{}{query}", one["id"]), "", "").status, 204);
    }
    assert_eq!((closed.ending(), reset.ending()), (Ending::Closed, Ending::Reset));
}
