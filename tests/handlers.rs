//! Each handler does what it should to the calls that are drawn for it, with each of its options.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;

use world::client::Ending;
use world::{Backend, Client, Program, eventually};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";

/// Reads a response: the status line, the headers and the body.
fn response(client: &mut Client) -> (String, String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read(1));
    }
    let head = String::from_utf8(head).unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let length = headers.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let body = String::from_utf8(client.read(length)).unwrap();
    (status.to_owned(), headers.to_owned(), body)
}

#[test]
fn dummy_passes_everything() {
    let vaurien = Program::start(&Backend::echo(), "--handler dummy");
    vaurien.connect().send("one").expect("one").send("two").expect("two");
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("connections")), (2, 1));
    assert_eq!((counts.of("bytes from clients"), counts.of("bytes from backends")), (6, 6));
}

#[test]
fn delay_waits_before_the_backend_is_called() {
    let backend = Backend::echo();
    let vaurien = Program::start(&backend, "--handler delay --handler-delay-sleep 0.3");
    let mut client = vaurien.connect();
    let begun = Instant::now();
    client.send("late");
    client.expect("late");
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(vaurien.stop().calls("delay"), 1);
}

#[test]
fn delay_after_waits_before_the_reply_reaches_the_client() {
    for protocol in ["tcp", "redis"] {
        let (tell, called) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            stream.read(6);
            tell.send(Instant::now()).unwrap();
            stream.send("+PONG\r\n");
            stream.ending();
        });
        let options =
            format!("--protocol {protocol} --handler delay --handler-delay-sleep 300ms --handler-delay-before false");
        let vaurien = Program::start(&backend, &options);
        let begun = Instant::now();
        vaurien.connect().send("PING\r\n").expect("+PONG\r\n");
        let called = called.recv().unwrap();
        assert!(called - begun < Duration::from_millis(300), "{protocol}: the backend was called late");
        assert!(begun.elapsed() >= Duration::from_millis(300), "{protocol}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_pipeline_of_five_delays_takes_five_times_as_long_and_stays_in_order() {
    for when in ["true", "false"] {
        let options =
            format!("--protocol redis --handler delay --handler-delay-sleep 0.2 --handler-delay-before {when}");
        let vaurien = Program::start(&Backend::lines(), &options);
        let begun = Instant::now();
        vaurien.connect().send("a\r\nb\r\nc\r\nd\r\ne\r\n").expect("+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(vaurien.stop().calls("delay"), 5);
    }
}

#[test]
fn a_delayed_call_does_not_delay_the_one_before_it() {
    // With this seed the first call is drawn for `dummy` and the second for `delay`.
    let vaurien =
        Program::start(&Backend::lines(), "--protocol redis --handler 50:delay --handler-delay-sleep 1h --seed 8");
    let mut client = vaurien.connect();
    client.send("a\r\nb\r\nc\r\n").expect("+a\r\n");
    assert!(client.is_silent());
}

#[test]
fn error_answers_a_thousand_random_bytes() {
    let backend = Backend::lines();
    for protocol in ["tcp", "redis", "memcache"] {
        let vaurien = Program::start(&backend, &format!("--protocol {protocol} --handler error"));
        let mut client = vaurien.connect();
        let first = client.send("version\r\n").read(1000);
        let second = client.send("version\r\n").read(1000);
        assert_ne!(first, second);
        assert!(client.is_silent());
        for line in [&first, &second] {
            assert!((0xC0..=0xFE).contains(&line[0]) && line.ends_with(b"\r\n"), "{}", line.escape_ascii());
            assert_eq!(line.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count(), 2, "it is one line");
        }
        let distinct: BTreeSet<u8> = first.into_iter().collect();
        assert!(distinct.len() > 200, "only {} distinct values among a thousand random bytes", distinct.len());
        assert_eq!(vaurien.stop().calls("error"), 2);
    }
}

#[test]
fn error_in_http_is_a_well_formed_failure() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let mut client = vaurien.connect();
    let mut seen = BTreeSet::new();
    for _ in 0..64 {
        let (status, headers, body) = response(client.send(REQUEST));
        let code = status.strip_prefix("HTTP/1.1 ").unwrap()[..3].to_owned();
        assert!(headers.contains("Date: ") && headers.contains("Content-Type: text/html"), "{headers}");
        assert!(headers.contains("Connection: keep-alive"), "{headers}");
        assert!(body.contains(&code), "{body}");
        seen.insert(code);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["500", "501", "502", "503"]);
}

