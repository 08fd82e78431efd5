//! Bulk traffic does not starve the calls of other connections in the same daemon.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::timeout;
use world::{Backend, Client, File, PATIENCE};

const DOWNLOADS: usize = 16;

/// Connections whose calls are delayed, and the calls of each.
const DELAYED: usize = 10;
const CALLS: usize = 20;
const SLEEP: Duration = Duration::from_millis(20);

fn proxy(name: &str, backend: SocketAddr, keys: &str) -> String {
    format!("[proxies.{name}]\nproxy = \"127.0.0.1:0\"\nbackend = \"{backend}\"\n{keys}\n")
}

/// Sends to each client for as long as it reads, all in one thread.
fn flood() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        in_one_thread(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((mut client, _)) = listener.accept().await {
                let block = vec![b'x'; 64 * 1024];
                tokio::spawn(async move { while client.write_all(&block).await.is_ok() {} });
            }
        });
    });
    address
}

fn in_one_thread<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Downloads on many connections, in one thread, until it is over.
fn download(from: SocketAddr, is_over: &AtomicBool) {
    in_one_thread(async {
        let streams = (0..DOWNLOADS).map(|_| async { TcpStream::connect(from).await.unwrap() });
        let mut streams: Vec<_> = futures_util::future::join_all(streams).await;
        let mut block = vec![0; 256 * 1024];
        while !is_over.load(Ordering::Relaxed) {
            for stream in &mut streams {
                let len = timeout(PATIENCE, stream.read(&mut block)).await.expect("a download stands still");
                assert!(len.unwrap() > 0, "a download has ended");
            }
        }
    });
}

/// By how much half of the calls to `delayed` are late, at least, while `bulk` is downloaded from.
fn lateness(delayed: SocketAddr, bulk: SocketAddr) -> Duration {
    let is_over = AtomicBool::new(false);
    let call = |client: &mut Client| {
        let begun = Instant::now();
        client.send("x").expect("x");
        begun.elapsed().checked_sub(SLEEP).unwrap()
    };
    let calls = || {
        let mut client = Client::connect(delayed);
        (0..CALLS).map(|_| call(&mut client)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        scope.spawn(|| download(bulk, &is_over));
        let calling: Vec<_> = (0..DELAYED).map(|_| scope.spawn(calls)).collect();
        let called: Vec<_> = calling.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        let mut late: Vec<Duration> = called.into_iter().flat_map(Result::unwrap).collect();
        late.sort_unstable();
        late[late.len() / 2]
    })
}

#[test]
fn delayed_calls_beside_downloads_are_hardly_later_than_in_a_daemon_of_their_own() {
    let (echo, flood) = (Backend::echo(), flood());
    let delay = format!("handler = \"delay\"\n[proxies.delayed.handlers.delay]\nsleep = \"{}ms\"\n", SLEEP.as_millis());
    let delayed = proxy("delayed", echo.address(), &delay);
    let bulk = proxy("bulk", flood, "");
    let (mut own, mut shared) = (Duration::MAX, Duration::MAX);
    // In turn, so that whatever else the machine does disturbs both; the least disturbed of each is compared.
    for _ in 0..10 {
        let (one, other) = (File::new(&delayed).start(""), File::new(&bulk).start(""));
        own = own.min(lateness(one.api().address("delayed"), other.api().address("bulk")));
        drop((one, other));
        let both = File::new(format!("{delayed}{bulk}")).start("");
        shared = shared.min(lateness(both.api().address("delayed"), both.api().address("bulk")));
        if shared <= own * 3 {
            return;
        }
    }
    panic!("late by {own:?} in a daemon of their own, by {shared:?} beside the downloads");
}
