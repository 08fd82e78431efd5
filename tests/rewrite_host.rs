//! With `--rewrite-host`, requests reach the backend under its own name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use serde_json::json;
use vaurien::{Daemon, Mix, Protocol, ProxyConfig};
use world::client::Ending;
use world::{Api, Backend, Client, Program, noise};

/// Answers each request with its bytes as they came.
fn mirror() -> Backend {
    Backend::new(|stream| {
        let mut client = Client::from(stream.try_clone().unwrap());
        while stream.peek(&mut [0]).is_ok_and(|len| len > 0) {
            let mut request = client.read_until("\r\n\r\n");
            let head = String::from_utf8(request.clone()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if let Some(length) = length {
                request.extend(client.read(length.parse().unwrap()));
            } else if head.contains("transfer-encoding: chunked") {
                request.extend(client.read_until("0\r\n\r\n"));
            }
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.len())).send(request);
        }
    })
}

/// The status and the body of the next response.
fn response(client: &mut Client) -> (u16, Vec<u8>) {
    let head = String::from_utf8(client.read_until("\r\n\r\n")).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    (status, client.read(length.unwrap()))
}

/// What the backend read of a request that nobody touched.
fn mirrored(client: &mut Client, request: impl AsRef<[u8]>) -> String {
    let (status, body) = response(client.send(request));
    assert_eq!(status, 200);
    String::from_utf8(body).unwrap()
}

fn start(backend: &str, arguments: &[&str]) -> Program {
    let mut command = Program::command("--proxy 127.0.0.1:0 --protocol http --rewrite-host --backend");
    Program::spawn(command.arg(backend).args(arguments))
}

/// As curl sends it.
fn get(path: &str, host: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nOrigin: http://{host}\r\n\r\n"
    )
}

/// The same with another value in its first `Host`.
fn with_host(request: &str, host: &str) -> String {
    let (before, rest) = request.split_once("Host: ").unwrap();
    let (_, behind) = rest.split_once("\r\n").unwrap();
    format!("{before}Host: {host}\r\n{behind}")
}

#[test]
fn the_backend_reads_its_own_name() {
    let mirror = mirror();
    for backend in [mirror.address().to_string(), format!("localhost:{}", mirror.address().port())] {
        for handler in ["dummy", "delay(sleep=1ms)", "delay(sleep=1ms, before=false)"] {
            let vaurien = start(&backend, &["--handler", handler]);
            let mut client = vaurien.connect();
            for host in ["localhost:8000", "a.example"] {
                let request = get("/x", host);
                assert_eq!(mirrored(&mut client, &request), with_host(&request, &backend), "{handler}");
                let absolute = request.replace("GET /x", &format!("GET http://{host}/x"));
                let expected = with_host(&absolute.replacen(host, &backend, 1), &backend);
                assert_eq!(mirrored(&mut client, &absolute), expected);
            }
            for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"] {
                assert_eq!(mirrored(&mut client, request), request);
            }
        }
    }
    let vaurien = Program::start(&mirror, "--protocol http");
    let request = get("/x", "localhost:8000");
    assert_eq!(mirrored(&mut vaurien.connect(), &request), request, "without the option it is the client's");
}

