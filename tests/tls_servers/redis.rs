//! Redis and memcached within TLS.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::certificates::{Certificates, LOCAL, signed};
use super::client::all_have_left;
use super::nginx::named;
use super::tool::{Printed, output, output_of, printed_by, program};
use super::world::Server;
use super::world::servers::SOCKET;

/// A Redis that speaks TLS with the certificate `server` and, on a Unix socket, plainly. `options` are split at blanks.
fn redis(certificates: &Certificates, options: &str) -> Server {
    let pid = |_, folder: &Path| {
        let mut stream = UnixStream::connect(folder.join(SOCKET)).ok()?;
        stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().find_map(|line| line.strip_prefix("process_id:"))?.parse().ok()
    };
    let tls = "--tls-cert-file @server.pem --tls-key-file @server-key.pem --tls-ca-cert-file @ca.pem";
    let options = certificates.text(&format!("{tls} {options}"));
    Server::start_known_by(pid, |address, folder| {
        let mut command = program("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-port", &address.port().to_string()]);
        command.args(["--unixsocket", SOCKET, "--save", "", "--dir"]).arg(folder);
        command.args(options.split_ascii_whitespace());
        command
    })
}

/// A redis-cli command that speaks TLS to `port`, and trusts the authority in this file.
fn redis_cli(certificates: &Certificates, port: u16, authority: &str, arguments: &str) -> Command {
    let mut command = program("redis-cli");
    command.args(["-h", "localhost", "-p", &port.to_string(), "--tls", "--sni", "localhost", "--cacert"]);
    command.arg(certificates.path(authority)).args(arguments.split_ascii_whitespace());
    command
}

/// TLS on both sides of a proxy.
const BOTH: &str = "--backend-ca @ca.pem --tls auto --tls-dir @own";

/// Commands whose output is always the same.
const SCRIPT: &str = "\
FLUSHALL
SET text one
GET text
RPUSH list 1 2 3
LRANGE list 0 -1
HSET hash field value
HGETALL hash
WRONG
MULTI
INCR number
EXEC
BLPOP list 0
";

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_prints_the_same() {
    let certificates = signed(LOCAL);
    let redis = redis(&certificates, "--tls-auth-clients no");
    for arguments in ["--no-raw", "--no-raw -3"] {
        let print = |port, authority| output_of(&redis_cli(&certificates, port, authority, arguments), SCRIPT.into());
        let direct = String::from_utf8(print(redis.address().port(), "ca.pem")).unwrap();
        assert!(direct.contains("OK\n\"one\"\n"), "{direct}");
        for protocol in ["redis", "redis --buffer 7", "tcp"] {
            let vaurien = certificates.start(named(&redis), &format!("--protocol {protocol} {BOTH}"));
            let ours = String::from_utf8(print(vaurien.address().port(), "own/ca.pem")).unwrap();
            assert_eq!(ours, direct, "{protocol}");
            assert_eq!(vaurien.stop().of("dial failure"), 0);
        }
    }
}

