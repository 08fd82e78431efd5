//! Toxics on real sockets: they are added, changed and removed while connections are open.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use vaurien::handler::Delay;
use vaurien::{Control, Daemon, Mix, Protocol, ProxyConfig, Toxic};
use world::client::Ending;
use world::{Backend, Client, eventually};

const MIB: usize = 1 << 20;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn toxics(texts: &[&str]) -> Vec<Toxic> {
    texts.iter().flat_map(|text| Toxic::parse_all(text).unwrap()).collect()
}

fn config(backend: &Backend) -> ProxyConfig {
    ProxyConfig::new("127.0.0.1:0", backend.address()).unwrap()
}

/// Runs `test` with a proxy that has these toxics at first, and that it may change.
fn with(config: ProxyConfig, texts: &[&str], seed: u64, test: impl FnOnce(Control) + Send + 'static) {
    let mut config = config;
    config.toxics = toxics(texts);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let daemon = Daemon::bind(&config, seed).await.unwrap();
        let control = daemon.proxy("default").unwrap();
        daemon.serve(async { tokio::task::spawn_blocking(|| test(control)).await.unwrap() }).await
    });
}

fn address(control: &Control) -> SocketAddr {
    control.addresses()[0]
}

fn set(control: &Control, texts: &[&str]) {
    control.set_toxics(toxics(texts)).unwrap();
}

/// A client that has been answered, so that it is connected to the backend.
fn settled(control: &Control) -> Client {
    let mut client = Client::connect(address(control));
    client.send("a").expect("a");
    client
}

/// Toxics that lose nothing, in any order.
fn harmless(random: &mut ChaCha8Rng) -> Vec<String> {
    let mut texts = Vec::new();
    for direction in ["upstream", "downstream"] {
        let all = [
            format!("latency(latency={}us,jitter={}us)", random.random_range(0..3000), random.random_range(0..3000)),
            format!("bandwidth(rate={}MB/s)", random.random_range(800..3000)),
            format!("slicer(average_size={},size_variation=5000)", random.random_range(20_000..90_000)),
            "loss(rate=0.0001,rto=2ms)".to_owned(),
            "slow_close(delay=1ms)".to_owned(),
            "noop".to_owned(),
        ];
        let mut chosen: Vec<_> = all.into_iter().filter(|_| random.random_bool(0.3)).collect();
        chosen.shuffle(random);
        texts.extend(chosen.iter().map(|toxic| format!("{direction}:{toxic}")));
    }
    texts
}

/// Sends so many random bytes; returns their hash.
fn send_random(mut to: &TcpStream, len: usize, seed: u64) -> Vec<u8> {
    let (mut random, mut hash, mut block) = (ChaCha8Rng::seed_from_u64(seed), Sha256::new(), vec![0; MIB]);
    for _ in 0..len / MIB {
        random.fill_bytes(&mut block);
        hash.update(&block);
        to.write_all(&block).unwrap();
    }
    to.shutdown(Shutdown::Write).unwrap();
    hash.finalize().to_vec()
}

/// The hash of all that comes, and how many bytes that is.
fn receive_all(mut from: &TcpStream) -> (usize, Vec<u8>) {
    let (mut hash, mut block, mut len) = (Sha256::new(), vec![0; MIB], 0);
    loop {
        match from.read(&mut block).unwrap() {
            0 => return (len, hash.finalize().to_vec()),
            read => {
                hash.update(&block[..read]);
                len += read;
            }
        }
    }
}

