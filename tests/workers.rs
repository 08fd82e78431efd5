//! Connections are numbered as they come, and spread over the threads that serve them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;

use serde_json::Value;
use world::{Api, Backend, Program, eventually};

/// The open connections, once there are `count` of them.
fn connections(api: Api, count: usize) -> Vec<Value> {
    let open = || api.get("/v1/proxies/default/connections").json()["connections"].as_array().unwrap().clone();
    eventually("all are connected", || open().len() == count);
    open()
}

/// How many connections each of two workers has.
fn of_each_worker(connections: &[Value]) -> [usize; 2] {
    [0, 1].map(|worker| connections.iter().filter(|connection| connection["worker"] == worker).count())
}

#[test]
fn clients_that_connect_at_once_are_spread_evenly() {
    let vaurien = Program::start(&Backend::echo(), "--workers 2 --http --http-port 0");
    let (address, barrier) = (vaurien.address(), Barrier::new(16));
    let clients: Vec<TcpStream> = thread::scope(|scope| {
        let connect = || {
            barrier.wait();
            TcpStream::connect(address).unwrap()
        };
        let connecting: Vec<_> = (0..16).map(|_| scope.spawn(connect)).collect();
        connecting.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let [one, other] = of_each_worker(&connections(vaurien.api(), clients.len()));
    assert!(one.abs_diff(other) <= 2, "{one} and {other}");
}

#[test]
fn connections_are_numbered_in_the_order_in_which_they_were_made() {
    // They hang, so that no backend is needed.
    let vaurien = Program::start(&Backend::nobody(), "--workers 4 --handler hang --http --http-port 0");
    let (address, api) = (vaurien.address(), vaurien.api());
    let mut last = 0;
    for _ in 0..10 {
        let clients: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
        let numbered = connections(api, clients.len());
        let number = |client: SocketAddr| {
            let connection = numbered.iter().find(|connection| connection["peer"] == client.to_string());
            connection.unwrap()["id"].as_u64().unwrap()
        };
        let numbers: Vec<u64> = clients.iter().map(|client| number(client.local_addr().unwrap())).collect();
        let expected: Vec<u64> = (last + 1..=last + 1000).collect();
        assert_eq!(numbers, expected);
        last += 1000;
        drop(clients);
        connections(api, 0);
    }
}

#[test]
fn one_worker_serves_all_connections() {
    let vaurien = Program::start(&Backend::echo(), "--workers 1 --http --http-port 0");
    let clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(vaurien.address()).unwrap()).collect();
    assert_eq!(of_each_worker(&connections(vaurien.api(), clients.len())), [8, 0]);
}
