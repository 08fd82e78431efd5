//! Real programs: curl, nginx, and nghttp2's client, server and load generator.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::certificates::{Certificates, LOCAL, signed};
use super::tool::{Printed, output, output_of, printed_by, program};
use super::world::servers::nginx_with;
use super::world::{Program, Server, noise};

/// nginx, which tells what it sees.
const SERVER: &str = r#"
    server {
        listen ADDRESS LISTEN http2;
        http2_max_requests 1000000;
        http2_max_concurrent_streams STREAMS;
        root files;
        location = /none { return 204; }
        location = /told { return 200 "$server_protocol $request_method $scheme $http_host $http_x_a\n"; }
        location /upload/ { dav_methods PUT; create_full_put_path on; }
    }
"#;

const OWN: &str = "ssl; ssl_certificate @server.pem; ssl_certificate_key @server-key.pem; #";

fn nginx(certificates: &Certificates, is_tls: bool, streams: u32) -> Server {
    let server = SERVER.replace("STREAMS", &streams.to_string());
    if !is_tls {
        return nginx_with(&server.replace("LISTEN", ""));
    }
    let own = OWN.replace("ssl;", "ssl http2;");
    nginx_with(&certificates.text(&server.replace("LISTEN http2;", &own.replace('#', ""))))
}

/// Whether clients speak TLS, and nginx does.
const SIDES: [(bool, bool); 4] = [(false, false), (true, true), (true, false), (false, true)];

fn start(certificates: &Certificates, nginx: &Server, (of_client, of_nginx): (bool, bool), more: &str) -> Program {
    let client = if of_client { "--tls auto --tls-dir @own" } else { "" };
    let backend = if of_nginx { "--backend-ca @ca.pem" } else { "" };
    let backend_name = format!("localhost:{}", nginx.address().port());
    // What a backend without TLS speaks cannot be asked: with http that is HTTP/1, with grpc HTTP/2.
    let protocol = if of_client && !of_nginx { "grpc" } else { "http" };
    certificates.start(backend_name, &format!("--protocol {protocol} {client} {backend} {more}"))
}

/// A curl that speaks HTTP/2.
fn curl(
    certificates: &Certificates,
    address: SocketAddr,
    is_tls: bool,
    own: bool,
    options: &str,
    paths: &[&str],
) -> Command {
    let mut command = program("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*"]);
    command.arg("--cacert").arg(certificates.path(if own { "own/ca.pem" } else { "ca.pem" }));
    command.arg(if is_tls { "--http2" } else { "--http2-prior-knowledge" });
    command.args(options.split_ascii_whitespace());
    let scheme = if is_tls { "https" } else { "http" };
    command.args(paths.iter().map(|path| format!("{scheme}://localhost:{}{path}", address.port())));
    command
}

fn timeless(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"date: ")).collect::<Vec<_>>().concat()
}