#[test]
fn two_gibibytes_each_way_survive_a_thousand_changes() {
    const LEN: usize = 2048 * MIB;
    let (hashes, served) = std::sync::mpsc::channel();
    let backend = Backend::new(move |stream| {
        let sent = thread::scope(|scope| {
            let sent = scope.spawn(|| send_random(&stream, LEN, 2));
            (receive_all(&stream), sent.join().unwrap())
        });
        hashes.send(sent).unwrap();
    });
    with(config(&backend), &[], 1, move |control| {
        let client = TcpStream::connect(address(&control)).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut random, mut changes) = (ChaCha8Rng::seed_from_u64(3), 0);
                while !is_over.load(Ordering::Relaxed) || changes < 1000 {
                    let texts = harmless(&mut random);
                    set(&control, &texts.iter().map(String::as_str).collect::<Vec<_>>());
                    changes += 1;
                    // Changes are spread over all that passes.
                    while !is_over.load(Ordering::Relaxed)
                        && control.summary().to_client < changes * (LEN as u64 / 1000)
                    {
                        thread::yield_now();
                    }
                }
                set(&control, &[]);
            });
            let sent = scope.spawn(|| send_random(&client, LEN, 1));
            let received = receive_all(&client);
            let sent = sent.join().unwrap();
            is_over.store(true, Ordering::Relaxed);
            let (backend_received, backend_sent) = served.recv().unwrap();
            assert!(received == (LEN, backend_sent), "to the client: {}", received.0);
            assert!(backend_received == (LEN, sent), "to the backend: {}", backend_received.0);
        });
    });
}

