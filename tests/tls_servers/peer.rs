//! Ends of TLS connections whose every step is a test's: `peer.py`.

use std::net::SocketAddr;

use super::certificates::Certificates;
use super::tool::{Running, output, program};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls_servers/peer.py");

/// A server for one connection, with the certificate `server`. Steps are split at blanks.
pub(super) struct Backend {
    running: Running,
    port: String,
}

impl Backend {
    pub(super) fn start(certificates: &Certificates, steps: &str) -> Self {
        let mut command = program("python3");
        command.args([SCRIPT, "serve"]).args(["server.pem", "server-key.pem"].map(|file| certificates.path(file)));
        let mut running = Running::start(command.args(steps.split_ascii_whitespace()));
        let line = running.lines_until("listening ").pop().unwrap();
        Self { running, port: line.rsplit(' ').next().unwrap().to_owned() }
    }

    pub(super) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// What it has printed, once it is done.
    #[track_caller]
    pub(super) fn saw(mut self) -> Vec<String> {
        let mut lines = self.running.lines_until("done");
        lines.pop();
        lines
    }
}

/// What a client prints that trusts the proxy's own authority. Steps are split at blanks.
#[track_caller]
pub(super) fn client(certificates: &Certificates, address: SocketAddr, steps: &str) -> Vec<String> {
    let mut command = program("python3");
    command.args([SCRIPT, "connect", &address.port().to_string()]).arg(certificates.path("own/ca.pem"));
    let printed = output(command.args(steps.split_ascii_whitespace()));
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("done"));
    lines
}
