//! `tls` makes handshakes go wrong: what clients see of it, and which connections it hits.

use super::certificates::Certificates;
use super::client::{curl, said};
use super::tool::{Printed, output, printed_by, program};
use super::world::{Backend, Client, Program};

/// What clients have to say who trust the authority: curl, Python and Node.
const FAULTS: [(&str, [&str; 3]); 7] = [
    (
        "expired",
        [
            "certificate has expired",
            "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired",
            "CERT_HAS_EXPIRED",
        ],
    ),
    (
        "wrong_name",
        [
            "no alternative certificate subject name matches target host name 'localhost'",
            "Hostname mismatch, certificate is not valid for 'localhost'",
            "ERR_TLS_CERT_ALTNAME_INVALID",
        ],
    ),
    (
        "self_signed",
        [
            "certificate problem: self-signed certificate\n",
            "certificate verify failed: self-signed certificate (",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
        ],
    ),
    (
        "unknown_ca",
        [
            "unable to get local issuer certificate",
            "unable to get local issuer certificate",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        ],
    ),
    ("handshake_stall", ["timed out", "TimeoutError('_ssl.c", "TimeoutError"]),
    ("handshake_reset", ["Connection reset by peer", "ConnectionResetError", "ECONNRESET"]),
    ("old_version", ["unsupported protocol", "UNSUPPORTED_PROTOCOL", "ERR_SSL_UNSUPPORTED_PROTOCOL"]),
];

