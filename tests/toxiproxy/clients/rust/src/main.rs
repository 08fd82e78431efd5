//! Toxiproxy's clients for Rust, unchanged, against the server at `TOXIPROXY` in front of the echo at `BACKEND`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use noxious_client::{Client as Noxious, StreamDirection, Toxic, ToxicKind};
use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::ProxyPack;

fn main() {
    let [server, backend] = ["TOXIPROXY", "BACKEND"].map(|name| std::env::var(name).expect("it is set"));
    let client = std::env::args().nth(1).expect("the name of a client");
    match client.as_str() {
        "toxiproxy_rust" => toxiproxy_rust(&server, &backend),
        "noxious_client" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(noxious_client(&server, &backend));
        }
        other => panic!("unknown client {other}"),
    }
    println!("{client}: all is right");
}

/// Sends data through a proxy: what comes back until it is whole or the connection ends, and how long that took.
fn talk(listen: &str, data: &[u8]) -> (Vec<u8>, Duration) {
    let (begun, mut got) = (Instant::now(), Vec::new());
    let Ok(mut stream) = TcpStream::connect(listen) else { return (got, begun.elapsed()) };
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    if stream.write_all(data).is_ok() {
        let mut buffer = [0; 4096];
        while got.len() < data.len() {
            match stream.read(&mut buffer) {
                Ok(read @ 1..) => got.extend(&buffer[..read]),
                _ => break,
            }
        }
    }
    (got, begun.elapsed())
}

/// How long the end of a stream takes through a proxy.
fn close(listen: &str) -> Duration {
    let mut stream = TcpStream::connect(listen).expect("it listens");
    let begun = Instant::now();
    stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(stream.read(&mut [0]).expect("its end"), 0);
    begun.elapsed()
}

const HELLO: &[u8] = b"hello";
const LATE: Duration = Duration::from_millis(200);

fn toxiproxy_rust(server: &str, backend: &str) {
    let client = Client::new(server);
    assert!(client.is_running());
    assert_eq!(client.version().expect("a version"), "{\"version\": \"2.12.0\"}\n");
    let pack = |name: &str| ProxyPack::new(name.into(), "localhost:0".into(), backend.into());
    let made = client.populate(vec![pack("a"), pack("redis:6379")]).expect("proxies");
    assert_eq!(made.len(), 2);
    assert_eq!(client.all().expect("all").len(), 2);
    let proxy = client.find_and_reset_proxy("redis:6379").expect("a proxy");
    let listen = proxy.proxy_pack.listen.clone();
    assert_eq!(talk(&listen, HELLO).0, HELLO);
    proxy.with_down(|| assert!(TcpStream::connect(&listen).is_err())).expect("down");
    assert_eq!(talk(&listen, HELLO).0, HELLO);

    let stream = || "downstream".to_owned();
    proxy.with_latency(stream(), 200, 0, 1.0).apply(|| assert!(talk(&listen, HELLO).1 >= LATE)).expect("latency");
    proxy
        .with_bandwidth(stream(), 100, 1.0)
        .apply(|| assert!(talk(&listen, &[b'x'; 40_000]).1 >= Duration::from_millis(300)))
        .expect("bandwidth");
    proxy.with_slow_close(stream(), 200, 1.0).apply(|| assert!(close(&listen) >= LATE)).expect("slow_close");
    proxy.with_timeout(stream(), 100, 1.0).apply(|| assert!(talk(&listen, HELLO).0.is_empty())).expect("timeout");
    proxy
        .with_slicer(stream(), 2, 1, 10_000, 1.0)
        .apply(|| assert!(talk(&listen, &[b'x'; 40]).1 >= Duration::from_millis(100)))
        .expect("slicer");
    proxy.with_limit_data(stream(), 3, 1.0).apply(|| assert_eq!(talk(&listen, HELLO).0, b"hel")).expect("limit_data");
    assert!(proxy.toxics().expect("toxics").is_empty());

    let _ = proxy.with_latency("upstream".into(), 100, 0, 1.0);
    assert_eq!(proxy.toxics().expect("toxics").len(), 1);
    client.reset().expect("reset");
    assert!(proxy.toxics().expect("toxics").is_empty());
    proxy.delete().expect("deleted");
    assert!(client.find_proxy("redis:6379").is_err());
}

async fn noxious_client(server: &str, backend: &str) {
    let client = Noxious::new(server);
    client.create_proxy("redis:6379", "localhost:0", backend).await.expect("a proxy");
    assert!(client.create_proxy("redis:6379", "localhost:0", backend).await.is_err());
    assert_eq!(client.proxies().await.expect("proxies").len(), 1);
    let mut proxy = client.proxy("redis:6379").await.expect("the proxy");
    let listen = proxy.config.listen.clone();
    assert_eq!(talk(&listen, HELLO).0, HELLO);
    proxy.disable().await.expect("disabled");
    assert!(!proxy.is_enabled() && TcpStream::connect(&listen).is_err());
    proxy.enable().await.expect("enabled");
    assert_eq!(talk(&listen, HELLO).0, HELLO);

    let toxics: [(ToxicKind, &dyn Fn() -> bool); 6] = [
        (ToxicKind::Latency { latency: 200, jitter: 0 }, &|| talk(&listen, HELLO).1 >= LATE),
        (ToxicKind::Bandwidth { rate: 100 }, &|| talk(&listen, &[b'x'; 40_000]).1 >= Duration::from_millis(300)),
        (ToxicKind::SlowClose { delay: 200 }, &|| close(&listen) >= LATE),
        (ToxicKind::Timeout { timeout: 100 }, &|| talk(&listen, HELLO).0.is_empty()),
        (ToxicKind::Slicer { average_size: 2, size_variation: 1, delay: 10_000 }, &|| {
            talk(&listen, &[b'x'; 40]).1 >= Duration::from_millis(100)
        }),
        (ToxicKind::LimitData { bytes: 3 }, &|| talk(&listen, HELLO).0 == b"hel"),
    ];
    for (kind, is_seen) in toxics {
        let toxic = Toxic { kind, name: "tox".to_owned(), toxicity: 1.0, direction: StreamDirection::Downstream };
        proxy.add_toxic(&toxic).await.expect("a toxic");
        assert!(proxy.add_toxic(&toxic).await.is_err());
        assert_eq!(proxy.toxics().await.expect("toxics")[0].kind, kind);
        assert!(is_seen(), "{kind:?}");
        proxy.update_toxic("tox", 0.0, kind, StreamDirection::Downstream).await.expect("an update");
        assert_eq!(talk(&listen, HELLO).0, HELLO);
        proxy.remove_toxic("tox").await.expect("removed");
        assert!(proxy.remove_toxic("tox").await.is_err());
    }
    client.reset_state().await.expect("reset");
    assert_eq!(talk(&listen, HELLO).0, HELLO);
    proxy.delete().await.expect("deleted");
    assert!(client.proxy("redis:6379").await.is_err());
}