#[test]
fn a_pipeline_in_single_bytes_keeps_its_order() {
    let mirror = mirror();
    let backend = mirror.address().to_string();
    let requests: Vec<String> = (0..20)
        .map(|number| match number % 3 {
            0 => get(&format!("/{number}"), "a.example"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\nHost: b\r\n"),
            _ => format!(
                "PUT /{number} HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n3\r\nend\r\n0\r\n\r\n"
            ),
        })
        .collect();
    let options: [&[&str]; 4] = [
        &[],
        &["--buffer", "1"],
        &["--handler", "delay(sleep=1ms)"],
        &["--rule", "/3|/7|/11|/19 => error(status=503)", "--handler", "delay(sleep=1ms)"],
    ];
    for options in options {
        let vaurien = start(&backend, options);
        for size in [1, 7, 10_000] {
            let mut client = vaurien.connect();
            for piece in requests.concat().as_bytes().chunks(size) {
                client.send(piece);
            }
            for (number, request) in requests.iter().enumerate() {
                let (status, body) = response(&mut client);
                if options.contains(&"--rule") && [3, 7, 11, 19].contains(&number) {
                    assert_eq!(status, 503);
                } else {
                    assert_eq!((status, String::from_utf8(body).unwrap()), (200, with_host(request, &backend)));
                }
            }
        }
        assert_eq!(vaurien.stop().of("opaque"), 0, "{options:?}");
    }
}

#[test]
fn bodies_stay_as_they_are() {
    let mirror = mirror();
    let backend = mirror.address().to_string();
    let body = noise(1, 3_000_000);
    for handler in ["dummy", "delay(sleep=1ms)"] {
        let vaurien = start(&backend, &["--handler", handler]);
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let sent = [head.as_bytes(), &body].concat();
        let (got, ending) = vaurien.connect().send_while_reading(&sent);
        let expected = [with_host(&head, &backend).as_bytes(), &body].concat();
        assert!(got.ends_with(&expected) && got.len() < expected.len() + 100, "{handler}");
        assert_eq!(ending, Ending::Closed);
    }
}

#[test]
fn rules_and_events_see_what_the_client_sent() {
    let mirror = mirror();
    let backend = mirror.address().to_string();
    let own = format!("* header.host={backend} => error(status=501)");
    let options =
        ["--rule", "* header.host=a.example => error(status=503)", "--rule", &own, "--handler", "delay(sleep=0)"];
    let vaurien = start(&backend, &options);
    let mut client = vaurien.connect();
    assert_eq!(response(client.send(get("/", "a.example"))).0, 503);
    assert_eq!(
        mirrored(&mut client, get("/", "b.example")),
        with_host(&get("/", "b.example"), &backend).replace("a.ex", "b.ex")
    );
    assert_eq!(response(client.send(get("/", &backend))).0, 501, "it may well be the same");
}

#[test]
fn a_websocket_opens_under_the_name_of_the_backend() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let backend = Backend::new(move |stream| {
        let mut client = Client::from(stream);
        let head = client.read_until("\r\n\r\n");
        client.send(switch).send(head);
        let frame = client.read(20);
        client.send(frame);
    });
    let vaurien = start(&backend.address().to_string(), &[]);
    let upgrade = "GET /chat HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    // A frame that looks like a request.
    let frame = "GET / HTTP/1.1\r\nHost:";
    let mut client = vaurien.connect();
    client.send(upgrade).send(frame).expect(switch);
    client.expect(with_host(upgrade, &backend.address().to_string())).expect(&frame[..20]);
    assert_eq!(vaurien.stop().of("opaque"), 1);
}

fn bytes_to_backend(api: Api) -> u64 {
    api.get("/v1/proxies/default/connections").json()["connections"][0]["bytes"]["to_backend"].as_u64().unwrap()
}

#[test]
fn it_changes_with_the_api_for_new_connections() {
    let mirror = mirror();
    let vaurien = Program::start(&mirror, "--protocol http --http --http-port 0");
    let (api, request) = (vaurien.api(), get("/", "a.example"));
    let mut before = vaurien.connect();
    assert_eq!(mirrored(&mut before, &request), request);
    assert_eq!(api.proxy("default")["rewrite_host"], json!(false));
    assert_eq!(api.patch("/v1/proxies/default", r#"{"rewrite_host": true}"#).status, 200);
    assert_eq!(api.proxy("default")["rewrite_host"], json!(true));
    assert_eq!(mirrored(&mut before, &request), request);
    drop(before);
    let rewritten = with_host(&request, &mirror.address().to_string());
    let mut client = vaurien.connect();
    assert_eq!(mirrored(&mut client, &request), rewritten);
    world::eventually("only that is left", || bytes_to_backend(api) == request.len() as u64);

    let refused = api.patch("/v1/proxies/default", r#"{"protocol": "tcp"}"#);
    assert_eq!((refused.status, &refused.json()["errors"][0]["name"]), (400, &json!("rewrite_host")), "{refused:?}");
    assert!(refused.body.contains("it needs protocol http, this proxy has tcp"), "{refused:?}");
    assert_eq!(mirrored(&mut vaurien.connect(), &request), rewritten);
}

#[tokio::test]
async fn a_daemon_in_a_test_refuses_it_with_another_protocol() {
    let mut config = ProxyConfig::new("127.0.0.1:0", "127.0.0.1:1").unwrap().handler(Mix::default());
    config.rewrite_host = true;
    let refused = Daemon::bind(&config, 1).await.unwrap_err().to_string();
    assert!(refused.contains("rewrite_host: it needs protocol http, this proxy has tcp"), "{refused}");
    assert!(Daemon::bind(&config.protocol(Protocol::Http), 1).await.is_ok());
}
