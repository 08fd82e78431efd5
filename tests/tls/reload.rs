//! SIGHUP reads certificates again, also where the configuration names the same files.

use std::fs;

use super::pki::{TlsClient, shows};
use super::{Backend, Pki, Program, http};

const CALL: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Makes the program read its files again, and waits for the line that says this.
fn reload(program: &mut Program, says: &str) -> String {
    program.signal("HUP");
    program.line(says)
}

/// Starts the program in front of `backend`; `@` in the options stands for the folder of `pki`.
fn start(pki: &Pki, backend: &Backend, options: &str) -> Program {
    Program::start(backend, &pki.named(&format!("--protocol http {options}")))
}

/// Renews the certificate of `vaurien`, as its files are called in `pki`.
fn renew(pki: &Pki, mut vaurien: Program) {
    assert!(shows(vaurien.address(), "the first"));
    let mut early = TlsClient::connect(vaurien.address());
    assert_eq!(early.call(), "a");
    pki.write("the second");
    reload(&mut vaurien, "reloaded");
    assert!(shows(vaurien.address(), "the second"));
    assert_eq!(early.call(), "a", "it goes on");

    // Half of a pair, as it may be seen while both are replaced.
    fs::write(pki.path("key.pem"), "").unwrap();
    let line = reload(&mut vaurien, "not reloaded");
    assert!(line.contains("no private key in it"), "{line}");
    assert!(shows(vaurien.address(), "the second"));
    pki.write("the third");
    reload(&mut vaurien, "reloaded");
    assert!(shows(vaurien.address(), "the third"));
    assert_eq!(early.call(), "a");
}

#[test]
fn a_renewed_certificate_is_shown_to_new_clients() {
    let (pki, backend) = (Pki::new(), http("a"));
    pki.write("the first");
    fs::write(pki.path("vaurien.toml"), pki.named("tls = { cert = '@cert.pem', key = '@key.pem' }")).unwrap();
    renew(&pki, start(&pki, &backend, "--config @vaurien.toml"));
}

#[test]
fn flags_alone_will_do() {
    let (pki, backend) = (Pki::new(), http("a"));
    pki.write("the first");
    renew(&pki, start(&pki, &backend, "--tls-cert @cert.pem --tls-key @key.pem"));
}

#[test]
fn an_unchanged_certificate_changes_nothing() {
    let (pki, backend) = (Pki::new(), http("a"));
    pki.write("own");
    let mut vaurien = start(&pki, &backend, "--tls-cert @cert.pem --tls-key @key.pem");
    reload(&mut vaurien, "reloaded");
    assert!(vaurien.seen().iter().all(|line| !line.contains(" now ")), "{:#?}", vaurien.seen());
    pki.write("another");
    reload(&mut vaurien, "reloaded");
    assert!(vaurien.seen().iter().any(|line| line.contains(" now ")), "{:#?}", vaurien.seen());
}

#[test]
fn the_authorities_of_a_backend_are_read_again() {
    let (pki, other) = (Pki::new(), Pki::new());
    let backend = pki.backend("behind");
    fs::copy(other.path("ca.pem"), pki.path("trusted.pem")).unwrap();
    let mut vaurien = start(&pki, &backend, "--backend-ca @trusted.pem --backend-name localhost");
    vaurien.connect().send(CALL).ending();
    let why = vaurien.line("signed by an authority that is not trusted");
    assert!(why.contains("backend_tls.ca"), "{why}");
    fs::copy(pki.path("ca.pem"), pki.path("trusted.pem")).unwrap();
    reload(&mut vaurien, "reloaded");
    vaurien.connect().send(CALL).read_until("behind");
    fs::write(pki.path("trusted.pem"), "").unwrap();
    let line = reload(&mut vaurien, "not reloaded");
    assert!(line.contains("--backend-ca: no certificate in it"), "{line}");
    vaurien.connect().send(CALL).read_until("behind");
}

#[test]
fn an_authority_that_is_made_anew_is_taken_up() {
    let (pki, backend) = (Pki::new(), http("a"));
    fs::write(pki.path("vaurien.toml"), pki.named("tls.auto = true\ntls_dir = '@tls'\n")).unwrap();
    let mut vaurien = start(&pki, &backend, "--config @vaurien.toml");
    let read = || fs::read_to_string(pki.path("tls/ca.pem")).unwrap();
    let first = read();
    assert!(shows(vaurien.address(), "localhost"));
    fs::remove_dir_all(pki.path("tls")).unwrap();
    reload(&mut vaurien, "reloaded");
    assert_ne!(read(), first);
    assert!(shows(vaurien.address(), "localhost"));
}

#[test]
fn without_files_the_signal_ends_it() {
    let (pki, backend) = (Pki::new(), http("a"));
    let mut vaurien = start(&pki, &backend, "--backend-insecure");
    vaurien.signal("HUP");
    assert_eq!(vaurien.wait(), None);
    // Those of the authority are files as well.
    let mut vaurien = start(&pki, &backend, "--tls auto --tls-dir @tls");
    vaurien.signal("HUP");
    vaurien.line("reloaded");
}
