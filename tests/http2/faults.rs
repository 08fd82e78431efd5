//! What handlers and toxics do to streams, and that other streams of the connection do not notice.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::{Method, Response};

use super::peer::{Backend, Client, Reply, patient, request, send};
use super::raw::{GOAWAY, RST_STREAM, World, data, get, ok};
use super::world::client::Ending;
use super::world::{Program, noise};

const BODY: usize = 100_000;

/// Answers each request with the same body, whose length it announces unless it is asked for `/unknown`.
fn backend() -> Backend {
    Backend::new(|request, mut respond| async move {
        let mut response = Response::builder();
        if request.uri().path() != "/unknown" {
            response = response.header("content-length", BODY);
        }
        let mut to = respond.send_response(response.body(()).unwrap(), false).unwrap();
        if send(&mut to, Bytes::from(noise(5, BODY))).await.is_ok() {
            let _ = to.send_data(Bytes::new(), true);
        }
    })
}

fn start(backend: &Backend, arguments: &[&str]) -> Program {
    let mut command = Program::command("--proxy 127.0.0.1:0 --protocol http --http --http-port 0 --backend");
    Program::spawn(command.arg(backend.address()).args(arguments))
}

/// A proxy whose rule does `handler` to `/fault`, and to nothing else.
fn with_fault(backend: &Backend, handler: &str) -> Program {
    start(backend, &["--rule", &format!("/fault* => {handler}"), "--handler", "dummy"])
}

#[track_caller]
fn is_whole(reply: &Reply) {
    assert!(reply.status == 200 && reply.body == noise(5, BODY), "{} {}", reply.status, reply.body.len());
}

/// Asks for `/fault` while other streams of the connection are served.
async fn hit(vaurien: &Program) -> Result<Reply, h2::Error> {
    let client = Client::connect(vaurien.address()).await;
    let (before, hit, beside) = tokio::join!(client.get("/a"), client.get("/fault?x"), client.get("/b"));
    is_whole(&before.unwrap());
    is_whole(&beside.unwrap());
    is_whole(&client.get("/behind").await.unwrap());
    hit
}

/// The reason of a reset of the stream.
#[track_caller]
fn reason(hit: Result<Reply, h2::Error>) -> Reason {
    let error = hit.unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    error.reason().unwrap()
}

#[tokio::test]
async fn answers_take_the_place_of_one_reply() {
    let backend = backend();
    for (handler, status, field, body) in [
        ("error(status=503)", 503, None, None),
        ("error(status=502, retry_after=7)", 502, Some(("retry-after", "7")), None),
        (
            r#"error(status=418, headers="x-a: b", body="short and stout")"#,
            418,
            Some(("x-a", "b")),
            Some("short and stout"),
        ),
        ("miss", 404, None, None),
        (
            r#"reply(bytes="HTTP/1.1 201 Made\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok")"#,
            201,
            Some(("x-a", "b")),
            Some("ok"),
        ),
        ("transient(status=500, agitate=1)", 500, None, None),
        ("delay(sleep=10ms)+error(status=504)", 504, None, None),
    ] {
        let vaurien = with_fault(&backend, handler);
        let got = hit(&vaurien).await.unwrap_or_else(|error| panic!("{handler}: {error}"));
        assert_eq!(got.status, status, "{handler}");
        if let Some((name, value)) = field {
            assert_eq!(got.header(name), Some(value), "{handler}: {got:?}");
        }
        if let Some(body) = body {
            assert_eq!(got.body, body.as_bytes(), "{handler}");
        }
        for of_connection in ["connection", "keep-alive", "transfer-encoding"] {
            assert_eq!(got.header(of_connection), None, "{handler}");
        }
        assert_eq!(vaurien.stop().of("opaque"), 0, "{handler}");
    }
}

