//! Clients that people use, each with one request.

use std::net::SocketAddr;
use std::process::Command;

use super::certificates::Certificates;
use super::tool::{Printed, printed_by, program};
use super::world::{Program, eventually};

/// Trusts an authority, and prints what it gets, or how that failed.
const PYTHON: &str = r#"
import ssl, sys, urllib.request
port, authority, seconds = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
try:
    print(urllib.request.urlopen(f"https://localhost:{port}/", timeout=float(seconds), context=context).read().decode())
except OSError as error:
    print(repr(getattr(error, "reason", error)))
"#;

/// The same. Node reads the authority from a variable.
const NODE: &str = r"
const [port, seconds] = process.argv.slice(1);
fetch(`https://localhost:${port}/`, { signal: AbortSignal.timeout(1000 * seconds) }).then(
    (response) => response.text(),
    (error) => `${error.cause?.code ?? error.name} ${error.cause?.message ?? error.message}`,
).then((said) => { console.log(said); process.exit(); });
";

/// A curl command for these paths at `localhost`, over one connection if possible. It trusts the proxy's own authority; `options` are
/// split at blanks.
pub(super) fn curl(certificates: &Certificates, address: SocketAddr, options: &str, paths: &[&str]) -> Command {
    let mut command = program("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--cacert"]).arg(certificates.path("own/ca.pem"));
    command.args(options.split_ascii_whitespace());
    command.args(paths.iter().map(|path| format!("https://localhost:{}{path}", address.port())));
    command
}

/// What clients print that trust the proxy's own authority and ask for `/`, but not for longer than `seconds`. curl speaks TLS 1.3 to
/// it and, once more, TLS 1.2.
pub(super) fn said(certificates: &Certificates, address: SocketAddr, seconds: &str) -> [String; 4] {
    let (authority, port) = (certificates.path("own/ca.pem"), address.port().to_string());
    let curl = |version| {
        let command = curl(certificates, address, &format!("--max-time {seconds} --tls-max {version}"), &["/"]);
        let Printed { stdout, stderr, .. } = printed_by(&command, Vec::new());
        String::from_utf8(stdout).unwrap() + &stderr
    };
    let script = |mut command: Command| {
        let Printed { stdout, stderr, .. } = printed_by(command.env("no_proxy", "*"), Vec::new());
        assert!(stderr.is_empty(), "{stderr}");
        String::from_utf8(stdout).unwrap()
    };
    let mut python = program("python3");
    python.args(["-c", PYTHON, &port]).arg(&authority).arg(seconds);
    let mut node = program("node");
    node.args(["--dns-result-order=ipv4first", "-e", NODE, &port, seconds]).env("NODE_EXTRA_CA_CERTS", &authority);
    [curl("1.3"), curl("1.2"), script(python), script(node)]
}

/// Waits until no client is left, and backends' connections are kept for the next one.
pub(super) fn all_have_left(vaurien: &Program) {
    eventually("the client has left", || {
        let listed = vaurien.api().get("/v1/proxies/default/connections").json();
        listed["connections"].as_array().unwrap().is_empty()
    });
}