#[test]
fn a_call_of_grpc_fails_as_a_server_fails_it() {
    for (options, status, message) in [
        ("grpc --handler error", "14", "injected by vaurien"),
        ("grpc --handler error(message=50%)", "14", "50%25"),
        ("grpc --handler miss", "5", "injected by vaurien"),
        ("grpc --handler transient --handler-transient-grpc=4", "4", "injected by vaurien"),
        ("http --handler error(grpc=resource_exhausted,message=é)", "8", "%C3%A9"),
    ] {
        let vaurien = Program::start(&Backend::lines(), &format!("--protocol {options}"));
        let mut client = vaurien.connect();
        let (line, headers, body) = response(client.send("POST /a.B/C HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"));
        assert_eq!((&line[..], &body[..]), ("HTTP/1.1 200 OK", ""), "{options}");
        let told = format!("Content-Type: application/grpc\r\ngrpc-status: {status}\r\ngrpc-message: {message}\r\n");
        assert!(headers.contains(&told), "{options}: {headers}");
        assert!(client.is_silent());
    }
}

#[test]
fn a_status_of_grpc_is_drawn_from_several_and_has_metadata() {
    let options = "--protocol grpc --handler error(grpc=UNAVAILABLE|13,headers=grpc-retry-pushback-ms:20) --seed 7";
    let vaurien = Program::start(&Backend::lines(), options);
    let mut client = vaurien.connect();
    let mut seen = BTreeSet::new();
    for _ in 0..32 {
        let (_, headers, _) = response(client.send(REQUEST));
        assert!(headers.contains("\r\ngrpc-retry-pushback-ms: 20\r\n"), "{headers}");
        seen.insert(headers.lines().find_map(|line| line.strip_prefix("grpc-status: ")).unwrap().to_owned());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["13", "14"]);
}

#[test]
fn error_in_grpc_answers_with_a_status_of_http_where_that_is_asked_for() {
    let vaurien = Program::start(&Backend::lines(), "--protocol grpc --handler error(status=503)");
    let (status, headers, body) = response(vaurien.connect().send(REQUEST));
    assert!(status.ends_with("503 Service Unavailable") && body.contains("vaurien"), "{status}: {body}");
    assert!(!headers.contains("grpc"), "{headers}");
}

#[test]
fn error_in_http_closes_if_the_request_asks_for_it() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    for request in ["GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = vaurien.connect();
        let (_, headers, _) = response(client.send(request));
        assert!(headers.contains("Connection: close"), "{headers}");
        assert_eq!(client.ending(), Ending::Closed);
    }
}

#[test]
fn error_in_http_answers_head_without_a_body() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let request = "HEAD / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    let (bytes, ending) = vaurien.connect().send(request).read_to_end();
    assert!(bytes.starts_with(b"HTTP/1.1 50") && bytes.ends_with(b"\r\n\r\n"), "{:?}", bytes.escape_ascii());
    assert_eq!(ending, Ending::Closed);
}

#[test]
fn error_in_http_reads_the_whole_request_first() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let mut client = vaurien.connect();
    client.send("POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n").send(vec![b'x'; 999_999]);
    assert!(client.is_silent());
    response(client.send("x"));
    client.send("POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    response(&mut client);
    response(client.send(REQUEST));
    assert_eq!(vaurien.stop().calls("error"), 3);
}