#[test]
fn what_a_removed_latency_holds_goes_on_in_order_at_once() {
    for protocol in [Protocol::Tcp, Protocol::Redis] {
        let mut config = config(&Backend::lines());
        config.protocol = protocol;
        with(config, &["both:latency(latency=1h)"], 1, |control| {
            let mut client = Client::connect(address(&control));
            for line in 0..100 {
                client.send(format!("GET {line}\r\n"));
            }
            eventually("the proxy holds the lines", || control.summary().to_backend >= 790);
            let begun = Instant::now();
            set(&control, &["latency(latency=1h)"]);
            eventually("the replies are held", || control.summary().to_client >= 890);
            assert!(client.is_silent());
            set(&control, &[]);
            for line in 0..100 {
                client.expect(format!("+GET {line}\r\n"));
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
            // And directly from now on.
            client.send("GET a\r\n").expect("+GET a\r\n");
        });
    }
}

#[test]
fn a_changed_latency_holds_for_what_is_on_its_way() {
    with(config(&Backend::echo()), &["latency(latency=1h)"], 1, |control| {
        let mut client = Client::connect(address(&control));
        client.send("a");
        eventually("the reply is held", || control.summary().to_client == 1);
        set(&control, &["latency(latency=1ms)"]);
        client.expect("a");
    });
}

#[test]
fn another_order_is_in_force_on_open_connections() {
    with(config(&Backend::echo()), &["latency(latency=1h)", "limit_data(bytes=0)"], 1, |control| {
        let [mut one, mut other] = [(); 2].map(|()| Client::connect(address(&control)));
        // Nothing is in the way of the new order here, and there a byte that is held.
        other.send("a");
        eventually("the byte is held", || control.summary().to_client == 1);
        set(&control, &["limit_data(bytes=0)", "latency(latency=1h)"]);
        one.send("b");
        assert_eq!(one.ending(), Ending::Closed);
        other.send("c");
        eventually("the byte is held", || control.summary().to_client == 3);
        assert!(other.is_silent());
        // What was held has the limit behind it.
        set(&control, &["limit_data(bytes=0)", "latency(latency=1ms)"]);
        assert_eq!(other.read_to_end(), (Vec::new(), Ending::Closed));
    });
}

#[test]
fn what_is_held_when_the_order_changes_passes_each_toxic_once() {
    with(config(&Backend::echo()), &["limit_data(bytes=6)", "latency(latency=1h)"], 1, |control| {
        let mut client = Client::connect(address(&control));
        client.send("0123");
        eventually("the bytes are held", || control.summary().to_client == 4);
        set(&control, &["latency(latency=1h)", "limit_data(bytes=6)"]);
        client.send("4567");
        eventually("the others as well", || control.summary().to_client == 8);
        assert!(client.is_silent());
        set(&control, &["latency(latency=1ms)", "limit_data(bytes=6)"]);
        // The limit has counted the first four once, and ends behind two of the others.
        assert_eq!(client.read_to_end(), (b"012345".to_vec(), Ending::Closed));
    });
}

#[test]
fn a_stalled_connection_goes_on_when_its_toxic_is_removed() {
    with(config(&Backend::echo()), &[], 1, |control| {
        let mut client = settled(&control);
        set(&control, &["both:bandwidth(rate=0)"]);
        client.send("b");
        eventually("the byte is held", || control.summary().to_backend == 2);
        set(&control, &["bandwidth(rate=0)"]);
        eventually("the reply is held", || control.summary().to_client == 2);
        assert!(client.is_silent());
        set(&control, &[]);
        client.expect("b");
    });
}

/// Which of 40 open connections are reset by `reset_peer(toxicity=0.5)`.
fn drawn(seed: u64, others: &[&str]) -> Vec<bool> {
    let (results, drawn) = std::sync::mpsc::channel();
    let all = [others, &["reset_peer(toxicity=0.5)"]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    with(config(&Backend::echo()), &[], seed, move |control| {
        let mut clients: Vec<_> = (0..40).map(|_| settled(&control)).collect();
        set(&control, &all.iter().map(String::as_str).collect::<Vec<_>>());
        let is_reset = |client: &mut Client| {
            client.send("b");
            let mut byte = [0];
            match client.stream().read_exact(&mut byte).map_err(|error| error.kind()) {
                Ok(()) => byte != *b"b",
                Err(kind) => kind == ErrorKind::ConnectionReset,
            }
        };
        results.send(clients.iter_mut().map(is_reset).collect()).unwrap();
    });
    drawn.recv().unwrap()
}

#[test]
fn open_connections_are_reset_if_they_were_drawn_and_the_seed_decides() {
    let first = drawn(7, &[]);
    let hit = first.iter().filter(|hit| **hit).count();
    assert!((10..=30).contains(&hit), "{hit} of 40");
    assert_eq!(drawn(7, &[]), first);
    // Another toxic does not redraw it.
    assert_eq!(drawn(7, &["latency(latency=1ms, toxicity=0.3)"]), first);
    assert_ne!(drawn(8, &[]), first);
}

#[test]
fn removing_a_timeout_closes_the_connections_that_lost_bytes() {
    with(config(&Backend::echo()), &[], 1, |control| {
        let (mut lossy, mut silent) = (settled(&control), settled(&control));
        set(&control, &["timeout"]);
        lossy.send("b");
        eventually("the echo is lost", || control.summary().to_client == 3);
        assert!(lossy.is_silent());
        set(&control, &[]);
        assert_eq!(lossy.ending(), Ending::Closed);
        silent.send("c").expect("c");
    });
}

#[test]
fn a_timeout_closes_a_connection_that_is_silent_for_so_long() {
    with(config(&Backend::echo()), &[], 1, |control| {
        let mut client = settled(&control);
        let begun = Instant::now();
        set(&control, &["timeout(timeout=200ms)"]);
        assert_eq!(client.ending(), Ending::Closed);
        assert!(begun.elapsed() >= millis(200));
    });
}

#[test]
fn a_limit_counts_exactly_over_changes_and_is_for_one_connection() {
    with(config(&Backend::echo()), &["limit_data(bytes=10)"], 1, |control| {
        let mut client = Client::connect(address(&control));
        client.send("0123").expect("0123");
        set(&control, &["limit_data(bytes=6)"]);
        client.send("456789");
        assert_eq!(client.read_to_end(), (b"45".to_vec(), Ending::Closed));
        let mut other = Client::connect(address(&control));
        other.send("0123").expect("0123");
        set(&control, &["limit_data(bytes=0)"]);
        let mut none = Client::connect(address(&control));
        assert!(none.is_silent(), "it is open until the first byte");
        none.send("a");
        assert_eq!(none.ending(), Ending::Closed);
    });
}

#[test]
fn a_shared_limit_is_one_for_all_connections() {
    with(config(&Backend::echo()), &["limit_data(bytes=10, shared=true)"], 1, |control| {
        let [mut one, mut other] = [(); 2].map(|()| Client::connect(address(&control)));
        one.send("0123").expect("0123");
        other.send("0123456789");
        assert_eq!(other.read_to_end(), (b"012345".to_vec(), Ending::Closed));
        one.send("4");
        assert_eq!(one.ending(), Ending::Closed);
    });
}

#[test]
fn a_shared_rate_is_one_for_all_connections() {
    // What passes at most in the time that was seen to pass.
    for (shared, links) in [("true", 1.0), ("false", 4.0)] {
        let toxic = format!("bandwidth(rate=1MB/s, shared={shared})");
        with(config(&Backend::echo()), &[&toxic], 1, move |control| {
            let begun = Instant::now();
            thread::scope(|scope| {
                for _ in 0..4 {
                    let mut client = Client::connect(address(&control));
                    scope.spawn(move || {
                        client.send(vec![b'x'; 100_000]);
                        client.read(100_000);
                    });
                }
            });
            let least = 0.4 / links;
            assert!(begun.elapsed().as_secs_f64() >= least * 0.99, "{:?} at {shared}", begun.elapsed());
        });
    }
}

#[test]
fn half_closes_survive_every_toxic() {
    let all = [
        "latency(latency=5ms)",
        "bandwidth(rate=1MB/s)",
        "slow_close(delay=20ms)",
        "slicer(average_size=10, delay=1us)",
        "limit_data(bytes=1MB)",
        "loss(rate=0.5, rto=5ms)",
        "corrupt(rate=0)",
        "noop",
    ];
    for toxic in all {
        let backend = Backend::new(|mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        with(config(&backend), &[&format!("both:{toxic}")], 1, move |control| {
            let mut client = Client::connect(address(&control));
            client.send("all of it");
            client.stream().shutdown(Shutdown::Write).unwrap();
            assert_eq!(client.read_to_end(), (b"all of it".to_vec(), Ending::Closed), "{toxic}");
        });
    }
}

#[test]
fn toxics_and_handlers_act_on_one_connection() {
    let delay = Mix::of("delay", Delay { sleep: millis(100).into(), before: true });
    let config = config(&Backend::lines()).protocol(Protocol::Redis).handler(delay);
    with(config, &["both:latency(latency=100ms)"], 1, |control| {
        let mut client = Client::connect(address(&control));
        let begun = Instant::now();
        client.send("GET a\r\n").expect("+GET a\r\n");
        assert!(begun.elapsed() >= millis(300), "{:?}", begun.elapsed());
        assert_eq!(control.summary().faults_of("delay"), 1);
    });
}

#[test]
fn thousands_of_held_connections_are_let_go_at_once() {
    // Each connection has four descriptors here.
    let descriptors = usize::try_from(rlimit::increase_nofile_limit(u64::MAX).unwrap()).unwrap();
    let count = (descriptors / 6).min(5000);
    assert!(count >= 500, "too few descriptors: {descriptors}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = ProxyConfig::new("127.0.0.1:0", listener.local_addr().unwrap()).unwrap();
    // Each gets a byte, which is lost on its way to the client.
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"a");
            held.push(stream);
        }
    });
    with(config, &["timeout"], 1, move |control| {
        let mut clients: Vec<Client> = Vec::new();
        while clients.len() < count {
            // No more at once than the backend's queue has room for.
            clients.extend((0..100).map(|_| Client::connect(address(&control))));
            eventually("all have lost a byte", || control.summary().to_client == clients.len() as u64);
        }
        let begun = Instant::now();
        set(&control, &[]);
        assert!(begun.elapsed() < Duration::from_secs(1), "it waits for no traffic: {:?}", begun.elapsed());
        assert!(clients.iter_mut().all(|client| client.ending() == Ending::Closed));
    });
}

#[test]
fn two_toxics_of_one_name_are_refused() {
    with(config(&Backend::echo()), &[], 1, |control| {
        let wrong = control.set_toxics(toxics(&["noop", "noop"])).unwrap_err();
        let message = "toxics: `noop`: another toxic is called `noop_downstream`, write `NAME=noop`";
        assert_eq!(wrong.to_string(), message);
        assert!(control.toxics().is_empty());
    });
}

#[test]
fn a_toxic_is_a_fault_once_for_a_connection_that_it_touches() {
    let seen = Arc::new(AtomicBool::new(false));
    let done = seen.clone();
    with(config(&Backend::echo()), &["latency(latency=1ms)", "limit_data(bytes=100)"], 1, move |control| {
        let mut client = Client::connect(address(&control));
        client.send("a").expect("a").send("b").expect("b");
        let summary = control.summary();
        assert_eq!((summary.faults_of("latency_downstream"), summary.faults_of("limit_data_downstream")), (1, 0));
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed));
}
