//! Handshakes that never end, and those that end in something else than TLS.

use std::io::Read;
use std::time::{Duration, Instant};

use super::certificates::{LOCAL, signed};
use super::client::curl;
use super::peer::client;
use super::tool::{output, output_of, program};
use super::world::client::Ending;
use super::world::{Backend, Client, PATIENCE, Program, eventually};

const BOTH: &str = "--backend-ca @ca.pem --tls auto --tls-dir @own";

/// How long calls in progress may take to finish when the program stops.
const GRACE: Duration = Duration::from_secs(5);

/// Prints the first message of a client.
const HELLO: &str = r#"
import ssl, sys
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
context = ssl.create_default_context()
context.set_alpn_protocols(sys.argv[1:])
try:
    context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
except ssl.SSLWantReadError:
    sys.stdout.buffer.write(outgoing.read())
"#;

fn hello(alpn: &[&str]) -> Vec<u8> {
    output_of(program("python3").args(["-c", HELLO]).args(alpn), Vec::new())
}

/// A backend that says nothing, and serves until its client leaves.
fn silent() -> Backend {
    Backend::new(|mut stream| drop(stream.read_to_end(&mut Vec::new())))
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn the_handshake_with_a_backend_is_part_of_its_dial() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let certificates = signed(LOCAL);
    let backend = silent();
    for (tls, steps, seen) in [
        ("", "", ""),
        // A client that asks what the backend speaks waits for it, and another one has a handshake of its own.
        ("--tls auto --tls-dir @own", "alpn=h2,http/1.1 end", "no handshake: reset"),
        ("--tls auto --tls-dir @own", "end", "reset"),
    ] {
        let options = format!("--backend-ca @ca.pem --connect-timeout {}ms {tls}", TIMEOUT.as_millis());
        let mut vaurien = certificates.start(backend.address(), &options);
        let begun = Instant::now();
        if tls.is_empty() {
            assert_eq!(vaurien.connect().ending(), Ending::Reset);
        } else {
            assert_eq!(client(&certificates, vaurien.address(), steps), [seen]);
        }
        assert!((TIMEOUT..PATIENCE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let address = backend.address();
        vaurien.line(&format!("cannot reach the backend {address}: the TLS handshake took too long"));
        assert_eq!(vaurien.stop().of("dial failure"), 1);
    }
}

#[test]
#[ignore = "needs openssl; tests/run.sh installs it"]
fn what_is_no_tls_is_called_so() {
    let certificates = signed(LOCAL);
    for (backend, why) in [
        (
            Backend::new(|stream| _ = Client::from(stream).send("HTTP/1.1 400 Bad Request\r\n\r\n").ending()),
            "it does not speak TLS",
        ),
        (Backend::new(|mut stream| _ = stream.read(&mut [0; 1000])), "it closed during the TLS handshake"),
    ] {
        let mut vaurien = certificates.start(backend.address(), "--backend-ca @ca.pem");
        assert_eq!(vaurien.connect().ending(), Ending::Reset);
        vaurien.line(&format!("cannot reach the backend {}: {why}", backend.address()));
    }
    // And a client of the same kind reads what it can.
    let mut vaurien = certificates.start(Backend::nobody().address(), "--tls auto --tls-dir @own");
    for (sent, what) in [("GET / HTTP/1.1\r\n\r\n", "HTTP"), ("*1\r\n$4\r\nPING\r\n", "Redis")] {
        let (got, ending) = vaurien.connect().send(sent).read_to_end();
        // An alert, or what a browser shows.
        let first = if what == "HTTP" { b'H' } else { 21 };
        assert_eq!((got.first(), ending), (Some(&first), Ending::Closed), "{}", got.escape_ascii());
        vaurien.line(&format!("no TLS with a client: the client sent {what} without TLS"));
    }
}

/// Clients that have not finished their handshake: silent, within their first message, and behind it.
fn unfinished(vaurien: &Program, hello: &[u8]) -> [Client; 3] {
    let [silent, mut within, mut behind] = [(); 3].map(|()| vaurien.connect());
    within.send(&hello[..hello.len() / 2]);
    // The server's first message is a handshake.
    behind.send(hello).expect([22]);
    [silent, within, behind]
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn no_handshake_keeps_the_program_from_its_end() {
    let certificates = signed(LOCAL);
    let (backend, hello_with_alpn) = (silent(), hello(&["h2", "http/1.1"]));
    for (options, hello) in [(BOTH, &hello(&[])), ("--tls auto --tls-dir @own", &hello_with_alpn)] {
        let vaurien = certificates.start(backend.address(), options);
        let clients = unfinished(&vaurien, hello);
        let begun = Instant::now();
        let counts = vaurien.stop();
        assert!(begun.elapsed() < GRACE, "{options}: {:?}", begun.elapsed());
        assert_eq!(counts.of("connections"), 3);
        drop(clients);
    }
    // One that waits for a backend which says nothing, and one that is not to be answered.
    for options in ["--backend-ca @ca.pem", "--handler tls(fault=handshake_stall)"] {
        let dialled = backend.connections();
        let vaurien = certificates.start(backend.address(), &format!("--tls auto --tls-dir @own {options}"));
        let mut client = vaurien.connect();
        client.send(&hello_with_alpn);
        eventually("it is under way", || {
            backend.connections() > dialled || vaurien.api().events().iter().any(|event| event["verdict"] == "hold")
        });
        let begun = Instant::now();
        vaurien.stop();
        assert!(begun.elapsed() < GRACE, "{options}: {:?}", begun.elapsed());
    }
}

#[test]
#[ignore = "needs python3, openssl and curl; tests/run.sh installs them"]
fn clients_that_say_nothing_hinder_nobody() {
    let certificates = signed(LOCAL);
    let backend = Backend::new(|stream| {
        let mut client = Client::from(stream);
        client.read_until("\r\n\r\n");
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    });
    let vaurien = certificates.start(backend.address(), "--workers 1 --protocol http --tls auto --tls-dir @own");
    let (open, hello) = (vaurien.descriptors(), hello(&[]));
    let clients: Vec<_> = (0..70).flat_map(|_| unfinished(&vaurien, &hello)).collect();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(output(&curl(&certificates, vaurien.address(), "", &["/"])), "hello");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert_eq!(backend.connections(), 5, "nobody dials for them");
    drop(clients);
    eventually("they have left", || vaurien.descriptors() == open);
    let counts = vaurien.stop();
    assert_eq!((counts.of("connections"), counts.calls("dummy")), (215, 5), "{counts:?}");
}

#[test]
#[ignore = "needs python3 and openssl; tests/run.sh installs them"]
fn a_first_message_may_be_long_or_come_in_pieces() {
    let certificates = signed(LOCAL);
    let vaurien = certificates.start(Backend::lines().address(), "--tls auto --tls-dir @own");
    let mut client = vaurien.connect();
    for byte in hello(&[]) {
        client.send([byte]);
    }
    client.expect([22]);
    // More than fits into a record.
    let alpn: Vec<String> = (0..100).map(|number| format!("{number:0200}")).collect();
    let long = format!("alpn={} alpn send=hi\\n expect=+hi\\n", alpn.join(","));
    assert_eq!(self::client(&certificates, vaurien.address(), &long), ["alpn None"]);
}
