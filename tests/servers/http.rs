//! HTTP: nginx, with wrk, curl, Python and raw bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::Command;

use super::tool::{output, output_of, program};
use super::world::client::Ending;
use super::world::servers::nginx;
use super::world::{Backend, Client, Program, noise};

/// Options and paths for curl.
pub(super) const ASKED: [(&str, &[&str]); 17] = [
    ("", &["/small"]),
    ("", &["/small", "/large", "/none", "/missing", "/small"]),
    ("--head", &["/large", "/chunked", "/missing"]),
    ("--header If-None-Match:*", &["/large", "/small"]),
    ("--header Range:bytes=1000-1999", &["/large", "/small"]),
    ("--raw --header Accept-Encoding:gzip", &["/chunked", "/chunked"]),
    ("--compressed", &["/chunked", "/small"]),
    ("--header Connection:close", &["/small", "/large", "/chunked"]),
    ("--http1.0", &["/small", "/large"]),
    ("--http1.0 --header Connection:keep-alive", &["/small", "/large"]),
    ("--http1.0 --header Accept-Encoding:gzip", &["/chunked"]),
    // An upgrade is offered and not accepted.
    ("--http2", &["/small", "/large"]),
    // Stores in chunks and reads back; then with an announced length; then deletes.
    ("--header Transfer-Encoding:chunked --upload-file -", &["/upload/file"]),
    ("--range 1000-", &["/upload/file"]),
    ("--header Expect:100-continue --upload-file -", &["/upload/file"]),
    ("--header Expect:100-continue --data-binary @-", &["/upload/", "/none"]),
    ("--request DELETE", &["/upload/file"]),
];

/// The time in place of the real one in compared responses.
const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT";

/// Python's client: one connection; every response is read as its head says.
const PYTHON: &str = r#"
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
bodies = {"GET": lambda: None, "HEAD": lambda: None, "POST": lambda: b"x" * 100000, "PUT": lambda: iter([b"a", b"b"])}
for method in list(bodies) * 16:
    connection.request(method, "/", bodies[method]())
    response = connection.getresponse()
    assert response.getheader("Date") and response.getheader("Content-Type").startswith("text/html")
    length = len(response.read())
    assert length == (0 if method == "HEAD" else int(response.getheader("Content-Length")))
    print(response.status)
"#;

/// A curl command for `paths` at `address`, over one connection if possible. `options` are split at blanks.
pub(super) fn curl(address: SocketAddr, options: &str, paths: &[&str]) -> Command {
    let mut command = program("curl");
    command
        .args(["--silent", "--show-error", "--header", "Host: here", "--header", DATE])
        .args(options.split_ascii_whitespace());
    command.args(paths.iter().map(|path| format!("http://{address}{path}")));
    command
}

/// The received bytes with a fixed time.
fn timeless(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"Date: ")).collect::<Vec<_>>().concat()
}

