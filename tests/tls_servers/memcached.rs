//! memcached within TLS.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::certificates::{Certificates, LOCAL, signed};
use super::nginx::named;
use super::tool::{output, program};
use super::world::{Server, noise};

/// A memcached that speaks TLS with the certificate `server`.
fn memcached(certificates: &Certificates) -> Server {
    let pid = |address: SocketAddr, folder: &Path| {
        TcpStream::connect(address).ok()?;
        fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()
    };
    Server::start_known_by(pid, |address, folder| {
        let mut command = program("memcached");
        // As root it runs only with `-u`.
        command.args(["-l", "127.0.0.1", "-U", "0", "-u", "root", "-p", &address.port().to_string(), "-Z", "-P"]);
        command.arg(folder.join("pid")).args(["-I", "8m", "-o"]);
        command.arg(certificates.text("ssl_chain_cert=@server.pem,ssl_key=@server-key.pem"));
        command
    })
}

/// Sends each of a number of lines, and prints what comes back.
const PYTHON: &str = r#"
import socket, ssl, sys
port, authority, *lines = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with socket.create_connection(("127.0.0.1", int(port)), 30) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall("".join(line + "\r\n" for line in lines + ["mn"]).encode())
        got = b""
        while not got.endswith(b"MN\r\n"):
            got += tls.recv(65536)
        print(got.decode(), end="")
"#;

#[test]
#[ignore = "needs memcached and python3; tests/run.sh installs them"]
fn every_command_is_answered_as_without_the_proxy() {
    let certificates = signed(LOCAL);
    let memcached = memcached(&certificates);
    let print = |port: u16, authority: &str| {
        let mut command = program("python3");
        command.args(["-c", PYTHON, &port.to_string()]).arg(certificates.path(authority));
        command.args(["set a 0 0 3", "one", "get a b", "incr a 1", "mg a v", "mg b v", "delete a", "get a", "wrong"]);
        output(&command)
    };
    let direct = print(memcached.address().port(), "ca.pem");
    assert!(direct.starts_with("STORED\r\nVALUE a 0 3\r\none\r\nEND\r\n"), "{direct}");
    let both = "--backend-ca @ca.pem --tls auto --tls-dir @own";
    for protocol in ["memcache", "memcache --buffer 7", "tcp"] {
        let vaurien = certificates.start(named(&memcached), &format!("--protocol {protocol} {both}"));
        assert_eq!(print(vaurien.address().port(), "own/ca.pem"), direct, "{protocol}");
        let counts = vaurien.stop();
        assert_eq!((counts.of("opaque"), counts.of("dial failure")), (0, 0));
        if protocol != "tcp" {
            assert_eq!(counts.calls("dummy"), 9, "{protocol}");
        }
    }
    let options = format!("--protocol memcache {both} --handler dummy --rule get=>error(kind=busy)");
    let vaurien = certificates.start(named(&memcached), &options);
    let ours = print(vaurien.address().port(), "own/ca.pem");
    assert_eq!(ours.matches("SERVER_ERROR").count(), 2, "{ours}");
    assert_eq!(vaurien.stop().faults("rule-1.error"), 2);
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn an_item_of_megabytes_passes_from_a_client_without_tls() {
    const LEN: usize = 4 << 20;
    let certificates = signed(LOCAL);
    let memcached = memcached(&certificates);
    let value = noise(1, LEN);
    for protocol in ["memcache", "tcp"] {
        let vaurien = certificates.start(named(&memcached), &format!("--protocol {protocol} --backend-ca @ca.pem"));
        let mut client = vaurien.connect();
        client.send(format!("set a 0 0 {LEN}\r\n")).send(&value).send("\r\n").expect("STORED\r\n");
        client.send("get a\r\n").expect(format!("VALUE a 0 {LEN}\r\n")).expect(&value).expect("\r\nEND\r\n");
        assert_eq!(vaurien.stop().of("opaque"), 0, "{protocol}");
    }
}
