//! nginx as a backend within TLS: whom the proxy trusts, what it shows, and that curl does not notice it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::certificates::Certificates;
use super::client::{all_have_left, curl};
use super::tool::{Printed, output, output_of, printed_by};
use super::world::servers::nginx_with;
use super::world::{Program, Server, noise};

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
const OWN: &str = "ssl_certificate @server.pem; ssl_certificate_key @server-key.pem;";

/// An nginx that speaks TLS 1.2 and 1.3 with the certificate `server`, and has these further directives.
fn nginx(certificates: &Certificates, more: &str) -> Server {
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

pub(super) fn signed(names: &str) -> Certificates {
    let certificates = Certificates::new();
    certificates.sign("server", names);
    certificates
}

pub(super) const LOCAL: &str = "DNS:localhost,IP:127.0.0.1";

/// How clients reach the proxy and it reaches nginx: the options, and whether clients speak TLS, and nginx.
const SIDES: [(&str, bool, bool); 3] = [
    ("--backend-ca @ca.pem", false, true),
    ("--backend-ca @ca.pem --tls auto --tls-dir @own", true, true),
    ("--tls auto --tls-dir @own", true, false),
];

/// A curl command that trusts who made the certificates of nginx and of the proxy.
fn ask(certificates: &Certificates, address: SocketAddr, is_tls: bool, options: &str, paths: &[&str]) -> Command {
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

/// What nginx tells of a request through this proxy, without TLS on this side.
fn told(certificates: &Certificates, vaurien: &Program) -> String {
    output(&ask(certificates, vaurien.address(), false, "", &["/told"]))
}

/// How curl fails, and why the proxy has not reached nginx.
#[track_caller]
fn unreachable(certificates: &Certificates, mut vaurien: Program, is_tls: bool) -> String {
    let Printed { status, stdout, .. } =
        printed_by(&ask(certificates, vaurien.address(), is_tls, "", &["/told"]), Vec::new());
    assert!(!status.success() && stdout.is_empty(), "{}", stdout.escape_ascii());
    let line = vaurien.line("cannot reach the backend");
    let events = vaurien.api().events();
    let [failure] = &events[..] else { panic!("one event: {events:?}") };
    assert_eq!(failure["event"], "dial_failure");
    let why = failure["error"].as_str().unwrap().to_owned();
    assert!(line.contains(&why), "{line}");
    assert_eq!(vaurien.stop().of("dial failure"), 1);
    why
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
            assert_eq!(output_of(&ask("--upload-file - --write-out %{http_code}"), body.clone()), b"201");
            assert!(fs::read(nginx.folder().join("files/upload/file")).unwrap() == body, "{options} {protocol}");
            assert!(output_of(&ask(""), Vec::new()) == body, "{options} {protocol}");
            fs::remove_file(nginx.folder().join("files/upload/file")).unwrap();
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn an_authority_has_to_be_trusted() {
    let (certificates, same, other) = (signed(LOCAL), Certificates::new(), Certificates::named("other"));
    let nginx = nginx(&certificates, "");
    for of_client in [false, true] {
        let tls = if of_client { "--tls auto --tls-dir @own" } else { "" };
        let with_roots = |file| {
            let options = format!("--backend-tls --proxy 127.0.0.1:0 --http --http-port 0 {tls} --backend");
            let mut command = Program::command(&certificates.text(&options));
            // The system's, in place of those that are installed.
            command.arg(named(&nginx)).env("SSL_CERT_FILE", file);
            Program::spawn(&mut command)
        };
        let untrusted = "its certificate is signed by an authority that is not trusted: name that in `backend_tls.ca`";
        assert_eq!(unreachable(&certificates, with_roots(other.path("ca.pem")), of_client), untrusted);
        let other_key = "its certificate is signed by an authority of a name that is trusted, but with another key: name that \
                         authority in `backend_tls.ca`";
        for (authority, why) in [(&other, untrusted), (&same, other_key)] {
            let options = format!("--backend-ca {} {tls}", authority.path("ca.pem").display());
            assert_eq!(unreachable(&certificates, certificates.start(named(&nginx), &options), of_client), why);
        }
        let vaurien = with_roots(certificates.path("ca.pem"));
        let told = output(&ask(&certificates, vaurien.address(), of_client, "", &["/told"]));
        assert!(told.starts_with("name=localhost, version=TLSv1.3, "), "{told}");
        let mut vaurien = certificates.start(named(&nginx), &format!("--backend-insecure {tls}"));
        let told = output(&ask(&certificates, vaurien.address(), of_client, "", &["/told"]));
        assert!(told.starts_with("name=localhost, version=TLSv1.3, "), "{told}");
        vaurien.signal("TERM");
        vaurien.line("stopping");
        let warning = |line: &String| line.contains("can read and change everything that goes there");
        assert!(vaurien.seen().iter().any(warning), "{:?}", vaurien.seen());
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn the_backend_has_to_prove_its_name() {
    let certificates = signed("DNS:db.example,DNS:*.db.example");
    let nginx = nginx(&certificates, "");
    for (backend, options, host) in [
        (named(&nginx), "", "localhost"),
        (nginx.address().to_string(), "", "127.0.0.1"),
        (named(&nginx), "--backend-name a.b.db.example", "a.b.db.example"),
    ] {
        let vaurien = certificates.start(backend, &format!("--backend-ca @ca.pem {options}"));
        assert_eq!(
            unreachable(&certificates, vaurien, false),
            format!("its certificate is for db.example, *.db.example, not for `{host}`: name it in `backend_tls.name`")
        );
    }
    for name in ["db.example", "a.db.example"] {
        let vaurien = certificates.start(nginx.address(), &format!("--backend-ca @ca.pem --backend-name {name}"));
        let told = told(&certificates, &vaurien);
        assert!(told.starts_with(&format!("name={name}, ")), "{told}");
    }
    // An address is no name that could be asked for (RFC 6066, section 3).
    certificates.sign("server", LOCAL);
    let nginx = self::nginx(&certificates, "");
    for (backend, name) in [(nginx.address().to_string(), ""), (named(&nginx), "localhost")] {
        let vaurien = certificates.start(backend, "--backend-ca @ca.pem");
        let told = told(&certificates, &vaurien);
        assert!(told.starts_with(&format!("name={name}, ")), "{told}");
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn a_backend_may_ask_for_a_certificate() {
    let (certificates, other) = (signed(LOCAL), Certificates::new());
    certificates.sign("client", "DNS:client");
    other.sign("client", "DNS:client");
    let nginx = nginx(&certificates, "ssl_client_certificate @ca.pem; ssl_verify_client on;");
    let shown = |options: &str| {
        let vaurien = certificates.start(named(&nginx), &format!("--protocol http --backend-ca @ca.pem {options}"));
        told(&certificates, &vaurien)
    };
    let without = shown("");
    assert!(without.contains("400 No required SSL certificate was sent"), "{without}");
    let unknown = shown(&other.text("--backend-cert @client.pem --backend-key @client-key.pem"));
    assert!(unknown.contains("400 The SSL certificate error"), "{unknown}");
    let known = shown("--backend-cert @client.pem --backend-key @client-key.pem");
    assert!(known.contains("client=CN=client"), "{known}");
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn a_server_behind_a_name_is_asked_by_its_name() {
    let certificates = signed(LOCAL);
    let servers = format!(
        "server {{ listen ADDRESS ssl default_server; {OWN} return 421; }}
         server {{ listen ADDRESS ssl; {OWN} server_name localhost; return 200 $http_host; }}"
    );
    let nginx = nginx_with(&certificates.text(&servers));
    for tls in ["", "--tls auto --tls-dir @own"] {
        let asked = |options: &str| {
            let options = format!("--protocol http --backend-ca @ca.pem {tls} {options}");
            let vaurien = certificates.start(named(&nginx), &options);
            let mut command = curl(&certificates, vaurien.address(), "--write-out ,%{http_code}", &[]);
            let scheme = if tls.is_empty() { "http" } else { "https" };
            output(command.arg(format!("{scheme}://{}/", vaurien.address())))
        };
        let without = asked("");
        assert!(without.ends_with(",421"), "{without}");
        assert_eq!(asked("--rewrite-host"), format!("{},200", named(&nginx)));
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
