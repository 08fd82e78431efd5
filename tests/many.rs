//! Many connections at once, and many one after another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use world::{Backend, Client, PATIENCE, Program, eventually};

/// Guards the descriptors of this process: each test needs most of them, so they run one at a time.
static DESCRIPTORS: Mutex<()> = Mutex::new(());

fn descriptors() -> MutexGuard<'static, ()> {
    DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `wanted`, or as many connections as this process has descriptors for with both ends of each.
fn as_many_as(wanted: usize) -> usize {
    let allowed = usize::try_from(rlimit::increase_nofile_limit(u64::MAX).unwrap()).unwrap();
    wanted.min((allowed - 200) / 2)
}

/// How much memory a sleeping or hanging connection may take, in bytes. An optimised build takes a tenth less.
const MEMORY: usize = 4700;

/// By how many bytes per connection `vaurien` has grown since it had `before` KiB.
fn memory_of_each(vaurien: &Program, before: u64, count: usize) -> usize {
    usize::try_from(vaurien.memory().saturating_sub(before)).unwrap() * 1024 / count
}

/// An echo server without a thread for each connection.
fn echo(runtime: &Runtime) -> String {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..len]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn nine_thousand_connections_sleep_at_once() {
    let _descriptors = descriptors();
    let runtime = Runtime::new().unwrap();
    let count = as_many_as(9000);
    let vaurien = Program::start_at(&echo(&runtime), "--handler delay --handler-delay-sleep 5");
    let (open, memory) = (vaurien.descriptors(), vaurien.memory());
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let address = vaurien.address();
            runtime.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let begun = Instant::now();
                stream.write_all(b"late").await.unwrap();
                let mut reply = [0; 4];
                stream.read_exact(&mut reply).await.unwrap();
                (reply, begun.elapsed())
            })
        })
        .collect();
    eventually("all sleep", || vaurien.descriptors() == open + 2 * count);
    let each = memory_of_each(&vaurien, memory, count);
    assert!(each < MEMORY, "{each} bytes");
    for call in calls {
        let (reply, took) = runtime.block_on(call).unwrap();
        assert_eq!(&reply, b"late");
        assert!(took >= Duration::from_secs(5), "{took:?}");
    }
    eventually("all connections are closed", || vaurien.descriptors() == open);
    assert_eq!(vaurien.stop().calls("delay"), count as u64);
}

#[test]
fn nine_thousand_hanging_connections_end_when_the_clients_leave() {
    let _descriptors = descriptors();
    let runtime = Runtime::new().unwrap();
    let count = as_many_as(9000);
    let backend = Backend::nobody();
    let vaurien = Program::start(&backend, "--handler hang");
    let (open, memory) = (vaurien.descriptors(), vaurien.memory());
    let address = vaurien.address();
    let clients: Vec<TcpStream> = (0..count).map(|_| runtime.block_on(TcpStream::connect(address)).unwrap()).collect();
    eventually("all hang", || vaurien.descriptors() == open + count);
    let each = memory_of_each(&vaurien, memory, count);
    assert!(each < MEMORY, "{each} bytes");
    drop(clients);
    eventually("all connections are closed", || vaurien.descriptors() == open);
    assert_eq!(vaurien.stop().calls("hang"), count as u64);
}

#[test]
fn nine_thousand_connections_are_spread_over_the_workers() {
    let _descriptors = descriptors();
    let runtime = Runtime::new().unwrap();
    let count = as_many_as(9000);
    let vaurien = Program::start(&Backend::nobody(), "--workers 3 --handler hang --http --http-port 0");
    let address = vaurien.address();
    let connecting: Vec<_> = (0..count).map(|_| runtime.spawn(TcpStream::connect(address))).collect();
    let _clients: Vec<_> = connecting.into_iter().map(|client| runtime.block_on(client).unwrap().unwrap()).collect();
    let open =
        || vaurien.api().get("/v1/proxies/default/connections").json()["connections"].as_array().unwrap().clone();
    eventually("all hang", || open().len() == count);
    let open = open();
    let of = |worker| open.iter().filter(|connection| connection["worker"] == worker).count();
    let (fewest, most) = (of(0).min(of(1)).min(of(2)), of(0).max(of(1)).max(of(2)));
    assert!(most <= fewest + 1 + fewest / 8 + 1, "{fewest} to {most}");
}

