//! OpenSSL's own programs on either side.

use std::process::{Command, Stdio};

use super::certificates::{Certificates, LOCAL, signed};
use super::client::{all_have_left, curl};
use super::tool::{Printed, Running, output, printed_by, program};
use super::world::client::Ending;

const BOTH: &str = "--backend-ca @ca.pem --tls auto --tls-dir @own";

/// An `openssl s_server` with these options, and its address. It sends what it is told to.
fn s_server(certificates: &Certificates, options: &str) -> (Running, String) {
    let mut command = program("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-cert"]).arg(certificates.path("server.pem"));
    command.arg("-key").arg(certificates.path("server-key.pem")).args(options.split_ascii_whitespace());
    let mut running = Running::start_with(command.stderr(Stdio::null()), Stdio::piped());
    let line = running.lines_until("ACCEPT ").pop().unwrap();
    let address = line.replace("ACCEPT 127.0.0.1", "localhost");
    (running, address)
}

/// An `openssl s_client` that trusts the proxy's own authority, and says what it sees.
fn s_client(certificates: &Certificates, port: u16, options: &str) -> Command {
    let mut command = program("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "localhost", "-CAfile"]);
    command.arg(certificates.path("own/ca.pem")).args(["-verify_return_error", "-verify_hostname", "localhost"]);
    command.args(options.split_ascii_whitespace());
    command
}

#[test]
#[ignore = "needs openssl and curl; tests/run.sh installs them"]
fn a_server_may_speak_one_version_alone() {
    let certificates = signed(LOCAL);
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (_server, address) = s_server(&certificates, &format!("{option} -www"));
        for protocol in ["http", "tcp"] {
            let vaurien = certificates.start(&address, &format!("--protocol {protocol} {BOTH}"));
            let page = output(&curl(&certificates, vaurien.address(), "--http1.1", &["/"]));
            assert!(page.contains(&format!("New, {version}, Cipher is ")), "{page}");
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
}

#[test]
#[ignore = "needs openssl and curl; tests/run.sh installs them"]
fn what_is_older_than_tls_1_2_is_refused() {
    let certificates = signed(LOCAL);
    let (_server, address) = s_server(&certificates, "-tls1_1 -cipher ALL:@SECLEVEL=0 -www");
    let mut vaurien = certificates.start(&address, &format!("--protocol http {BOTH}"));
    let refused = printed_by(&curl(&certificates, vaurien.address(), "", &["/"]), Vec::new());
    assert!(!refused.status.success(), "{refused:?}");
    let why = "it refuses the TLS handshake: alert protocol_version";
    vaurien.line(&format!("cannot reach the backend {address}: {why}"));
    // The client is told in the words of TLS.
    let old = s_client(&certificates, vaurien.address().port(), "-tls1_1 -cipher ALL:@SECLEVEL=0");
    let Printed { status, stderr, .. } = printed_by(&old, Vec::new());
    assert!(!status.success() && stderr.contains("alert"), "{stderr}");
    vaurien.line("no TLS with a client: the client speaks neither TLS 1.2 nor TLS 1.3");
}

#[test]
#[ignore = "needs openssl; tests/run.sh installs it"]
fn lines_come_back_reversed() {
    let certificates = signed(LOCAL);
    for (server, client) in
        [("-tls1_2", "-tls1_2"), ("-tls1_2", "-tls1_3"), ("-tls1_3", "-tls1_2"), ("-tls1_3", "-tls1_3")]
    {
        let (_server, address) = s_server(&certificates, &format!("-rev {server}"));
        let vaurien = certificates.start(&address, BOTH);
        // It stays until the server leaves, which that does at this word.
        let command = s_client(&certificates, vaurien.address().port(), &format!("-quiet {client}"));
        let Printed { status, stdout, stderr } = printed_by(&command, b"hello\nCLOSE\n".into());
        assert!(status.success(), "{stderr}");
        assert_eq!(String::from_utf8(stdout).unwrap(), "olleh\n", "{server} {client}");
    }
}

#[test]
#[ignore = "needs openssl; tests/run.sh installs it"]
fn what_belongs_to_tls_alone_is_no_data() {
    let certificates = signed(LOCAL);
    // It serves one connection at a time.
    let (mut server, address) = s_server(&certificates, "-tls1_3 -msg");
    let vaurien = certificates.start(&address, "--backend-ca @ca.pem --protocol redis --reuse-socket");
    // New keys, and new keys for both.
    for (number, command) in ["k\n", "K\n", "k\n"].into_iter().enumerate() {
        let mut client = vaurien.connect();
        client.send("PING\r\n");
        let lines = server.lines_until("PING");
        assert_eq!(lines.iter().any(|line| line.contains("CIPHER is ")), number == 0, "a new connection: {lines:#?}");
        server.say("+PONG\r\n");
        client.expect("+PONG\r\n").half_close();
        assert_eq!(client.ending(), Ending::Closed);
        all_have_left(&vaurien);
        // While nobody uses the connection.
        server.say(command);
        server.lines_until("KeyUpdate");
    }
    let counts = vaurien.stop();
    assert_eq!((counts.of("connections"), counts.calls("dummy"), counts.of("dial failure")), (3, 3, 0));
}

#[test]
#[ignore = "needs openssl; tests/run.sh installs it"]
fn who_speaks_no_http_is_refused_by_http() {
    let certificates = signed(LOCAL);
    let backend = super::world::Backend::lines();
    let options = "--protocol http --tls auto --tls-dir @own";
    let mut vaurien = certificates.start(backend.address(), options);
    let client = s_client(&certificates, vaurien.address().port(), "-alpn spdy/3");
    let Printed { status, stderr, .. } = printed_by(&client, Vec::new());
    // RFC 7301, section 3.2.
    assert!(!status.success() && stderr.contains("alert no application protocol"), "{stderr}");
    vaurien.line("no TLS with a client: the client names neither HTTP/1 nor HTTP/2");
}