#[tokio::test]
async fn resets_end_one_stream() {
    let backend = backend();
    for (handler, code) in [
        ("blackout", Reason::CANCEL),
        ("reset", Reason::INTERNAL_ERROR),
        ("reset(code=REFUSED_STREAM)", Reason::REFUSED_STREAM),
        ("abort", Reason::CANCEL),
        ("abort(reset=true)", Reason::INTERNAL_ERROR),
        // What is no response of HTTP cannot be sent.
        (r#"reply(bytes="+PONG\r\n")"#, Reason::PROTOCOL_ERROR),
        ("hang(for=20ms)", Reason::CANCEL),
    ] {
        let vaurien = with_fault(&backend, handler);
        assert_eq!(reason(hit(&vaurien).await), code, "{handler}");
        let counts = vaurien.stop();
        assert_eq!(counts.faults(&format!("rule-1.{}", handler.split('(').next().unwrap())), 1, "{handler}");
    }
}

#[test]
fn a_connection_may_be_reset_as_a_whole() {
    let mut world = World::new("--rule /fault=>reset(connection=true)", &[]);
    world.begin(&get(1, "/"));
    world.client.send(&get(3, "/fault"));
    let (bytes, ending) = world.client.0.read_to_end();
    assert_eq!(ending, Ending::Reset, "{}", bytes.escape_ascii());
}

#[test]
fn goaway_sends_the_client_to_another_connection() {
    let mut world = World::new("--rule /fault=>goaway", &[]);
    let first = world.begin(&get(1, "/fault")).stream;
    let told = world.client.next();
    assert_eq!((told.kind, told.code()), (GOAWAY, 0));
    world.backend.send(&ok(first, true));
    assert_eq!(world.client.until(|frame| frame.kind != GOAWAY && frame.is_of_stream()), ok(1, true));
    while world.client.next_or_end().is_some() {}
}

#[tokio::test]
async fn delays_hold_up_one_stream() {
    let backend = backend();
    for before in ["true", "false"] {
        let vaurien = with_fault(&backend, &format!("delay(sleep=400ms, before={before})"));
        let client = Client::connect(vaurien.address()).await;
        let begun = Instant::now();
        let late = client.get("/fault");
        let others = async {
            for _ in 0..10 {
                is_whole(&client.get("/").await.unwrap());
            }
            begun.elapsed()
        };
        let (late, others) = tokio::join!(late, others);
        is_whole(&late.unwrap());
        assert!(begun.elapsed() >= Duration::from_millis(400) && others < begun.elapsed(), "{before}: {others:?}");
    }
}

#[tokio::test]
async fn slow_limits_one_stream() {
    let backend = backend();
    let vaurien = with_fault(&backend, "slow(rate=200KB/s, first=20000)");
    let begun = Instant::now();
    is_whole(&hit(&vaurien).await.unwrap());
    // The 80,000 bytes behind the first 20,000.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn cut_passes_as_much_as_it_was_asked_to() {
    let backend = backend();
    for (path, settings, expected, code) in [
        ("/fault", "after=3", 3, Reason::CANCEL),
        ("/fault", "after=0", 0, Reason::CANCEL),
        ("/fault", "after=30001, how=reset", 30_001, Reason::INTERNAL_ERROR),
        ("/fault", "after=50%", BODY / 2, Reason::CANCEL),
    ] {
        let vaurien = with_fault(&backend, &format!("cut({settings})"));
        for _ in 0..5 {
            let client = Client::connect(vaurien.address()).await;
            let (response, _) = client.begin(request(Method::GET, path), true).await;
            let mut body = patient(response).await.unwrap().into_body();
            let mut got = Vec::new();
            let error = loop {
                match patient(body.data()).await.unwrap() {
                    Ok(data) => {
                        body.flow_control().release_capacity(data.len()).unwrap();
                        got.extend_from_slice(&data);
                    }
                    Err(error) => break error,
                }
            };
            assert!(got == noise(5, BODY)[..expected], "{settings}: {}", got.len());
            assert_eq!(error.reason(), Some(code), "{settings}");
            is_whole(&client.get("/").await.unwrap());
        }
        assert_eq!(vaurien.stop().faults("rule-1.cut"), 5);
    }
}

#[tokio::test]
async fn corrupt_flips_bits_of_one_body() {
    let backend = backend();
    for bytes in [1, 10] {
        let vaurien = with_fault(&backend, &format!("corrupt(bytes={bytes})"));
        let got = hit(&vaurien).await.unwrap();
        let differs = got.body.iter().zip(noise(5, BODY)).filter(|(got, sent)| **got != *sent);
        let flipped: Vec<u32> = differs.map(|(got, sent)| (got ^ sent).count_ones()).collect();
        assert_eq!((got.body.len(), flipped), (BODY, vec![1; bytes]));
    }
}

#[tokio::test]
async fn a_hanging_call_is_released_when_the_plan_changes() {
    let backend = backend();
    for handler in ["hang", "cut(after=10, how=hang)"] {
        let vaurien = with_fault(&backend, handler);
        let api = vaurien.api();
        let client = Client::connect(vaurien.address()).await;
        let (response, _) = client.begin(request(Method::GET, "/fault"), true).await;
        // It is known to hang once a call behind it is over.
        while api
            .events()
            .iter()
            .all(|event| event["handler"].as_str() != Some(&handler[..handler.find('(').unwrap_or(4)]))
        {
            is_whole(&client.get("/").await.unwrap());
        }
        let changed = api.patch("/v1/proxies/default", r#"{"rules": []}"#);
        assert_eq!(changed.status, 200, "{changed:?}");
        let hung = patient(super::peer::reply(response)).await;
        assert_eq!(reason(hung), Reason::INTERNAL_ERROR, "{handler}");
        is_whole(&client.get("/").await.unwrap());
    }
}

#[test]
fn a_shutdown_ends_what_hangs_and_lets_the_rest_finish() {
    let mut world = World::new("--rule /fault=>hang", &[]);
    world.client.send(&get(1, "/fault"));
    let open = world.begin(&get(3, "/")).stream;
    world.vaurien.signal("TERM");
    let mut seen = [world.client.next(), world.client.next()];
    seen.sort_unstable_by_key(|frame| frame.kind);
    assert_eq!(seen.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [RST_STREAM, GOAWAY]);
    assert_eq!((seen[0].stream, seen[1].code()), (1, 0));
    world.backend.send(&ok(open, false)).send(&data(open, "whole", true));
    let whole = world.client.until(|frame| frame.kind == 0);
    assert_eq!(whole, data(3, "whole", true));
    let World { mut client, vaurien, .. } = world;
    while client.next_or_end().is_some() {}
    vaurien.stopped();
}

#[tokio::test]
async fn the_same_seed_hits_the_same_streams() {
    let backend = backend();
    let mut all = Vec::new();
    for _ in 0..2 {
        let vaurien = start(&backend, &["--seed", "7", "--handler", "30:error(status=503)"]);
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let client = Client::connect(vaurien.address()).await;
            // They are opened one after the other, and answered at the same time.
            let replies = (0..20).map(|_| client.get("/"));
            let replies = futures_util::future::join_all(replies).await;
            statuses.push(replies.into_iter().map(|reply| reply.unwrap().status).collect::<Vec<_>>());
        }
        assert_ne!(statuses[0], statuses[1], "each connection has draws of its own");
        all.push(statuses);
    }
    assert_eq!(all[0], all[1]);
    assert!(all[0].concat().contains(&503) && all[0].concat().contains(&200));
}

#[tokio::test]
async fn rules_choose_streams() {
    let backend = backend();
    for (rule, asked, expected) in [
        ("* times=2", ["/", "/", "/"], [503, 503, 200]),
        ("/a*|/b every=2", ["/a", "/ab", "/b"], [200, 503, 200]),
        ("GET query.x=1", ["/?x=1", "/?x=2", "/?y=1"], [503, 200, 200]),
        ("* header.host=here.example after=2", ["/", "/", "/"], [200, 200, 503]),
        ("POST", ["/", "/", "/"], [200; 3]),
    ] {
        for per in ["proxy", "connection"] {
            let has_numbers = ["times", "every", "after"].iter().any(|number| rule.contains(number));
            let rule = if has_numbers { format!("{rule} per={per}") } else { rule.to_owned() };
            let vaurien = start(&backend, &["--rule", &format!("{rule} => error(status=503)"), "--handler", "dummy"]);
            for connection in 0..2 {
                let client = Client::connect(vaurien.address()).await;
                let mut statuses = Vec::new();
                for path in asked {
                    statuses.push(client.get(path).await.unwrap().status);
                }
                if connection == 0 || per == "connection" {
                    assert_eq!(statuses, expected, "{rule}");
                }
            }
        }
    }
}

#[tokio::test]
async fn toxics_act_on_the_whole_connection() {
    let backend = backend();
    for (toxic, at_least) in [
        ("latency(latency=200ms)", 400),
        ("upstream:latency(latency=200ms)", 400),
        ("bandwidth(rate=200KB/s)", 400),
        ("slicer(average_size=1000)", 0),
    ] {
        let vaurien = start(&backend, &["--toxic", toxic]);
        let client = Client::connect(vaurien.address()).await;
        let begun = Instant::now();
        is_whole(&client.get("/").await.unwrap());
        is_whole(&client.get("/unknown").await.unwrap());
        let took = begun.elapsed().as_millis();
        assert!(took >= at_least && took < at_least + 2500, "{toxic}: {took} ms");
    }
}

/// Data that waits lets more follow.
#[tokio::test]
async fn latency_is_no_limit_to_the_rate() {
    let windows =
        h2::server::Builder::new().initial_window_size(16 << 20).initial_connection_window_size(16 << 20).clone();
    let backend = Backend::with(&windows, super::peer::echo);
    let vaurien = start(&backend, &["--toxic", "both:latency(latency=100ms)"]);
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(16 << 20).initial_connection_window_size(16 << 20);
    let client = Client::with(&builder, vaurien.address()).await;
    let body = Bytes::from(noise(1, 4_000_000));
    let begun = Instant::now();
    let reply = client.ask(request(Method::POST, "/"), body.clone(), None).await.unwrap();
    assert!(reply.body == body);
    // 256 KB of each stream at a time: 16 times there and back.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn toxics_end_connections() {
    for (toxic, expected) in [
        ("reset_peer(timeout=0)", Some(Ending::Reset)),
        ("limit_data(bytes=20)", Some(Ending::Closed)),
        ("timeout(timeout=100ms)", Some(Ending::Closed)),
        ("timeout(timeout=0)", None),
    ] {
        let backend = super::world::Backend::new(|stream| {
            let mut raw = super::raw::Raw::accept(stream, &[]);
            while raw.next_or_end().is_some() {}
        });
        let vaurien = Program::start(&backend, &format!("--protocol http --toxic {}", toxic.replace(' ', "")));
        let mut client = vaurien.connect();
        client.send([super::raw::PREFACE, &super::raw::settings(&[]).bytes(), &get(1, "/").bytes()].concat());
        if let Some(expected) = expected {
            let (bytes, ending) = client.read_to_end();
            assert_eq!(ending, expected, "{toxic}: {}", bytes.escape_ascii());
            assert!(bytes.len() <= 20, "{toxic}");
        } else {
            client.wait_for_bytes(Duration::from_millis(200));
            assert!(client.is_silent(), "{toxic}");
        }
    }
}
