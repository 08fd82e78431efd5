use std::io;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::*;
use crate::program::api::{HEAD_TIMEOUT, WRITE_TIMEOUT, routes, serve};

const CONNECTIONS: usize = 3;

/// An API on a free port, with the sender that stops it.
async fn start() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let access = Access::new("127.0.0.1", &[], None);
    let api = Api::new(proxies(), Registry::default(), Folder::default(), access);
    let serving = tokio::spawn(async move {
        serve(vec![listener], routes::router(api), CONNECTIONS, async move { drop(stopped.await) }).await;
    });
    (address, stop, serving)
}

async fn ask_for(client: &mut TcpStream, path: &str) -> String {
    let host = client.peer_addr().unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let size = client.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..size]).into_owned()
}

#[tokio::test]
async fn a_connection_is_kept_until_the_program_stops() {
    let (address, stop, serving) = start().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        assert!(ask_for(&mut client, "/healthz").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(ask_for(&mut client, "/v1/events").await.contains("text/event-stream"));
    stop.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_readers_of_events_are_waited_for() {
    let (address, _stop, _serving) = start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(ask_for(&mut client, "/v1/events").await.contains("text/event-stream"));
        clients.push(client);
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    let mut answered = pin!(ask_for(&mut late, "/healthz"));
    assert!(timeout(2 * HEAD_TIMEOUT, &mut answered).await.is_err(), "answered beside {CONNECTIONS} others");
    clients.pop();
    assert!(answered.await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn the_one_that_waited_longest_for_its_client_makes_room() {
    let (address, _stop, _serving) = start().await;
    let mut reader = TcpStream::connect(address).await.unwrap();
    assert!(ask_for(&mut reader, "/v1/events").await.contains("text/event-stream"));
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut asks = TcpStream::connect(address).await.unwrap();
    for _ in 0..20 {
        assert!(ask_for(&mut asks, "/healthz").await.starts_with("HTTP/1.1 200 OK\r\n"));
        let begun = Instant::now();
        let mut late = TcpStream::connect(address).await.unwrap();
        assert!(ask_for(&mut late, "/healthz").await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(begun.elapsed() < HEAD_TIMEOUT, "{:?}", begun.elapsed());
        // It has, and not the one that asks nor the one that reads events.
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        idle = late;
    }
    let ended = reader.try_read(&mut [0]);
    assert!(ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "{ended:?}");
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_asked_for() {
    let (address, _stop, _serving) = start().await;
    let ask = async |line: &str, host: &str| {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-Continue\r\nContent-Length: 21\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let size = client.read(&mut answer).await.unwrap();
        (client, String::from_utf8_lossy(&answer[..size]).into_owned())
    };
    let host = address.to_string();
    for (line, host, status) in [
        ("PUT /v1/label", "elsewhere", "403"),
        ("PUT /nowhere", &host, "404"),
        ("PUT /healthz", &host, "405"),
        ("GET /healthz", &host, "200"),
    ] {
        let (mut client, mut answer) = ask(line, host).await;
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{line}: {answer}");
    }
    let (mut client, asked_for) = ask("PUT /v1/label", &host).await;
    assert_eq!(asked_for, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(br#"{"label": "test_pay"}"#).await.unwrap();
    let mut answer = vec![0; 4096];
    let size = client.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..size]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("connection: close"), "{answer}");
    // The connection is good for another request.
    assert!(ask_for(&mut client, "/v1/label").await.contains("test_pay"));
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let (address, _stop, _serving) = start().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let path = format!("/healthz?{}", "x".repeat(60_000));
    assert!(ask_for(&mut client, &path).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nX: {}", "x".repeat(66_000));
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    // Twice the limit is refused even if the head is complete.
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(2 * 65_536));
    // It may be refused before it is sent.
    let _ = client.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_read_lose_their_places() {
    let (address, _stop, _serving) = start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /v1/openapi.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
        client.write_all(request.repeat(200).as_bytes()).await.unwrap();
        clients.push(client);
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    let answer = timeout(2 * WRITE_TIMEOUT, ask_for(&mut late, "/healthz")).await.expect("a place");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    drop(clients);
}