#[track_caller]
pub(super) fn assert_same(ours: &[u8], direct: &[u8], what: &str) {
    let (ours, direct) = (timeless(ours), timeless(direct));
    let start = |bytes: &[u8]| bytes[..bytes.len().min(1000)].escape_ascii().to_string();
    assert!(
        ours == direct,
        "{what}: {} bytes, {}\nare not {}, {}",
        ours.len(),
        start(&ours),
        direct.len(),
        start(&direct)
    );
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_receives_the_same() {
    let nginx = nginx();
    let body = noise(1, 200_000);
    for options in ["--protocol http", "--protocol http --buffer 7", "--protocol tcp"] {
        let vaurien = Program::start_at(&nginx.address().to_string(), options);
        let ask = |address, options: &str, paths| {
            let options = format!("--include --write-out %{{num_connects}} {options}");
            output_of(&curl(address, &options, paths), body.clone())
        };
        let ask_all = |address| ASKED.map(|(options, paths)| ask(address, options, paths));
        let (ours, direct) = (ask_all(vaurien.address()), ask_all(nginx.address()));
        for (((options, _), ours), direct) in ASKED.iter().zip(ours).zip(direct) {
            assert_same(&ours, &direct, options);
        }
        let counts = vaurien.stop();
        assert_eq!(counts.of("opaque"), 0, "{options}");
        if options.contains("http") {
            let calls: usize = ASKED.iter().map(|(_, paths)| paths.len()).sum();
            assert_eq!(counts.calls("dummy"), calls as u64, "{options}");
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn a_chunked_upload_arrives_as_it_was_sent() {
    let nginx = nginx();
    let vaurien = Program::start_at(&nginx.address().to_string(), "--protocol http");
    let body = noise(1, 5_000_000);
    let options = "--header Transfer-Encoding:chunked --upload-file - --write-out %{http_code}";
    assert_eq!(output_of(&curl(vaurien.address(), options, &["/upload/file"]), body.clone()), b"201");
    assert!(fs::read(nginx.folder().join("files/upload/file")).unwrap() == body);
    assert!(output_of(&curl(vaurien.address(), "", &["/upload/file"]), Vec::new()) == body);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("opaque")), (2, 0));
}

/// One request of every kind that shows its own end; the last asks the server to close the connection.
fn requests() -> Vec<String> {
    let request = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nHost: here\r\n{rest}\r\n");
    let put = format!("{DATE}\r\nTransfer-Encoding: chunked\r\n\r\n5;of=x\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: yes\r\n");
    vec![
        request("GET /small", ""),
        request("HEAD /large", ""),
        request("GET /none", ""),
        "\r\n".to_owned() + &request("GET /small", "If-None-Match: *\r\n"),
        request("GET /chunked", "Accept-Encoding: gzip\r\n"),
        request("HEAD /chunked", "Accept-Encoding: gzip\r\n"),
        request("PUT /upload/file", &put),
        request("GET /upload/file", ""),
        request("PUT /upload/file", &format!("{DATE}\r\nContent-Length: 3\r\n")) + "abc",
        request("GET /upload/file", ""),
        request("DELETE /upload/file", "Content-Length: 0\r\n"),
        request("GET /large", "Range: bytes=5-9\r\n"),
        request("OPTIONS *", ""),
        request("GET /missing", ""),
        "GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        request("GET /small", "Connection: close\r\n"),
    ]
}

#[test]
#[ignore = "needs nginx; tests/run.sh installs it"]
fn a_pipeline_is_answered_as_without_the_proxy_and_each_request_is_one_call() {
    let nginx = nginx();
    let script = requests().concat();
    for options in ["--protocol http", "--protocol http --buffer 1", "--protocol http --buffer 7", "--protocol tcp"] {
        let vaurien = Program::start_at(&nginx.address().to_string(), options);
        for len in [script.len(), 1] {
            let answer = |mut client: Client| {
                script.as_bytes().chunks(len).for_each(|bytes| _ = client.send(bytes));
                client.read_to_end()
            };
            let ((ours, ending), (direct, _)) = (answer(vaurien.connect()), answer(nginx.connect()));
            assert_same(&ours, &direct, options);
            assert_eq!(ending, Ending::Closed, "{options}");
        }
        let counts = vaurien.stop();
        assert_eq!(counts.of("opaque"), 0, "{options}");
        if options.contains("http") {
            assert_eq!(counts.calls("dummy"), 2 * requests().len() as u64, "{options}");
        }
    }
}

#[test]
#[ignore = "needs nginx; tests/run.sh installs it"]
fn invalid_http_is_answered_as_without_the_proxy() {
    let nginx = nginx();
    let vaurien = Program::start_at(&nginx.address().to_string(), "--protocol http");
    for request in [
        "nonsense\r\n\r\n",
        "GET /small\r\n",
        "GET /small HTTP/1.1\r\n\r\n",
        "GET /small HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n",
        "\x16\x03\x01",
    ] {
        let (ours, _) = vaurien.connect().send(request).half_close().read_to_end();
        let (direct, _) = nginx.connect().send(request).half_close().read_to_end();
        assert_same(&ours, &direct, request);
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn nginx_is_asked_for_its_own_host() {
    let nginx = nginx();
    let backend = format!("localhost:{}", nginx.address().port());
    let body = noise(1, 1_000_000);
    for options in ["", "--buffer 1", "--handler delay --handler-delay-sleep 1ms"] {
        let buffers = options.contains("buffer");
        let vaurien = Program::start_at(&backend, &format!("--protocol http --rewrite-host {options}"));
        let get = |options| String::from_utf8(output_of(&curl(vaurien.address(), options, &["/host"; 2]), Vec::new()));
        let own = format!("{backend} localhost\n").repeat(2);
        // The last makes the proxy an HTTP proxy, which is asked with absolute targets.
        let proxied = format!("--proxy http://{}", vaurien.address());
        for options in ["", "--http1.0", "--http2", "--header Connection:close", &proxied] {
            assert_eq!(get(options).unwrap(), own, "{options}");
        }
        // It is for nginx to refuse this.
        let twice = "GET /host HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n";
        vaurien.connect().send(twice).expect("HTTP/1.1 400 ");
        let body = if buffers { &body[..10_000] } else { &body[..] };
        for how in ["--header Transfer-Encoding:chunked", "--header Expect:100-continue"] {
            let upload = format!("{how} --upload-file -");
            output_of(&curl(vaurien.address(), &upload, &["/upload/file"]), body.to_vec());
            assert!(fs::read(nginx.folder().join("files/upload/file")).unwrap() == body, "{options} {how}");
            fs::remove_file(nginx.folder().join("files/upload/file")).unwrap();
        }
        assert_eq!(vaurien.stop().of("opaque"), 0, "{options}");
    }
}

#[test]
#[ignore = "needs nginx; tests/run.sh installs it"]
fn a_pipeline_for_another_host_is_answered_as_without_the_proxy() {
    let nginx = nginx();
    let backend = nginx.address().to_string();
    // To nginx itself they name what the proxy makes of them.
    let (script, direct) = (requests().concat(), requests().concat().replace("here", &backend));
    let (direct, _) = nginx.connect().send(direct).read_to_end();
    for options in ["", "--buffer 1", "--buffer 7", "--handler delay --handler-delay-sleep 1ms"] {
        let vaurien = Program::start_at(&backend, &format!("--protocol http --rewrite-host {options}"));
        for len in [script.len(), 1] {
            let mut client = vaurien.connect();
            script.as_bytes().chunks(len).for_each(|bytes| _ = client.send(bytes));
            let (ours, ending) = client.read_to_end();
            assert_same(&ours, &direct, options);
            assert_eq!(ending, Ending::Closed, "{options}");
        }
        assert_eq!(vaurien.stop().of("opaque"), 0, "{options}");
    }
}

#[test]
#[ignore = "needs nginx; tests/run.sh installs it"]
fn a_long_head_is_a_call_where_it_may_be() {
    let nginx = nginx();
    let fields = format!("X: {}\r\n", "x".repeat(7000)).repeat(10);
    let request = format!("GET /none HTTP/1.1\r\nHost: here\r\n{fields}\r\n");
    for (options, status, opaque) in [("", "204", 1), ("--max-head 70000", "204", 1), ("--max-head 71000", "50", 0)] {
        let options = format!("--protocol http --handler error {options}");
        let vaurien = Program::start_at(&nginx.address().to_string(), &options);
        vaurien.connect().send(&request).expect(format!("HTTP/1.1 {status}"));
        assert_eq!(vaurien.stop().of("opaque"), opaque, "{options}");
    }
}

#[test]
#[ignore = "needs nginx and wrk; tests/run.sh installs them"]
fn wrk_reports_no_errors() {
    let nginx = nginx();
    for (protocol, path) in [("http", "small"), ("http", "large"), ("tcp", "small")] {
        let vaurien = Program::start_at(&nginx.address().to_string(), &format!("--protocol {protocol}"));
        let mut wrk = program("wrk");
        wrk.args(["--threads", "1", "--connections", "50", "--duration", "1s", "--timeout", "30s"]);
        let said = output(wrk.arg(format!("http://{}/{path}", vaurien.address())));
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        let (before, _) = said.split_once(" requests in ").unwrap();
        let requests: u64 = before.split_ascii_whitespace().last().unwrap().parse().unwrap();
        let counts = vaurien.stop();
        assert!(requests > 50 && (requests..=requests + 50).contains(&counts.calls("dummy")), "{said}{counts:?}");
        assert_eq!((counts.of("opaque"), counts.of("dial failures")), (0, 0));
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_understands_an_error() {
    let nginx = nginx();
    let vaurien = Program::start_at(&nginx.address().to_string(), "--protocol http --handler error");
    let mut codes = BTreeSet::new();
    let options = ["", "--head", "--http1.0", "--data-binary @-", "--upload-file -", "--header Connection:close"];
    for options in options.iter().cycle().take(36) {
        let print = "--output /dev/null --output /dev/null --write-out %{http_code}:%{content_type}:%{num_connects}\\n";
        let options = format!("{options} --header Expect:100-continue {print}");
        let said = output_of(&curl(vaurien.address(), &options, &["/small", "/small"]), noise(1, 1_000_000));
        let said = String::from_utf8(said).unwrap();
        // The second request needs a connection of its own only if the first asked to close.
        let closes = options.contains("close") || options.contains("1.0");
        for (line, connects) in said.lines().zip([1, u8::from(closes)]) {
            let (code, rest) = line.split_once(':').unwrap();
            assert_eq!(rest, format!("text/html:{connects}"), "{options}");
            codes.insert(code.to_owned());
        }
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["500", "501", "502", "503"]);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("error"), counts.of("opaque")), (72, 0));
}

#[test]
#[ignore = "needs python3; tests/run.sh installs it"]
fn python_understands_an_error() {
    let vaurien = Program::start(&Backend::lines(), "--protocol http --handler error");
    let said = output(program("python3").args(["-c", PYTHON, &vaurien.address().port().to_string()]));
    let codes: BTreeSet<&str> = said.lines().collect();
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["500", "501", "502", "503"]);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("error"), counts.of("connections"), counts.of("opaque")), (64, 1, 0));
}

/// Answers one request with a switch to another protocol, then echoes everything.
fn switching() -> Backend {
    Backend::new(|stream| {
        let mut client = Client::from(stream.try_clone().unwrap());
        client.read_until("\r\n\r\n");
        client.send(SWITCH);
        io::copy(&mut &stream, &mut &stream).unwrap();
    })
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_websocket_passes_anything_once_it_is_open() {
    // A masked text frame that says "Hello", and one that looks like a request.
    let frames = [b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".as_slice(), b"GET / HTTP/1.1\r\n\r\n"];
    for options in ["--protocol http", "--protocol http --buffer 1", "--protocol http --handler 0:error"] {
        let vaurien = Program::start(&switching(), options);
        let mut client = vaurien.connect();
        client.send(UPGRADE).expect(SWITCH);
        for frame in frames {
            client.send(frame).expect(frame);
        }
        client.send(noise(1, 100_000)).expect(noise(1, 100_000));
        // Bytes sent before the switch wait for it.
        let eager = [UPGRADE.as_bytes(), frames[0]].concat();
        vaurien.connect().send(eager).expect(SWITCH).expect(frames[0]);
        assert_eq!(client.half_close().ending(), Ending::Closed);
        let counts = vaurien.stop();
        assert_eq!((counts.calls("dummy"), counts.of("opaque")), (2, 2), "{options}");
    }
}
