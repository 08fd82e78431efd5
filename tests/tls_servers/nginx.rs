//! nginx as a backend within TLS: whom the proxy trusts, what it shows, and that curl does not notice it.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::certificates::{Certificates, LOCAL, signed};
use super::client::{all_have_left, curl};
use super::tool::{Printed, output, output_of, printed_by};
use super::world::servers::nginx_with;
use super::world::{Server, noise};

/// A server with a certificate, which tells what it sees.
const SERVER: &str = r#"
    server {
        listen ADDRESS LISTEN;
        MORE
        root files;
        location = /none { return 204; }
        location = /told { return 200 "name=$ssl_server_name, version=$ssl_protocol, client=$ssl_client_s_dn, host=$http_host\n"; }
        location = /connection { return 200 "$connection $connection_requests\n"; }
        location /upload/ { dav_methods PUT; create_full_put_path on; }
    }
"#;

/// What nginx shows.
pub(super) const OWN: &str = "ssl_certificate @server.pem; ssl_certificate_key @server-key.pem;";

/// An nginx that speaks TLS 1.2 and 1.3 with the certificate `server`, and has these further directives.
pub(super) fn nginx(certificates: &Certificates, more: &str) -> Server {
    nginx_speaking(certificates, "TLSv1.2 TLSv1.3", more)
}

fn nginx_speaking(certificates: &Certificates, versions: &str, more: &str) -> Server {
    let more = format!("{OWN} ssl_protocols {versions}; {more}");
    nginx_with(&certificates.text(&SERVER.replace("LISTEN", "ssl").replace("MORE", &more)))
}

/// One that listens like this: `ssl http2`.
pub(super) fn listening(certificates: &Certificates, how: &str) -> Server {
    nginx_with(&certificates.text(&SERVER.replace("LISTEN", how).replace("MORE", OWN)))
}

/// One without TLS.
fn plain_nginx() -> Server {
    nginx_with(&SERVER.replace("LISTEN", "").replace("MORE", ""))
}

/// `localhost`, at the server's port.
pub(super) fn named(server: &Server) -> String {
    format!("localhost:{}", server.address().port())
}

/// How clients reach the proxy and it reaches nginx: the options, and whether clients speak TLS, and nginx.
const SIDES: [(&str, bool, bool); 3] = [
    ("--backend-ca @ca.pem", false, true),
    ("--backend-ca @ca.pem --tls auto --tls-dir @own", true, true),
    ("--tls auto --tls-dir @own", true, false),
];

/// A curl command that trusts who made the certificates of nginx and of the proxy.
pub(super) fn ask(
    certificates: &Certificates,
    address: SocketAddr,
    is_tls: bool,
    options: &str,
    paths: &[&str],
) -> Command {
    if is_tls {
        return curl(certificates, address, options, paths);
    }
    let paths = paths.iter().map(|path| format!("http://localhost:{}{path}", address.port()));
    let mut command = curl(certificates, address, options, &[]);
    command.args(paths);
    command
}

/// The bytes without what differs from second to second.
fn timeless(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"Date: ")).collect::<Vec<_>>().concat()
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_receives_the_same() {
    let certificates = signed(LOCAL);
    for (options, of_client, of_nginx) in SIDES {
        let nginx = if of_nginx { nginx(&certificates, "") } else { plain_nginx() };
        let body = noise(1, 200_000);
        for protocol in ["http", "http --buffer 7", "tcp"] {
            let vaurien = certificates.start(named(&nginx), &format!("--protocol {protocol} {options}"));
            let asked = |of_vaurien: bool| {
                [
                    ("", &["/small", "/large", "/none", "/missing", "/small"][..]),
                    ("--head", &["/large", "/missing"]),
                    ("--header Connection:close", &["/small", "/large"]),
                    ("--http1.0", &["/large"]),
                    ("--header Transfer-Encoding:chunked --upload-file -", &["/upload/file"]),
                    ("--range 1000-", &["/upload/file"]),
                ]
                .map(|(options, paths)| {
                    if options.contains("--upload-file") {
                        let _ = fs::remove_file(nginx.folder().join("files/upload/file"));
                    }
                    let address = if of_vaurien { vaurien.address() } else { nginx.address() };
                    let is_tls = if of_vaurien { of_client } else { of_nginx };
                    let options = format!("{options} --write-out %{{http_code}},%{{num_connects}};");
                    let mut command = ask(&certificates, address, is_tls, &options, paths);
                    if !of_vaurien {
                        command.arg("--cacert").arg(certificates.path("ca.pem"));
                    }
                    timeless(&output_of(&command, body.clone()))
                })
            };
            let (direct, ours) = (asked(false), asked(true));
            for (ours, direct) in ours.iter().zip(&direct) {
                assert!(ours == direct, "{options} {protocol}: {} bytes, not {}", ours.len(), direct.len());
            }
            let counts = vaurien.stop();
            assert_eq!((counts.of("opaque"), counts.of("dial failure")), (0, 0), "{options} {protocol}");
            if protocol != "tcp" {
                assert_eq!(counts.calls("dummy"), 12, "{options} {protocol}");
            }
        }
    }
}

