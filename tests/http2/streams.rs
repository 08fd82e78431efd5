//! What passes with a stream: heads, bodies and trailers as they are, in both directions at once, beside a thousand others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::{Barrier, mpsc};

use super::peer::{Backend, Client, answer, echo, fields, patient, read, reply, request, send};
use super::world::program::Counts;
use super::world::{Program, noise};

/// With and without a handler that has each call in hand.
const HANDLERS: [&str; 2] = ["dummy", "delay(sleep=0)+delay(sleep=0, before=false)"];

fn start(backend: &Backend, options: &str) -> Program {
    Program::start_at(&backend.address(), &format!("--protocol http {options}"))
}

fn start_with(backend: &Backend, handler: &str) -> Program {
    let mut command = Program::command("--proxy 127.0.0.1:0 --protocol http --backend");
    Program::spawn(command.arg(backend.address()).args(["--handler", handler]))
}

/// How many calls the one handler had.
fn called(counts: &Counts) -> u64 {
    let handlers = ["dummy", "delay+delay"];
    let row = counts.lines.iter().filter_map(|line| line.split_ascii_whitespace().next());
    counts.calls(row.rev().find(|name| handlers.contains(name)).unwrap())
}

type Pairs = Vec<(String, Vec<u8>)>;

fn pairs(fields: &HeaderMap) -> Pairs {
    fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

#[tokio::test]
async fn heads_bodies_and_trailers_pass() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(move |request, mut respond| {
        let tell = tell.clone();
        async move {
            let (head, mut body) = request.into_parts();
            let (body, trailers) = read(&mut body).await.unwrap();
            let mut response = Response::builder().status(207).header("x-b", "1").header("x-a", "2").header("x-b", "");
            response.headers_mut().unwrap().insert("x-raw", http::HeaderValue::from_bytes(b"\xc3\xa4\xff").unwrap());
            let mut to = respond.send_response(response.body(()).unwrap(), false).unwrap();
            send(&mut to, body.clone().into()).await.unwrap();
            to.send_trailers(fields(&[("x-t", "5"), ("grpc-status", "0"), ("x-t", "6")])).unwrap();
            tell.send((head, body, trailers)).unwrap();
        }
    });
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        for (number, len) in [0, 1, 16_384, 65_535, 65_537, 1_000_000].into_iter().enumerate() {
            let uri = format!("https://user.example:8443/a/{number}%20b/../?q=%zz&x=1");
            let mut asked = Request::builder().method("PROPFIND").uri(&uri).header("te", "trailers");
            for (name, value) in [("cookie", "a=1"), ("x-2", "b"), ("cookie", "c=2"), ("x-1", ""), ("x-2", "a")] {
                asked = asked.header(name, value);
            }
            let asked = asked.body(()).unwrap();
            let (expected, body) = (asked.headers().clone(), noise(len as u64, len));
            let trailers = (number % 2 == 0).then(|| fields(&[("x-sum", "1"), ("x-sum", "2")]));
            let reply = client.ask(asked, body.clone().into(), trailers.clone()).await.unwrap();
            let (head, got, ended) = patient(told.recv()).await.unwrap();
            assert_eq!((head.method.as_str(), head.uri.to_string()), ("PROPFIND", uri), "{handler}");
            assert_eq!(pairs(&head.headers), pairs(&expected));
            assert!(got == body && reply.body == body, "{handler} {len}: {} and {}", got.len(), reply.body.len());
            assert_eq!(ended, trailers);
            assert_eq!((reply.status, reply.interim), (207, vec![]));
            let fields = [("x-b", &b"1"[..]), ("x-b", b""), ("x-a", b"2"), ("x-raw", b"\xc3\xa4\xff")];
            assert_eq!(pairs(&reply.headers), fields.map(|(name, value)| (name.to_owned(), value.to_vec())));
            assert_eq!(reply.trailers.unwrap().get_all("x-t").iter().collect::<Vec<_>>(), ["5", "6"]);
        }
        assert_eq!(backend.connections(), 1 + usize::from(handler != "dummy"));
        drop(client);
        let counts = vaurien.stop();
        assert_eq!((counts.of("opaque"), called(&counts)), (0, 6), "{handler}");
    }
}

#[tokio::test]
async fn fifty_megabytes_pass_in_both_directions_at_once() {
    let backend = Backend::echo();
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        let body = Bytes::from(noise(1, 50_000_000));
        let reply = client.ask(request(Method::POST, "/"), body.clone(), None).await.unwrap();
        assert!(reply.body == body, "{handler}: {}", reply.body.len());
    }
}

