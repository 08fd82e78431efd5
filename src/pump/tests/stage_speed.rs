//! What the write stage costs: measured over real sockets, by hand.
//!
//! `cargo test --release --lib stage_over_sockets -- --ignored --nocapture`
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures are what it is for")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use super::*;

/// What a direction may hold, in bytes.
const HELD: usize = 64 << 20;

#[test]
#[ignore = "a measurement, which nothing depends on"]
fn stage_over_sockets() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for latency in [None, Some(0), Some(100), None, Some(0), Some(100)] {
        let bytes = runtime.block_on(bulk(latency.map(Duration::from_millis)));
        let name = latency.map_or("no faults".to_owned(), |millis| format!("latency {millis} ms"));
        let allowed = latency.filter(|millis| *millis > 0).map(|millis| HELD as f64 * 1000.0 / millis as f64);
        let part =
            allowed.map_or(String::new(), |allowed| format!(", {:.2} of what {HELD} bytes allow", bytes / allowed));
        println!("{name}: {:.2} GB/s{part}", bytes / 1e9);
    }
}

/// How many bytes a second a client reads, in the two seconds behind the first.
async fn bulk(latency: Option<Duration>) -> f64 {
    let ((near_client, client), (near_backend, backend)) = (connect().await, connect().await);
    thread::spawn(move || {
        let block = vec![1; 1 << 20];
        while (&backend).write_all(&block).is_ok() {}
    });
    let reader = thread::spawn(move || {
        read_for(&client, Duration::from_secs(1));
        read_for(&client, Duration::from_secs(2))
    });
    let (_shutdown, proxy) = proxy(&Mix::default());
    if let Some(latency) = latency {
        // With 0 ms bytes go through a toxic that does nothing.
        set_toxics(&proxy, &[&format!("latency(latency={}ms)", latency.as_millis())]);
    }
    let options = Options { shape_buffer: HELD, ..Options::new(Protocol::Tcp, 1) };
    let pumps = options.pump(&proxy, near_client.into(), near_backend.into());
    let bytes = tokio::task::spawn_blocking(move || reader.join().unwrap()).await.unwrap();
    pumps.abort();
    bytes
}

/// A connection: one end for the pumps, and one for a thread.
async fn connect() -> (tokio::net::TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(tokio::net::TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let far = far.unwrap().0.into_std().unwrap();
    far.set_nonblocking(false).unwrap();
    (near.unwrap(), far)
}

/// How many bytes a second come in this time.
fn read_for(mut from: &TcpStream, time: Duration) -> f64 {
    let (mut block, mut bytes, begun) = (vec![0; 1 << 20], 0, Instant::now());
    while begun.elapsed() < time {
        bytes += from.read(&mut block).unwrap();
    }
    bytes as f64 / begun.elapsed().as_secs_f64()
}