#[test]
fn error_in_http_sends_100_continue_to_a_waiting_client() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let mut client = vaurien.connect();
    client.send("POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    response(client.send("body"));
    response(client.send(REQUEST));
    assert_eq!(vaurien.stop().calls("error"), 2);
}

#[tokio::test]
async fn error_in_http_is_understood_by_hyper() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let stream = TokioIo::new(tokio::net::TcpStream::connect(vaurien.address()).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for method in ["GET", "HEAD", "POST", "PUT"].into_iter().cycle().take(40) {
        let body = if matches!(method, "GET" | "HEAD") { "" } else { "a body" };
        let request = Request::builder().method(method).uri("/").header("Host", "here");
        let response = client.send_request(request.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap();
        let (status, length) = (response.status().as_u16(), response.headers()["Content-Length"].clone());
        assert!((500..=503).contains(&status), "{status}");
        assert_eq!(response.headers()["Content-Type"], "text/html");
        let page = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(page.is_empty(), method == "HEAD");
        assert!(method == "HEAD" || length == page.len().to_string(), "{length:?}");
    }
    drop(client);
    connection.await.unwrap().unwrap();
    assert_eq!(vaurien.stop().calls("error"), 40);
}

#[test]
fn error_injects_a_hundred_bytes_into_the_middle_of_the_reply() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --handler error --handler-error-inject");
    let mut client = vaurien.connect();
    for _ in 0..3 {
        let reply = client.send("abcdefgh\r\n").read(11 + 100);
        assert_eq!((&reply[..5], &reply[105..]), (&b"+abcd"[..], &b"efgh\r\n"[..]));
    }
    assert!(client.is_silent());
    assert_eq!(vaurien.stop().calls("error"), 3);
}

#[test]
fn error_finds_the_middle_of_a_streamed_reply() {
    const LEN: usize = 3_000_000;
    let value = world::noise(1, LEN);
    let reply = [format!("${LEN}\r\n").as_bytes(), &value, b"\r\n"].concat();
    let sent = reply.clone();
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.read(6);
        stream.send(&sent);
        stream.ending();
    });
    let vaurien = Program::start(&backend, "--protocol redis --handler error --handler-error-inject true");
    let got = vaurien.connect().send("GET a\n").read(reply.len() + 100);
    let half = reply.len() / 2;
    assert!(got[..half] == reply[..half] && got[half + 100..] == reply[half..]);
}

#[test]
fn error_warms_up_over_the_whole_proxy() {
    for inject in ["false", "true"] {
        let options =
            format!("--protocol redis --handler error --handler-error-warmup 3 --handler-error-inject {inject}");
        let vaurien = Program::start(&Backend::lines(), &options);
        vaurien.connect().send("a\r\nb\r\n").expect("+a\r\n+b\r\n");
        let mut client = vaurien.connect();
        client.send("c\r\n").expect("+c\r\n");
        let junk = client.send("d\r\n").read(100);
        assert!(!junk.starts_with(b"+d\r\n"));
    }
}

#[test]
fn blackout_closes_cleanly_and_does_not_dial() {
    let backend = Backend::echo();
    let vaurien = Program::start(&backend, "--handler blackout");
    for _ in 0..20 {
        assert_eq!(vaurien.connect().ending(), Ending::Closed);
        // Unread bytes from the client must not turn the close into a reset.
        assert_eq!(vaurien.connect().send(vec![b'x'; 1000]).ending(), Ending::Closed);
    }
    assert_eq!(backend.connections(), 0);
    assert_eq!(vaurien.stop().calls("blackout"), 40);
}

#[test]
fn hang_reads_everything_answers_nothing_and_does_not_dial() {
    let backend = Backend::echo();
    let vaurien = Program::start(&backend, "--handler hang");
    let mut client = vaurien.connect();
    // More than all buffers hold: the proxy must read it.
    client.send(vec![b'x'; 64 << 20]);
    assert!(client.is_silent());
    assert_eq!(backend.connections(), 0);
    drop(client);
    assert_eq!(vaurien.stop().calls("hang"), 1);
}