#[tokio::test]
async fn interim_responses_pass() {
    let backend = Backend::new(|request, mut respond| async move {
        let early = |status: u16| Response::builder().status(status).header("link", "</a>").body(()).unwrap();
        respond.send_informational(early(103)).unwrap();
        respond.send_informational(early(103)).unwrap();
        let mut body = request.into_body();
        if !body.is_end_stream() {
            respond.send_informational(early(100)).unwrap();
            assert_eq!(read(&mut body).await.unwrap().0, b"body");
        }
        answer(respond, 204);
    });
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        let got = client.get("/").await.unwrap();
        assert_eq!((got.interim, got.status), (vec![103, 103], 204), "{handler}");
        let mut asked = request(Method::PUT, "/");
        asked.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let (mut response, mut to) = client.begin(asked, false).await;
        // The body is sent only once that has come.
        let mut interim = Vec::new();
        while interim.last() != Some(&StatusCode::CONTINUE) {
            let next = std::future::poll_fn(|cx| response.poll_informational(cx));
            interim.push(patient(next).await.unwrap().unwrap().status());
        }
        assert_eq!(interim.len(), 3);
        send(&mut to, Bytes::from_static(b"body")).await.unwrap();
        to.send_data(Bytes::new(), true).unwrap();
        assert_eq!(patient(reply(response)).await.unwrap().status, 204, "{handler}");
    }
}

#[tokio::test]
async fn what_has_no_body_has_its_length() {
    let backend = Backend::new(|request, mut respond| async move {
        let status = if request.uri().path() == "/304" { 304 } else { 200 };
        let response = Response::builder().status(status).header("content-length", "1234");
        respond.send_response(response.body(()).unwrap(), true).unwrap();
    });
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        for (method, path) in [(Method::HEAD, "/200"), (Method::GET, "/304")] {
            let got = client.ask(request(method, path), Bytes::new(), None).await.unwrap();
            assert_eq!((got.status.to_string(), got.header("content-length")), (path[1..].to_owned(), Some("1234")));
            assert!(got.body.is_empty() && got.trailers.is_none());
        }
    }
}

#[tokio::test]
async fn a_thousand_streams_are_open_at_once() {
    const STREAMS: usize = 1000;
    let all = Arc::new(Barrier::new(STREAMS));
    let backend = Backend::with(server::Builder::new().max_concurrent_streams(2000), move |request, respond| {
        let all = all.clone();
        async move {
            // Each is answered once all are here.
            all.wait().await;
            echo(request, respond).await;
        }
    });
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        let asked = (0..STREAMS).map(|number| {
            let (client, body) = (&client, Bytes::from(noise(number as u64, 2000)));
            async move {
                let got = client.ask(request(Method::POST, "/"), body.clone(), None).await.unwrap();
                assert!(got.body == body);
            }
        });
        patient(futures_util::future::join_all(asked)).await;
        drop(client);
        assert_eq!(called(&vaurien.stop()), STREAMS as u64, "{handler}");
    }
    assert_eq!(backend.connections(), HANDLERS.len());
}

#[tokio::test]
async fn messages_go_back_and_forth_on_many_streams() {
    let backend = Backend::echo();
    let vaurien = start(&backend, "");
    let client = Client::connect(vaurien.address()).await;
    let talk = (0..50_u64).map(|number| {
        let client = &client;
        async move {
            let (response, mut to) = client.begin(request(Method::POST, "/"), false).await;
            let mut from = response.await.unwrap().into_body();
            for round in 0..20 {
                let message = noise(number * 100 + round, 500);
                send(&mut to, message.clone().into()).await.unwrap();
                let mut got = Vec::new();
                while got.len() < message.len() {
                    let data = from.data().await.unwrap().unwrap();
                    from.flow_control().release_capacity(data.len()).unwrap();
                    got.extend_from_slice(&data);
                }
                assert!(got == message);
            }
            to.send_trailers(fields(&[("x-end", "1")])).unwrap();
            assert_eq!(read(&mut from).await.unwrap(), (vec![], Some(fields(&[("x-end", "1")]))));
        }
    });
    patient(futures_util::future::join_all(talk)).await;
}

#[tokio::test]
async fn connect_opens_a_tunnel() {
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let saw = seen.clone();
    let backend = Backend::with(server::Builder::new().enable_connect_protocol(), move |request, respond| {
        let protocol = request.extensions().get::<Protocol>().map(|protocol| protocol.as_str().to_owned());
        saw.lock().unwrap().insert(request.uri().to_string(), (request.method().clone(), protocol));
        echo(request, respond)
    });
    for handler in HANDLERS {
        let vaurien = start_with(&backend, handler);
        let client = Client::connect(vaurien.address()).await;
        // The backend's setting is here once something was answered.
        client.ask(request(Method::POST, "/first"), Bytes::from_static(b"1"), None).await.unwrap();
        assert!(client.requests.is_extended_connect_protocol_enabled(), "{handler}");
        let tunnel = Request::builder().method("CONNECT").uri("db.example:5432").body(()).unwrap();
        let mut socket = request(Method::CONNECT, "/chat");
        socket.extensions_mut().insert(Protocol::from("websocket"));
        for asked in [tunnel, socket] {
            let (response, mut to) = client.begin(asked, false).await;
            let mut from = patient(response).await.unwrap().into_body();
            for message in ["one", "two"] {
                send(&mut to, Bytes::from(message)).await.unwrap();
                let data = patient(from.data()).await.unwrap().unwrap();
                assert_eq!(data, message, "{handler}");
            }
            to.send_data(Bytes::new(), true).unwrap();
            assert!(read(&mut from).await.unwrap().0.is_empty());
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen["db.example:5432"], (Method::CONNECT, None), "{handler}");
        let socket = (Method::CONNECT, Some("websocket".to_owned()));
        assert_eq!(seen["http://here.example/chat"], socket, "{handler}");
    }
}