/// How much the proxy may grow while a body passes, in KiB.
const GROWTH: u64 = 8 * 1024;

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn sixty_four_mebibytes_pass_in_each_direction() {
    let certificates = signed(LOCAL);
    let body = noise(1, 64 << 20);
    for (options, of_client, of_nginx) in SIDES {
        let nginx = if of_nginx { nginx(&certificates, "") } else { plain_nginx() };
        for protocol in ["http", "tcp"] {
            let vaurien = certificates.start(named(&nginx), &format!("--protocol {protocol} {options}"));
            let ask = |options| ask(&certificates, vaurien.address(), of_client, options, &["/upload/file"]);
            let before = vaurien.peak_memory();
            assert_eq!(output_of(&ask("--upload-file - --write-out %{http_code}"), body.clone()), b"201");
            assert!(fs::read(nginx.folder().join("files/upload/file")).unwrap() == body, "{options} {protocol}");
            assert!(output_of(&ask(""), Vec::new()) == body, "{options} {protocol}");
            fs::remove_file(nginx.folder().join("files/upload/file")).unwrap();
            let grown = vaurien.peak_memory() - before;
            assert!(grown < GROWTH, "{options} {protocol}: by {grown} KiB");
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn a_client_that_does_not_read_fills_no_memory() {
    let certificates = signed(LOCAL);
    let nginx = nginx(&certificates, "");
    let body = noise(1, 64 << 20);
    fs::write(nginx.folder().join("files/body"), &body).unwrap();
    for (protocol, tls) in
        [("http", ""), ("tcp", ""), ("http", "--tls auto --tls-dir @own"), ("tcp", "--tls auto --tls-dir @own")]
    {
        let of_client = !tls.is_empty();
        let options = format!("--protocol {protocol} --backend-ca @ca.pem --workers 1 {tls}");
        let vaurien = certificates.start(named(&nginx), &options);
        let small = || output_of(&ask(&certificates, vaurien.address(), of_client, "", &["/small"]), Vec::new());
        assert_eq!(small(), noise(100, 100));
        let before = vaurien.peak_memory();
        let mut curl = ask(&certificates, vaurien.address(), of_client, "", &["/body"]);
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let (mut pipe, mut got) = (curl.stdout.take().unwrap(), vec![0]);
        pipe.read_exact(&mut got).unwrap();
        // The pipe is full, and the others are served.
        for _ in 0..3 {
            assert_eq!(small(), noise(100, 100));
        }
        pipe.read_to_end(&mut got).unwrap();
        assert!(curl.wait().unwrap().success() && got == body, "{protocol} {tls}: {} bytes", got.len());
        let grown = vaurien.peak_memory() - before;
        assert!(grown < GROWTH, "{protocol} {tls}: by {grown} KiB");
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn a_connection_goes_to_the_next_client() {
    let certificates = signed(LOCAL);
    // With TLS 1.3 tickets come behind the handshake, and are no data.
    for (versions, more) in [("TLSv1.3", ""), ("TLSv1.2", ""), ("TLSv1.3", "ssl_session_tickets off;")] {
        let nginx = nginx_speaking(&certificates, versions, more);
        for tls in ["", "--tls auto --tls-dir @own"] {
            let options = format!("--protocol http --reuse-socket --backend-ca @ca.pem {tls}");
            let vaurien = certificates.start(named(&nginx), &options);
            let asked = [0; 4].map(|_| {
                let told = output(&ask(&certificates, vaurien.address(), !tls.is_empty(), "", &["/connection"; 2]));
                all_have_left(&vaurien);
                told
            });
            let (connection, _) = asked[0].split_once(' ').unwrap();
            let expected = [1, 3, 5, 7].map(|at| format!("{connection} {at}\n{connection} {}\n", at + 1));
            assert_eq!(asked, expected, "{versions} {more} {tls}");
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn either_side_may_speak_tls_1_2_alone() {
    let certificates = signed(LOCAL);
    for (versions, version) in [("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3"), ("TLSv1.2 TLSv1.3", "TLSv1.3")] {
        let nginx = nginx_speaking(&certificates, versions, "");
        let vaurien =
            certificates.start(named(&nginx), "--protocol http --backend-ca @ca.pem --tls auto --tls-dir @own");
        for (options, of_client) in [("--tls-max 1.2", "TLSv1.2"), ("--tlsv1.3", "TLSv1.3"), ("", "TLSv1.3")] {
            let command = curl(&certificates, vaurien.address(), &format!("--verbose {options}"), &["/told"]);
            let Printed { stdout, stderr, .. } = printed_by(&command, Vec::new());
            let told = String::from_utf8(stdout).unwrap();
            assert!(told.contains(&format!("version={version}, ")), "{told} {stderr}");
            assert!(stderr.contains(&format!("SSL connection using {of_client}")), "{stderr}");
        }
    }
}
