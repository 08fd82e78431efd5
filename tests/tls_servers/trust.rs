//! Whom a proxy trusts as a backend, and what it shows.

use super::certificates::{Certificates, LOCAL, signed};
use super::client::curl;
use super::nginx::{OWN, ask, named, nginx};
use super::tool::{Printed, output, printed_by};
use super::world::Program;
use super::world::servers::nginx_with;

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
        let other_key =
            "its certificate is signed by another authority of a trusted name: name that in `backend_tls.ca`";
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
