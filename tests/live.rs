//! A proxy that is changed while it serves: the next call gets the new plan, and calls held by the old plan are
//! released.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use vaurien::handler::{Blackout, Delay, Hang};
use vaurien::{Control, Daemon, Mix, Protocol, ProxyConfig, Seconds, Summary};
use world::client::Ending;
use world::{Backend, Client, eventually};

/// Longer than any test takes.
const FOR_EVER: Seconds = Seconds::from_secs(3600);

fn delay(before: bool) -> Mix {
    Mix::of("delay", Delay { sleep: FOR_EVER.into(), before })
}

fn hang() -> Mix {
    Mix::of("hang", Hang::default())
}

fn blackout() -> Mix {
    Mix::of("blackout", Blackout::default())
}

/// Runs `test` with a proxy to `backend` that it may change; returns the proxy's summary.
fn change(backend: &Backend, protocol: Protocol, mix: Mix, test: impl FnOnce(Control) + Send + 'static) -> Summary {
    let config = ProxyConfig::new("127.0.0.1:0", backend.address()).unwrap().protocol(protocol).handler(mix);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let daemon = Daemon::bind(&config, 42).await.unwrap();
        let control = daemon.proxy("default").unwrap();
        daemon.serve(async { tokio::task::spawn_blocking(|| test(control)).await.unwrap() }).await
    })
}

fn address(control: &Control) -> SocketAddr {
    control.addresses()[0]
}

/// A client whose first call has been answered, so that it is connected to the backend.
fn settled(control: &Control) -> Client {
    let mut client = Client::connect(address(control));
    client.send("a\r\n").expect("+a\r\n");
    client
}

/// Waits until `handler` holds this many calls.
fn taken(control: &Control, handler: &str, calls: u64) {
    eventually("the calls are held", || control.summary().faults_of(handler) == calls);
}

#[test]
fn the_next_call_gets_the_new_plan() {
    for protocol in [Protocol::Tcp, Protocol::Redis] {
        let summary = change(&Backend::lines(), protocol, Mix::default(), |control| {
            let (mut calling, mut silent) = (settled(&control), settled(&control));
            let mut new = Client::connect(address(&control));
            eventually("the client is accepted", || control.summary().open == 3);
            control.set_handler(blackout());
            assert_eq!(calling.send("b\r\n").ending(), Ending::Closed);
            assert_eq!(new.send("b\r\n").ending(), Ending::Closed, "the first call begins with the first byte");
            control.set_handler(Mix::default());
            silent.send("c\r\n").expect("+c\r\n");
        });
        assert_eq!((summary.calls_of("dummy"), summary.calls_of("blackout")), (3, 2), "{protocol}");
        assert_eq!((summary.faults_of("dummy"), summary.faults_of("blackout")), (0, 2), "{protocol}");
    }
}

#[test]
fn a_sleeping_call_continues_at_once() {
    for (protocol, before) in
        [(Protocol::Tcp, true), (Protocol::Tcp, false), (Protocol::Redis, true), (Protocol::Redis, false)]
    {
        change(&Backend::lines(), protocol, delay(before), move |control| {
            let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(address(&control))).collect();
            for client in &mut clients {
                client.send("a\r\n");
            }
            taken(&control, "delay", 10);
            control.set_handler(Mix::default());
            for client in &mut clients {
                client.expect("+a\r\n").send("b\r\n").expect("+b\r\n");
            }
        });
    }
}

#[test]
fn a_hanging_call_is_reset_at_once() {
    for protocol in [Protocol::Tcp, Protocol::Redis] {
        change(&Backend::lines(), protocol, Mix::default(), |control| {
            let mut later = settled(&control);
            control.set_handler(hang());
            later.send("b\r\n");
            let mut first = Client::connect(address(&control));
            taken(&control, "hang", 2);
            control.set_handler(Mix::default());
            assert_eq!((later.ending(), first.ending()), (Ending::Reset, Ending::Reset));
            settled(&control);
        });
    }
}

#[test]
fn a_call_keeps_its_plan_to_its_end() {
    let (asked, told) = mpsc::channel();
    let backend = Backend::new(move |mut stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        asked.send(()).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(b"done!").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let summary = change(&backend, Protocol::Tcp, Mix::default(), move |control| {
        let mut client = Client::connect(address(&control));
        client.send("first");
        told.recv().unwrap();
        control.set_handler(blackout());
        client.send("later").expect("done!");
        assert_eq!(client.send("next").ending(), Ending::Closed);
    });
    assert_eq!((summary.calls_of("dummy"), summary.calls_of("blackout")), (1, 1));
}

#[test]
fn a_reply_waiting_for_a_slow_client_survives_a_new_plan() {
    const GREETING: usize = 16 << 20;
    let sent = world::noise(7, GREETING);
    let greeting = sent.clone();
    let backend = Backend::new(move |mut stream| {
        let mut reading = stream.try_clone().unwrap();
        let call = thread::spawn(move || reading.read_exact(&mut [0; 4]));
        stream.write_all(&greeting).unwrap();
        call.join().unwrap().unwrap();
        stream.write_all(b"done").unwrap();
    });
    change(&backend, Protocol::Tcp, Mix::default(), move |control| {
        let mut client = Client::connect(address(&control));
        let mut all = client.read(1);
        let before = control.summary().to_client;
        eventually("the proxy reads no more", || control.summary().to_client > before.max(1 << 20));
        let slow = Delay { sleep: Seconds::from_millis(1).into(), before: true };
        control.set_handler(Mix::of("delay", slow));
        client.send("call");
        all.extend(client.read(GREETING - 1));
        client.expect("done");
        assert!(all == sent);
        assert_eq!(control.summary().faults_of("delay"), 1);
    });
}

#[test]
fn a_disabled_proxy_refuses_clients_and_listens_again_on_its_port() {
    let summary = change(&Backend::lines(), Protocol::Redis, Mix::default(), |control| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let enable = |enabled| runtime.block_on(control.set_enabled(enabled)).unwrap();
        let before = address(&control);
        let mut client = settled(&control);
        enable(false);
        assert!(control.addresses().is_empty());
        assert_eq!(client.ending(), Ending::Closed);
        let refused = TcpStream::connect(before).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        enable(false);
        enable(true);
        assert_eq!(address(&control), before);
        settled(&control);
    });
    assert_eq!(summary.connections, 2);
}

#[test]
fn two_proxies_have_two_names() {
    let config = ProxyConfig::new("127.0.0.1:0", "localhost:1").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(Daemon::bind_all([&config, &config], 1)).unwrap_err();
    assert!(refused.to_string().ends_with("another proxy is named `default`: give each its own name"), "{refused}");
}

#[test]
fn hanging_calls_are_closed_when_the_proxy_is_disabled() {
    change(&Backend::lines(), Protocol::Tcp, hang(), |control| {
        let mut client = Client::connect(address(&control));
        taken(&control, "hang", 1);
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(control.set_enabled(false)).unwrap();
        assert_eq!(client.ending(), Ending::Closed);
        assert!(begun.elapsed() < Duration::from_secs(4), "must not take the grace period");
    });
}
