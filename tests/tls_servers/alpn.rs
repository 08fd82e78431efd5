//! What a client is told to speak is what its backend speaks (ALPN, RFC 7301).

use super::certificates::{LOCAL, signed};
use super::client::{all_have_left, curl};
use super::nginx::{self, named};
use super::peer::{Backend, client};
use super::tool::output;
use super::world;

const BOTH: &str = "--backend-ca @ca.pem --tls auto --tls-dir @own";

/// What each side agrees to: the client, and the backend.
#[track_caller]
fn agreed(options: &str, of_client: &str, of_backend: &str) -> [String; 2] {
    let certificates = signed(LOCAL);
    let backend = Backend::start(&certificates, &format!("{of_backend} alpn expect=PING\\n send=+PONG\\n"));
    let vaurien = certificates.start(backend.address(), &format!("{BOTH} {options}"));
    let saw = client(&certificates, vaurien.address(), &format!("{of_client} alpn send=PING\\n expect=+PONG\\n"));
    [saw, backend.saw()].map(|lines| lines[0].strip_prefix("alpn ").unwrap().to_owned())
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn a_backend_selects_what_its_client_gets() {
    for version in ["version=TLSv1_2", "version=TLSv1_3"] {
        for (of_client, of_backend, expected) in [
            ("alpn=h2,http/1.1", "alpn=http/1.1", "http/1.1"),
            ("alpn=h2,http/1.1", "alpn=h2", "h2"),
            ("alpn=h2,http/1.1", "alpn=h2,http/1.1", "h2"),
            ("alpn=h2,http/1.1", "alpn=http/1.1,h2", "http/1.1"),
            ("alpn=mine", "alpn=mine", "mine"),
            // One that does not know what it is offered, and one that knows nothing of ALPN.
            ("alpn=mine", "alpn=h2", "None"),
            ("alpn=h2,http/1.1", "", "None"),
            ("", "alpn=h2,http/1.1", "None"),
        ] {
            let seen = agreed("--protocol tcp", &format!("{version} {of_client}"), &format!("{version} {of_backend}"));
            assert_eq!(seen, [expected; 2], "{version}: {of_client} for {of_backend}");
        }
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn with_http_both_sides_speak_http_1_unless_both_know_2() {
    for (of_client, of_backend, expected) in [
        ("alpn=http/1.1", "alpn=h2,http/1.1", ["http/1.1"; 2]),
        ("alpn=h2,http/1.1", "alpn=http/1.1", ["http/1.1"; 2]),
        // Those who say nothing speak it as well.
        ("", "alpn=h2,http/1.1", ["None", "http/1.1"]),
        ("alpn=h2,http/1.1", "", ["None"; 2]),
    ] {
        assert_eq!(agreed("--protocol http", of_client, of_backend), expected, "{of_client} for {of_backend}");
    }
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn a_backend_without_tls_cannot_be_asked() {
    let certificates = signed(LOCAL);
    let backend = world::Backend::lines();
    for (protocol, offered, expected) in [
        ("tcp", "h2,http/1.1", "http/1.1"),
        ("http", "h2,http/1.1", "http/1.1"),
        ("http", "h2", "h2"),
        ("grpc", "http/1.1,h2", "h2"),
        ("grpc", "http/1.1", "http/1.1"),
        ("tcp", "mine", "mine"),
        ("tcp", "h2,mine", "None"),
    ] {
        let vaurien =
            certificates.start(backend.address(), &format!("--tls auto --tls-dir @own --protocol {protocol}"));
        let saw = client(&certificates, vaurien.address(), &format!("alpn={offered} alpn"));
        assert_eq!(saw, [format!("alpn {expected}")], "{protocol} {offered}");
    }
    // And a client without it offers what the protocol says.
    for (protocol, expected) in [("tcp", "None"), ("http", "http/1.1")] {
        let backend = Backend::start(&certificates, "alpn=h2,http/1.1 alpn expect=PING\\n send=+PONG\\n");
        let vaurien = certificates.start(backend.address(), &format!("--backend-ca @ca.pem --protocol {protocol}"));
        vaurien.connect().send("PING\r\n").expect("+PONG\r\n");
        assert_eq!(backend.saw(), [format!("alpn {expected}")], "{protocol}");
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_speaks_http_2_where_nginx_does() {
    let certificates = signed(LOCAL);
    for (listen, protocol, version) in
        [("ssl http2", "tcp", "2"), ("ssl", "tcp", "1.1"), ("ssl http2", "http", "2"), ("ssl", "http", "1.1")]
    {
        let nginx = nginx::listening(&certificates, listen);
        let vaurien = certificates.start(named(&nginx), &format!("--protocol {protocol} --reuse-socket {BOTH}"));
        let ask = |options: &str| {
            let options = format!("--output /dev/null --write-out %{{http_version}},%{{http_code}} {options}");
            let said = output(&curl(&certificates, vaurien.address(), &options, &["/large"]));
            all_have_left(&vaurien);
            said
        };
        assert_eq!(ask("--http2"), format!("{version},200"), "{listen} {protocol}");
        // The next client may have a connection that is left only if both speak the same.
        assert_eq!(ask("--http1.1"), "1.1,200", "{listen} {protocol}");
        assert_eq!(ask("--no-alpn"), "1.1,200", "{listen} {protocol}");
        assert_eq!(vaurien.stop().of("opaque"), 0);
    }
}