/// Answers each request with `hello`.
fn hello() -> Backend {
    Backend::new(|stream| {
        let mut client = Client::from(stream);
        loop {
            if client.stream().peek(&mut [0]).map_or(true, |len| len == 0) {
                return;
            }
            client.read_until("\r\n\r\n");
            client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    })
}

/// A proxy before `hello` which makes certificates, with this mix or these rules.
fn start(certificates: &Certificates, backend: &Backend, options: &str) -> Program {
    certificates.start(backend.address(), &format!("--protocol http --tls auto --tls-dir @own {options}"))
}

/// The faults in the events of `vaurien`: their connections, and what was done.
fn faults(vaurien: &Program) -> Vec<(u64, String)> {
    let events = vaurien.api().events().into_iter().filter(|event| event["event"] == "fault");
    events.map(|event| (event["connection"].as_u64().unwrap(), event["verdict"].as_str().unwrap().to_owned())).collect()
}

#[test]
#[ignore = "needs curl, python3 and node; tests/run.sh installs them"]
fn clients_say_what_is_wrong() {
    let certificates = Certificates::new();
    let backend = hello();
    let without = start(&certificates, &backend, "");
    for said in said(&certificates, without.address(), "30") {
        assert_eq!(said.trim_end(), "hello");
    }
    assert_eq!(without.stop().calls("dummy"), 4);
    for (fault, [curl, python, node]) in FAULTS {
        let is_stall = fault == "handshake_stall";
        let served = backend.connections();
        let vaurien = start(&certificates, &backend, &format!("--handler tls(fault={fault})"));
        let said = said(&certificates, vaurien.address(), if is_stall { "1" } else { "30" });
        for (said, words) in said.iter().zip([curl, curl, python, node]) {
            assert!(said.contains(words), "{fault}: no {words:?} in {said:?}");
        }
        let verdict = if is_stall { "hold" } else { "handshake" }.to_owned();
        assert_eq!(faults(&vaurien), [1, 2, 3, 4].map(|connection| (connection, verdict.clone())), "{fault}");
        let counts = vaurien.stop();
        assert_eq!((counts.calls("tls"), counts.faults("tls"), counts.of("connections")), (4, 4, 4), "{fault}");
        // Some clients look at the certificate when the handshake is over.
        let may_dial = ["expired", "wrong_name", "self_signed", "unknown_ca"].contains(&fault);
        assert!(may_dial || backend.connections() == served, "{fault}: the backend is dialled");
    }
}

#[test]
#[ignore = "needs curl; tests/run.sh installs it"]
fn who_verifies_nothing_goes_on() {
    let certificates = Certificates::new();
    let backend = hello();
    for fault in ["expired", "wrong_name", "self_signed", "unknown_ca"] {
        let vaurien = start(&certificates, &backend, &format!("--handler tls(fault={fault})"));
        let twice = curl(&certificates, vaurien.address(), "--insecure", &["/a", "/b"]);
        assert_eq!(output(&twice), "hellohello", "{fault}");
        let counts = vaurien.stop();
        // The second call is drawn for a handler that does nothing to it.
        assert_eq!((counts.calls("tls"), counts.faults("tls"), counts.of("connections")), (2, 1, 1), "{fault}");
    }
}

/// What curl gets: `hello`, a status, or `expired`.
fn asked(certificates: &Certificates, vaurien: &Program) -> String {
    let options = "--write-out ,%{http_code} --fail --no-progress-meter";
    let Printed { stdout, stderr, .. } =
        printed_by(&curl(certificates, vaurien.address(), options, &["/"]), Vec::new());
    if stderr.contains("certificate has expired") {
        return "expired".to_owned();
    }
    String::from_utf8(stdout).unwrap()
}

#[test]
#[ignore = "needs curl; tests/run.sh installs it"]
fn a_rule_chooses_the_connections() {
    let certificates = Certificates::new();
    let backend = hello();
    let (hello, failed) = ("hello,200", ",503");
    for (options, expected) in [
        ("--rule connection=2=>tls(fault=expired)", [hello, "expired", hello]),
        ("--rule times=2=>tls(fault=expired)", ["expired", "expired", hello]),
        ("--rule client=127.0.0.0/8@every=2=>tls(fault=expired)", [hello, "expired", hello]),
        // One behind it has to see the request.
        ("--rule connection=2=>tls(fault=expired) --rule GET=>error(status=503)", [failed, "expired", failed]),
    ] {
        let vaurien = {
            let options = options.split(' ').map(|option| option.replace('@', " "));
            let mut command = Program::command(&certificates.text("--protocol http --tls auto --tls-dir @own"));
            command.args(["--http", "--http-port", "0", "--proxy", "127.0.0.1:0", "--backend"]);
            Program::spawn(command.arg(backend.address().to_string()).args(options))
        };
        assert_eq!([(); 3].map(|()| asked(&certificates, &vaurien)), expected, "{options}");
        let hit: Vec<_> = (1..).zip(expected).filter(|(_, said)| *said == "expired").collect();
        let seen = faults(&vaurien).into_iter().filter(|(_, verdict)| verdict == "handshake");
        assert!(seen.map(|(connection, _)| connection).eq(hit.iter().map(|(connection, _)| *connection)), "{options}");
        assert_eq!(vaurien.stop().faults("rule-1.tls"), hit.len() as u64, "{options}");
    }
}

#[test]
#[ignore = "needs curl; tests/run.sh installs it"]
fn a_change_hits_the_connections_that_follow() {
    let certificates = Certificates::new();
    let vaurien = start(&certificates, &hello(), "");
    for (handler, expected) in [
        ("dummy", "hello,200"),
        ("tls(fault=expired)", "expired"),
        ("error(status=503)", ",503"),
        ("dummy", "hello,200"),
    ] {
        let change = format!(r#"{{"handler": "{handler}"}}"#);
        assert_eq!(vaurien.api().patch("/v1/proxies/default", &change).status, 200, "{handler}");
        assert_eq!(asked(&certificates, &vaurien), expected, "{handler}");
    }
}

/// Connects a number of times, and prints which of the connections were refused.
const MANY: &str = r#"
import socket, ssl, sys
port, authority, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=authority)
for number in range(1, count + 1):
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as plain:
            context.wrap_socket(plain, server_hostname="localhost")
    except ssl.SSLCertVerificationError as error:
        print(number, error.verify_message)
"#;

#[test]
#[ignore = "needs python3; tests/run.sh installs it"]
fn a_seed_decides_which_connections_are_hit() {
    const COUNT: usize = 100;
    let certificates = Certificates::new();
    let backend = hello();
    let hit = |seed| {
        let options = format!("--handler 20:tls(fault=expired),10:name=tls(fault=wrong_name) --seed {seed}");
        let vaurien = start(&certificates, &backend, &options);
        let mut many = program("python3");
        many.args(["-c", MANY, &vaurien.address().port().to_string()]);
        let printed = output(many.arg(certificates.path("own/ca.pem")).arg(COUNT.to_string()));
        let counts = vaurien.stop();
        let expired = printed.lines().filter(|line| line.ends_with("certificate has expired")).count() as u64;
        let named = printed.lines().filter(|line| line.contains("Hostname mismatch")).count() as u64;
        assert_eq!((counts.faults("tls"), counts.faults("name")), (expired, named), "{printed}");
        assert!((8..=35).contains(&expired) && (2..=22).contains(&named), "{printed}");
        printed
    };
    let first = hit(17);
    assert_eq!(hit(17), first);
    assert_ne!(hit(18), first);
}

/// Makes two connections, the second with the session of the first: prints whether that was resumed.
const AGAIN: &str = r#"
import socket, ssl, sys
port, authority, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
session = None
for _ in range(2):
    with socket.create_connection(("127.0.0.1", port), 30) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert tls.recv(1000).endswith(b"hello")
                print(tls.version(), tls.session_reused)
                session = tls.session
        except ssl.SSLCertVerificationError as error:
            print(error.verify_message)
"#;

#[test]
#[ignore = "needs python3; tests/run.sh installs it"]
fn who_resumes_a_session_sees_the_certificate() {
    let certificates = Certificates::new();
    let backend = hello();
    for (name, version) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        for (options, second) in [
            ("", format!("{version} True")),
            ("--rule connection=2=>tls(fault=expired)", "certificate has expired".to_owned()),
        ] {
            let vaurien = start(&certificates, &backend, options);
            let mut again = program("python3");
            again.args(["-c", AGAIN, &vaurien.address().port().to_string()]).arg(certificates.path("own/ca.pem"));
            assert_eq!(output(again.arg(name)), format!("{version} False\n{second}\n"), "{options}");
        }
    }
}