#[test]
fn nine_thousand_hanging_connections_are_released_by_one_request() {
    let _descriptors = descriptors();
    let runtime = Runtime::new().unwrap();
    let count = as_many_as(9000);
    let vaurien = Program::start(&Backend::lines(), "--handler hang --http --http-port 0");
    let (api, open, address) = (vaurien.api(), vaurien.descriptors(), vaurien.address());
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = runtime.block_on(TcpStream::connect(address)).unwrap();
            runtime.spawn(async move {
                let ended = client.read_u8().await.unwrap_err().kind();
                (ended, Instant::now())
            })
        })
        .collect();
    eventually("all hang", || vaurien.descriptors() == open + count);
    let listed = api.get("/v1/proxies/default/connections").json();
    assert_eq!(listed["connections"].as_array().unwrap().len(), count);
    assert_eq!(listed["connections"][0]["handler"], "hang");
    let asked = Instant::now();
    assert_eq!(api.put("/behavior", r#"{"name": "dummy"}"#).status, 200);
    for client in clients {
        let (ended, when) = runtime.block_on(client).unwrap();
        assert_eq!(ended, std::io::ErrorKind::ConnectionReset);
        let took = when - asked;
        assert!(took < RELEASE_TIME, "{took:?}");
    }
    vaurien.connect().send("a\r\n").expect("+a\r\n");
    assert_eq!(vaurien.stop().calls("hang"), count as u64);
}

/// A new plan must release all hanging calls within this time.
const RELEASE_TIME: Duration = Duration::from_secs(1);

/// How long a client waits whose call may have been drawn for `hang`.
const SHORT: Duration = Duration::from_millis(50);

/// Uses and ends a client in one of the possible ways.
fn live_and_die(mut client: Client, way: usize) {
    let call = b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n";
    let (sent, waits, resets) = match way % 8 {
        0 => (&[][..], false, false),
        1 => (&[][..], false, true),
        // Ends in the middle of a request.
        2 => (&call[..9], false, false),
        3 => (&call[..9], false, true),
        // Does not wait for the reply.
        4 => (&call[..], false, false),
        5 => (&call[..], false, true),
        _ => (&call[..], true, false),
    };
    // A handler or the backend may end it first.
    client.try_send(sent);
    if way % 8 == 7 {
        client.try_half_close();
    }
    if waits {
        client.try_read(SHORT);
    }
    if resets {
        client.reset();
    }
}

/// A backend that ends each connection in another way.
fn fickle() -> Backend {
    let next = AtomicUsize::new(0);
    Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.try_read(PATIENCE);
        match next.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => stream.reset(),
            1 => drop(stream.try_send(b"$100\r\nhalf")),
            2 => drop(stream.try_send(b"$2\r\nhi\r\n")),
            _ => {
                stream.try_send(b"$2\r\nhi\r\n");
                while stream.try_read(PATIENCE) {}
            }
        }
    })
}

/// Makes calls until one is served; returns how many. Clients are accepted in order, so by then all that connected
/// before have been accepted.
fn call_until_served(address: SocketAddr) -> usize {
    let mut calls = 0;
    eventually("a call is served", || {
        calls += 1;
        let mut client = Client::connect(address);
        // Gives up a call that was drawn for `hang`.
        client.try_send(b"PING\r\n") && client.try_read(Duration::from_secs(1))
    });
    calls
}

#[test]
fn fifty_thousand_connections_that_end_in_every_way_leak_nothing() {
    const COUNT: usize = 50_000;
    const THREADS: usize = 8;
    /// How far each thread may be ahead: the accept queue never overflows, and the system drops no client uncounted.
    const AHEAD: usize = 200;
    let _descriptors = descriptors();
    let mix = "--protocol redis --handler 10:blackout,10:error,10:delay,2:hang --handler-delay-sleep 0.001 --seed 5";
    let vaurien = Program::start(&fickle(), mix);
    let open = vaurien.descriptors();
    let more = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (address, more) = (vaurien.address(), &more);
            scope.spawn(move || {
                for number in 0..COUNT / THREADS {
                    live_and_die(Client::connect(address), number * THREADS + thread);
                    if number % AHEAD == AHEAD - 1 {
                        more.fetch_add(call_until_served(address), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let more = more.into_inner() + call_until_served(vaurien.address());
    eventually("all connections are closed", || vaurien.descriptors() == open);
    let counts = vaurien.stop();
    assert_eq!((counts.of("connections"), counts.of("dial failures")), ((COUNT + more) as u64, 0));
}