#[test]
fn hang_holds_a_client_whose_backend_leaves() {
    // With this seed call 1 is drawn for `dummy` and call 2 for `hang`; the backend closes after its first reply.
    let backend = Backend::new(|stream| {
        let mut stream = Client::from(stream);
        stream.read(3);
        stream.send("+a\r\n");
    });
    let vaurien = Program::start(&backend, "--protocol redis --handler 50:hang --seed 8");
    let mut client = vaurien.connect();
    client.send("a\r\nb\r\n").expect("+a\r\n");
    eventually("the backend's connection is closed", || backend.ended() == 1);
    assert!(client.is_silent());
}

#[test]
fn hang_holds_a_client_whose_backend_sends_unasked() {
    let (tell, told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        stream.read(REQUEST.len());
        stream.send("HTTP/1.1 204 No Content\r\n\r\n");
        told.lock().unwrap().recv().unwrap();
        stream.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    });
    // With this seed call 1 is drawn for `dummy` and call 2 for `hang`.
    let mut vaurien = Program::start(&backend, "--protocol http --handler 50:hang --seed 8 --log-level trace");
    let mut client = vaurien.connect();
    client.send(REQUEST).expect("HTTP/1.1 204 No Content\r\n\r\n").send(REQUEST);
    vaurien.line("drawn for hang");
    tell.send(()).unwrap();
    eventually("the backend has sent its bytes", || backend.ended() == 1);
    assert!(client.is_silent());
    vaurien.stop();
    assert_eq!(client.ending(), Ending::Reset);
}

#[test]
fn error_in_http_answers_a_request_that_turns_opaque_and_closes() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let mut client = vaurien.connect();
    client.send("POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n");
    response(&mut client);
    assert_eq!(client.ending(), Ending::Closed);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("error"), counts.of("opaque")), (1, 1));
}

#[test]
fn earlier_replies_arrive_before_a_blackout() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --handler 50:blackout --seed 8");
    let (bytes, ending) = vaurien.connect().send("a\r\nb\r\nc\r\n").read_to_end();
    assert_eq!((bytes.as_slice(), ending), (&b"+a\r\n"[..], Ending::Closed));
}

#[test]
fn a_leaving_client_does_not_wait_for_its_later_blackout() {
    // With this seed the first call is drawn for `dummy` and never answered, the second for `blackout`.
    let backend = Backend::new(|stream| drop(Client::from(stream).read_to_end()));
    let vaurien = Program::start(&backend, "--protocol redis --handler 50:blackout --seed 8");
    let open = vaurien.descriptors();
    vaurien.connect().send("a\r\nb\r\n");
    eventually("the backend's connection is closed", || backend.ended() == 1);
    eventually("the connection is closed", || vaurien.descriptors() == open);
}

#[test]
fn reset_resets_and_does_not_dial() {
    let backend = Backend::echo();
    let vaurien = Program::start(&backend, "--handler reset");
    assert_eq!(vaurien.connect().ending(), Ending::Reset);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("reset"), backend.connections()), (1, 0));
}

#[test]
fn a_reset_of_a_stream_waits_for_the_request() {
    for (options, waits) in [
        ("grpc --handler reset", true),
        ("grpc --handler reset(connection=true)", true),
        ("http --handler reset(code=CANCEL)", true),
        ("http --handler reset", false),
    ] {
        let backend = Backend::echo();
        let vaurien = Program::start(&backend, &format!("--protocol {options}"));
        let mut client = vaurien.connect();
        if waits {
            assert!(client.is_silent(), "{options}");
            client.send(REQUEST);
        }
        assert_eq!(client.ending(), Ending::Reset, "{options}");
        assert_eq!(vaurien.stop().faults("reset"), 1, "{options}");
    }
}