/// How many commands are sent.
const COUNT: u64 = 1000;

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn errors_are_in_the_places_of_their_calls() {
    let certificates = signed(LOCAL);
    let redis = redis(&certificates, "--tls-auth-clients no");
    let direct = |arguments: &str| output(&redis_cli(&certificates, redis.address().port(), "ca.pem", arguments));
    // redis-cli asks for what it knows of commands.
    let options = "--protocol redis --handler 20:error(kind=readonly) --rule COMMAND=>dummy --seed 5";
    let run = || {
        direct("FLUSHALL");
        let vaurien = certificates.start(named(&redis), &format!("{options} {BOTH}"));
        let sent = (0..COUNT).map(|number| format!("SET key:{number} {number}\n")).collect::<Vec<_>>().concat();
        let cli = redis_cli(&certificates, vaurien.address().port(), "own/ca.pem", "--no-raw");
        let got = String::from_utf8(output_of(&cli, sent.into_bytes())).unwrap();
        let counts = vaurien.stop();
        assert_eq!(counts.calls("dummy") + counts.calls("error"), COUNT);
        (got, counts.faults("error"))
    };
    let (got, faults) = run();
    let is_refused: Vec<bool> = got.lines().map(|reply| reply.starts_with("(error) READONLY ")).collect();
    assert!(is_refused.iter().zip(got.lines()).all(|(is_refused, reply)| *is_refused || reply == "OK"), "{got}");
    assert_eq!(is_refused.len() as u64, COUNT);
    assert_eq!(is_refused.iter().filter(|is_refused| **is_refused).count() as u64, faults);
    assert!((150..250).contains(&faults), "{faults}");
    // What was refused was not done, and all else was.
    let keys = (0..COUNT).map(|number| format!(" key:{number}")).collect::<Vec<_>>().concat();
    let stored: Vec<bool> = direct(&format!("MGET{keys}")).lines().map(|value| !value.is_empty()).collect();
    assert!(stored.iter().zip(&is_refused).all(|(stored, is_refused)| stored != is_refused), "{stored:?}");
    assert_eq!(run(), (got, faults), "the same seed");
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn a_pipeline_keeps_its_order() {
    let certificates = signed(LOCAL);
    let redis = redis(&certificates, "--tls-auth-clients no");
    let commands = (0..COUNT).map(|number| format!("SET key:{number} {number}\r\n")).collect::<Vec<_>>().concat();
    for (options, errors) in [("", 0..1), ("--handler dummy --rule SET=>20:error(kind=readonly)", 150..250)] {
        let vaurien = certificates.start(named(&redis), &format!("--protocol redis {options} {BOTH}"));
        // All of it at once; at the end it waits for the reply to a command of its own.
        let pipe = redis_cli(&certificates, vaurien.address().port(), "own/ca.pem", "--pipe");
        let Printed { stdout, stderr, .. } = printed_by(&pipe, commands.clone().into_bytes());
        let counts = vaurien.stop();
        let faults = if errors.contains(&0) { 0 } else { counts.faults("rule-1.error") };
        assert!(errors.contains(&faults), "{faults}");
        let printed = String::from_utf8(stdout).unwrap() + &stderr;
        assert!(printed.contains(&format!("errors: {faults}, replies: {COUNT}\n")), "{printed}");
        assert_eq!(counts.of("opaque"), 0);
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_may_ask_for_a_certificate() {
    let certificates = signed(LOCAL);
    certificates.sign("client", "DNS:client");
    let redis = redis(&certificates, "--tls-auth-clients yes");
    let ask = |options: &str| {
        let options = format!("--protocol redis --tls auto --tls-dir @own --backend-ca @ca.pem {options}");
        let vaurien = certificates.start(named(&redis), &options);
        let cli = redis_cli(&certificates, vaurien.address().port(), "own/ca.pem", "PING");
        let Printed { stdout, stderr, .. } = printed_by(&cli, Vec::new());
        (String::from_utf8(stdout).unwrap() + &stderr, vaurien)
    };
    let (said, vaurien) = ask("--backend-cert @client.pem --backend-key @client-key.pem");
    assert_eq!((said.as_str(), vaurien.stop().of("dial failure")), ("PONG\n", 0));
    let (said, mut vaurien) = ask("");
    assert!(!said.contains("PONG"), "{said}");
    let why = "it asks for a certificate (alert certificate_required): name one in `backend_tls.cert`";
    vaurien.line(&format!("no more TLS with the backend {}: {why}", named(&redis)));
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn a_connection_goes_to_the_next_client() {
    let certificates = signed(LOCAL);
    for version in ["TLSv1.3", "TLSv1.2"] {
        let redis = redis(&certificates, &format!("--tls-auth-clients no --tls-protocols {version}"));
        // How many it has accepted, with the one that asks.
        let accepted = || {
            let info = output(&redis_cli(&certificates, redis.address().port(), "ca.pem", "INFO stats"));
            let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        };
        for (options, expected) in [("--reuse-socket", 1), ("", 4)] {
            let vaurien = certificates.start(named(&redis), &format!("--protocol redis {BOTH} {options}"));
            let before = accepted();
            for number in 1..=4 {
                let cli = redis_cli(&certificates, vaurien.address().port(), "own/ca.pem", "INCR number");
                assert_eq!(output(&cli), format!("{number}\n"));
                all_have_left(&vaurien);
            }
            assert_eq!(accepted() - before - 1, expected, "{version} {options}");
            output(&redis_cli(&certificates, redis.address().port(), "ca.pem", "DEL number"));
        }
    }
}

/// Ends the backend's connection in the middle, and prints what comes back. Before it goes on, it waits until Redis has closed it.
const QUIT: &str = r#"
import socket, ssl, sys
def has_other_clients():
    context = ssl.create_default_context(cafile=sys.argv[4])
    with socket.create_connection(("127.0.0.1", int(sys.argv[3])), 30) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"CLIENT LIST\r\n")
            reply = tls.makefile("rb")
            return reply.read(int(reply.readline()[1:])).count(b" addr=") > 1
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        for line in ["PING", "QUIT", "PING", "QUIT", "QUIT", "ECHO it-is-over"]:
            tls.sendall(line.encode() + b"\r\n")
            got = b""
            while not got.endswith((b"+PONG\r\n", b"+OK\r\n", b"over\r\n")):
                got += tls.recv(65536) or exit(f"{line}: {got}")
            print(line, got)
            while line == "QUIT" and has_other_clients():
                pass
"#;

#[test]
#[ignore = "needs redis-server and python3; tests/run.sh installs them"]
fn a_client_outlives_its_backends() {
    let certificates = signed(LOCAL);
    let redis = redis(&certificates, "--tls-auth-clients no");
    let ask = |options: &str| {
        let vaurien = certificates.start(named(&redis), &format!("--protocol redis {BOTH} {options}"));
        let mut command = program("python3");
        command.args(["-c", QUIT, &vaurien.address().port().to_string()]).arg(certificates.path("own/ca.pem"));
        command.arg(redis.address().port().to_string()).arg(certificates.path("ca.pem"));
        (printed_by(&command, Vec::new()), vaurien)
    };
    let (Printed { status, stdout, stderr }, vaurien) = ask("--keep-alive");
    assert!(status.success() && stderr.is_empty(), "{stderr}");
    assert_eq!(String::from_utf8(stdout).unwrap().lines().count(), 6);
    let counts = vaurien.stop();
    assert_eq!((counts.of("connections"), counts.calls("dummy"), counts.of("dial failure")), (1, 6, 0));
    let (Printed { stderr, .. }, _) = ask("");
    assert!(stderr.starts_with("PING: b''"), "{stderr}");
}
