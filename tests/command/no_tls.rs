//! A command whose clients never get past the TLS handshake fails the run, which says why.

use std::fs;

use super::no_silent_green::{answers, sends};
use super::run_script;
use super::world::Backend;

const FAILED: &str = "failed in the TLS handshake";

const PLAIN: &str = "the client sent HTTP without TLS";

const UNTRUSTED: &str =
    "the client does not go on: it does not trust the authority of the certificate (alert unknown_ca)";

/// Asks as somebody who does not read what vaurien says.
const CURL: &str = "env -u CURL_CA_BUNDLE -u SSL_CERT_FILE curl -s https://{proxy}/; true";

/// HTTP without TLS, as `printf` has it.
const GET: &str = r"GET / HTTP/1.0\r\n\r\n";

/// Options for TLS towards clients, with an authority that is kept in the folder.
fn with_tls(protocol: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let options = format!("--protocol {protocol} --tls auto --tls-dir {}", folder.path().display());
    (folder, options)
}

#[test]
fn what_clients_have_sent_instead_is_told() {
    let (_folder, http) = with_tls("http");
    for (options, said) in [
        ("--handler error", "expected calls>=1: NOT met, 0; handler error met no call"),
        ("--toxic latency(latency=1ms)", "expected connections>=1: NOT met, 0; a toxic met no connection"),
    ] {
        let ran = sends(&format!("{http} {options}"), GET).ends(3);
        ran.says(&format!("{said}: 1 of 1 connection {FAILED}: {PLAIN}; if this run"))
            .says("0 dial failures, 1 handshake failures")
            .says(&format!("1 handshake failures: {PLAIN}"))
            .never_says("made no call");
    }
    sends(&format!("{http} --handler error --allow-no-calls"), GET).ends(0).never_says("NOT met");
}

#[test]
fn an_expectation_can_be_about_them() {
    let (_folder, http) = with_tls("http");
    sends(&format!("{http} --expect handshake_failures==1"), GET).ends(0).says("handshake_failures==1: met, 1");
    let ran = sends(&format!("{http} --handler error --expect handshake_failures==0"), GET).ends(3);
    ran.says(&format!("expected handshake_failures==0: NOT met, 1; 1 of 1 connection {FAILED}: {PLAIN}"));
    // It has not come as far as the fault.
    let expired = sends(&format!("{http} --handler tls(fault=expired) --expect handshake_failures==1"), GET);
    expired.ends(0).says(&format!("1 handshake failures: {PLAIN}"));
}

#[test]
#[ignore = "needs curl"]
fn who_does_not_trust_the_authority_is_told_what_to_trust() {
    let (folder, http) = with_tls("http");
    let three = format!("for client in 1 2 3; do {CURL}; done");
    let ran = run_script(&Backend::echo(), &format!("{http} --handler error"), &three).ends(3);
    let remedy = "trust the file that VAURIEN_CA names, or `vaurien --tls-ca`";
    ran.says(&format!("handler error met no call: 3 of 3 connections {FAILED}: {UNTRUSTED}: {remedy}; if this"));

    // With a certificate of the user's own, nobody knows where its authority is.
    let authority = vaurien::Authority::generate();
    let [cert, key] = ["own.pem", "own-key.pem"].map(|name| folder.path().join(name));
    fs::write(&cert, authority.certificate_pem()).unwrap();
    fs::write(&key, authority.key_pem()).unwrap();
    let own = format!("--protocol http --rule GET=>error --tls-cert {} --tls-key {}", cert.display(), key.display());
    let ran = run_script(&Backend::echo(), &own, CURL).ends(3);
    ran.says(&format!("a rule met no call: 1 of 1 connection {FAILED}: {UNTRUSTED}: let it trust the authority that"));

    // Where that was asked for, it is a fault.
    let expired = format!("{http} --handler tls(fault=expired) --expect handshake_failures==0 --expect tls==1");
    run_script(&Backend::echo(), &expired, CURL).ends(0).says("handshake_failures==0: met, 0");
}

#[test]
#[ignore = "needs python3"]
fn beside_them_opaque_connections_make_no_chaos() {
    let (_folder, redis) = with_tls("redis");
    let script = r#"python3 -c '
import os, socket, ssl
proxy = os.environ["VAURIEN_PROXY_HOST"], int(os.environ["VAURIEN_PROXY_PORT"])
plain = socket.create_connection(proxy)
plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
assert plain.recv(1) == b"H"
tls = ssl._create_unverified_context().wrap_socket(socket.create_connection(proxy))
tls.sendall(b"get x\r\n")
assert tls.recv(1) == b"E"
'"#;
    let ran = run_script(&answers(b"END\r\n"), &format!("{redis} --handler slow"), script).ends(3);
    ran.says(&format!(
        "expected faults>=1: NOT met, 0; handler slow injected no fault: 1 of 2 connections {FAILED}: {PLAIN}; "
    ))
    .says("; 1 of 2 connections is memcached, which --protocol redis cannot read: use --protocol memcache; if this");
}