#[test]
fn goaway_lets_calls_of_http_1_pass_and_is_no_fault() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        for _ in 0..2 {
            stream.expect(REQUEST).send(response);
        }
    });
    for (handler, delays) in [("goaway", 0), ("goaway(code=INTERNAL_ERROR)", 0), ("goaway+delay(sleep=1ms)", 2)] {
        let vaurien = Program::start(&backend, &format!("--protocol http --handler {handler}"));
        vaurien.connect().send(REQUEST).expect(response).send(REQUEST).expect(response);
        let counts = vaurien.stop();
        let name = if delays > 0 { "goaway+delay" } else { "goaway" };
        assert_eq!((counts.calls(name), counts.faults(name)), (2, delays), "{handler}");
    }
}

#[test]
fn earlier_replies_arrive_before_a_reset() {
    let vaurien = Program::start(&Backend::lines(), "--protocol redis --seed 2 --handler 30:reset");
    let mut client = vaurien.connect();
    let calls = "get a\r\n".repeat(50);
    client.send(&calls);
    let (replies, ending) = client.read_to_end();
    assert_eq!(ending, Ending::Reset);
    assert!(!replies.is_empty() && replies.len() % "+get a\r\n".len() == 0, "{}", replies.escape_ascii());
    assert_eq!(vaurien.stop().calls("reset"), 1);
}

#[test]
fn hang_closes_after_its_time() {
    let backend = Backend::echo();
    for handler in ["--protocol redis --handler hang --handler-hang-for 100ms", "--handler hang(for=0.1)"] {
        let vaurien = Program::start(&backend, handler);
        let mut client = vaurien.connect();
        let begun = Instant::now();
        assert_eq!(client.send("get a\r\n").ending(), Ending::Closed, "{handler}");
        assert!(begun.elapsed() >= Duration::from_millis(50), "{handler}: {:?}", begun.elapsed());
        assert_eq!(vaurien.stop().calls("hang"), 1, "{handler}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn abort_lets_the_backend_work_and_drops_its_reply() {
    for (protocol, reset, ending) in
        [("tcp", "false", Ending::Closed), ("redis", "false", Ending::Closed), ("redis", "true", Ending::Reset)]
    {
        let (tell, called) = std::sync::mpsc::channel();
        let backend = Backend::new(move |stream| {
            let mut stream = Client::from(stream);
            tell.send(stream.read(7)).unwrap();
            stream.send("+done\r\n").read_to_end();
        });
        let arguments = format!("--protocol {protocol} --handler abort --handler-abort-reset {reset}");
        let vaurien = Program::start(&backend, &arguments);
        let ended = vaurien.connect().send("incr a\n").ending();
        assert_eq!(ended, ending, "{arguments}");
        assert_eq!(called.recv().unwrap(), b"incr a\n", "{arguments}");
        assert_eq!(vaurien.stop().calls("abort"), 1, "{arguments}");
    }
}

#[test]
fn abort_passes_a_call_without_a_reply() {
    let (tell, called) = std::sync::mpsc::channel();
    let backend = Backend::new(move |stream| {
        let mut stream = Client::from(stream);
        tell.send(stream.read_until("\r\nb\r\n")).unwrap();
        stream.read_to_end();
    });
    let vaurien = Program::start(&backend, "--protocol memcache --handler abort");
    let mut client = vaurien.connect();
    client.send("set a 0 0 1 noreply\r\nb\r\n");
    assert_eq!(called.recv().unwrap(), b"set a 0 0 1 noreply\r\nb\r\n");
    assert!(client.is_silent());
    drop(client);
    let counts = vaurien.stop();
    assert_eq!(counts.calls("abort"), 1);
    assert!(counts.lines.iter().any(|line| line.split_ascii_whitespace().eq(["abort", "1", "0"])), "{counts:#?}");
}