#[test]
#[ignore = "needs nginx, curl and openssl; tests/run.sh installs them"]
fn curl_receives_the_same_of_nginx() {
    let certificates = signed(LOCAL);
    let body = noise(1, 300_000);
    for sides in SIDES {
        let nginx = nginx(&certificates, sides.1, 128);
        for handler in ["dummy", "delay(sleep=0)"] {
            let vaurien = start(&certificates, &nginx, sides, &format!("--handler {handler}"));
            let asked = |of_vaurien: bool| {
                [
                    ("", &["/small", "/large", "/none", "/missing", "/small"][..]),
                    ("", &["/large", "/large", "/large"]),
                    ("--head", &["/large", "/missing"]),
                    ("--include --header x-a:b", &["/small", "/none"]),
                    ("--upload-file -", &["/upload/file"]),
                    ("--range 1000-", &["/upload/file"]),
                ]
                .map(|(options, paths)| {
                    let _ = fs::remove_file(nginx.folder().join("files/upload/file"));
                    if options.contains("range") {
                        fs::create_dir_all(nginx.folder().join("files/upload")).unwrap();
                        fs::write(nginx.folder().join("files/upload/file"), &body).unwrap();
                    }
                    let (address, is_tls) =
                        if of_vaurien { (vaurien.address(), sides.0) } else { (nginx.address(), sides.1) };
                    let options = format!("{options} --write-out %{{http_code}},%{{http_version}},%{{num_connects}};");
                    // This curl cannot use a connection without TLS twice.
                    let paths = paths.chunks(if sides == (true, true) { paths.len() } else { 1 });
                    let got = paths.map(|paths| {
                        let command = curl(&certificates, address, is_tls, of_vaurien, &options, paths);
                        timeless(&output_of(&command, body.clone()))
                    });
                    got.collect::<Vec<_>>().concat()
                })
            };
            let (direct, ours) = (asked(false), asked(true));
            for (at, (ours, direct)) in ours.iter().zip(&direct).enumerate() {
                assert!(ours == direct, "{sides:?} {at}: {}\n{}", ours.escape_ascii(), direct.escape_ascii());
            }
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
}

#[test]
#[ignore = "needs nginx, curl and openssl; tests/run.sh installs them"]
fn nginx_sees_what_curl_has_sent() {
    let certificates = signed(LOCAL);
    for sides in SIDES {
        let nginx = nginx(&certificates, sides.1, 128);
        let vaurien = start(&certificates, &nginx, sides, "");
        let told = output(&curl(&certificates, vaurien.address(), sides.0, true, "--header x-a:b", &["/told"]));
        // To nginx that is how it was reached.
        let scheme = if sides.1 { "https" } else { "http" };
        assert_eq!(told, format!("HTTP/2.0 GET {scheme} localhost:{} b\n", vaurien.address().port()), "{sides:?}");
    }
}

#[test]
#[ignore = "needs nginx, curl and openssl; tests/run.sh installs them"]
fn curl_sees_faults() {
    let certificates = signed(LOCAL);
    for sides in [SIDES[0], SIDES[1], SIDES[3]] {
        let nginx = nginx(&certificates, sides.1, 128);
        for (handler, code, said) in [
            ("error(status=503)", 0, "503"),
            ("cut(after=10)", 92, "stream 1 was not closed cleanly: CANCEL"),
            ("reset(code=REFUSED_STREAM)", 56, ""),
            ("reset(connection=true)", 56, ""),
            ("hang", 28, "timed out"),
        ] {
            let vaurien = start(&certificates, &nginx, sides, &format!("--rule /small=>{handler}"));
            let options = "--max-time 2 --output /dev/null --write-out %{http_code}";
            let command = curl(&certificates, vaurien.address(), sides.0, true, options, &["/small"]);
            let Printed { status, stdout, stderr } = printed_by(&command, Vec::new());
            let printed = String::from_utf8(stdout).unwrap() + &stderr;
            // A refused stream is tried again by curl, on whatever connection.
            let is_expected = status.code() == Some(code) || code == 56 && status.code().is_some_and(|code| code != 0);
            assert!(is_expected && printed.contains(said), "{sides:?} {handler}: {status} {printed}");
            let other = curl(&certificates, vaurien.address(), sides.0, true, "", &["/large"]);
            assert_eq!(output_of(&other, Vec::new()).len(), 300_000);
        }
    }
}

/// What h2load prints of its requests: done, and succeeded.
fn load(address: SocketAddr, is_tls: bool, requests: u32, options: &str) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let mut command = program("h2load");
    command.args(["-n", &requests.to_string()]).args(options.split_ascii_whitespace());
    command.arg(format!("{scheme}://localhost:{}/small", address.port()));
    let Printed { stdout, .. } = printed_by(&command, Vec::new());
    let stdout = String::from_utf8(stdout).unwrap();
    stdout.lines().find(|line| line.starts_with("requests: ")).unwrap_or_else(|| panic!("{stdout}")).to_owned()
}

#[test]
#[ignore = "needs nginx, h2load and openssl; tests/run.sh installs them"]
fn h2load_succeeds() {
    let certificates = signed(LOCAL);
    for sides in SIDES {
        for (streams, options) in [(128, "-c 4 -m 32"), (128, "-c 1 -m 200"), (1, "-c 2 -m 10")] {
            let nginx = nginx(&certificates, sides.1, streams);
            let vaurien = start(&certificates, &nginx, sides, "");
            let line = load(vaurien.address(), sides.0, 2000, options);
            assert!(line.contains(" 2000 done, "), "{sides:?} {options}: {line}");
            let failed: u64 = line.split(" succeeded, ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            // What it opens before it knows the limit is refused.
            assert!(failed <= if streams == 1 { 18 } else { 0 }, "{sides:?} {options}: {line}");
            assert_eq!(vaurien.stop().calls("dummy"), 2000 - failed, "{sides:?} {options}");
        }
    }
}

#[test]
#[ignore = "needs nghttpd and nghttp; tests/run.sh installs them"]
fn nghttp_and_nghttpd_do_not_notice_it() {
    let server = Server::start_known_by(
        |address, folder| std::net::TcpStream::connect(address).ok().and_then(|_| pid_of(folder)),
        |address, folder| {
            fs::write(folder.join("index.html"), noise(1, 200_000)).unwrap();
            let mut command = program("sh");
            // It does not write its process id.
            command.args([
                "-c",
                "echo $$ >pid; exec nghttpd --no-tls -a 127.0.0.1 -d . --echo-upload --trailer 'x-sum: 7' \"$0\"",
            ]);
            command.arg(address.port().to_string()).current_dir(folder);
            command
        },
    );
    for handler in ["dummy", "delay(sleep=0)"] {
        let vaurien = Program::start_at(&server.address().to_string(), &format!("--protocol http --handler {handler}"));
        let nghttp = |address: SocketAddr, options: &str| {
            let mut command = program("nghttp");
            command.args(options.split_ascii_whitespace()).arg(format!("http://{address}/index.html"));
            printed_by(&command, Vec::new()).stdout
        };
        assert!(nghttp(vaurien.address(), "") == noise(1, 200_000), "{handler}");
        let verbose = String::from_utf8_lossy(&nghttp(vaurien.address(), "-v -n")).into_owned();
        assert!(verbose.contains("x-sum: 7"), "{verbose}");
        // Its priorities, a window of its own, many requests, and padding.
        for options in ["-n -m 50 -s", "-n -w 10 -W 12 -m 5 -s", "-n --no-dep -m 3 -s", "-n -b 200 -m 3 -s"] {
            let statistics = String::from_utf8_lossy(&nghttp(vaurien.address(), options)).into_owned();
            let many = statistics.lines().filter(|line| line.contains(" 200 ") && line.contains("index.html")).count();
            let expected = options.split("-m ").nth(1).unwrap().split(' ').next().unwrap();
            assert_eq!(many.to_string(), expected, "{options}: {statistics}");
        }
        let upload = server.folder().join("upload");
        fs::write(&upload, noise(2, 150_000)).unwrap();
        let echoed = nghttp(vaurien.address(), &format!("-d {} --trailer x-a:b", upload.display()));
        assert!(echoed == noise(2, 150_000), "{handler}: {}", echoed.len());
        assert_eq!(vaurien.stop().of("opaque"), 0);
    }
}

fn pid_of(folder: &std::path::Path) -> Option<u32> {
    fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()
}
