//! A real server that lives as long as a test.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Backend, Client, PATIENCE};

/// A command for the program called `name`. Servers may be outside the PATH.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:/usr/sbin", env::var("PATH").unwrap()));
    command
}

/// A server on a free port, with a temporary folder. It is ended when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

/// How to identify a server: the question to send, and the text before the process id in its answer.
pub(crate) type WhoIsThere = (&'static str, &'static str);

impl Server {
    /// Starts the command for an address and a folder, and waits until the server answers.
    pub(crate) fn start(who: WhoIsThere, command: impl Fn(SocketAddr, &Path) -> Command) -> Self {
        Self::start_known_by(|address, _| identity(address, who), command)
    }

    /// The same for a server whose process id `identity` returns once the server answers.
    pub(crate) fn start_known_by(
        identity: impl Fn(SocketAddr, &Path) -> Option<u32>,
        command: impl Fn(SocketAddr, &Path) -> Command,
    ) -> Self {
        let begun = Instant::now();
        loop {
            // The port is free from here on.
            let address = Backend::nobody().address();
            // Try another port only if another process took this one meanwhile.
            if let Some(server) = Self::start_at(address, &identity, &command) {
                return server;
            }
            assert!(begun.elapsed() < PATIENCE, "every free port is taken by another process");
        }
    }

    fn start_at(
        address: SocketAddr,
        identity: impl Fn(SocketAddr, &Path) -> Option<u32>,
        command: impl Fn(SocketAddr, &Path) -> Command,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let output = File::create(&log).unwrap();
        let mut command = command(address, folder.path());
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let name = command.get_program().display().to_string();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}, which tests/run.sh installs: {error}"));
        let mut server = Self { child, address, folder };
        let begun = Instant::now();
        while identity(address, server.folder.path()) != Some(server.child.id()) {
            if let Some(status) = server.child.try_wait().unwrap() {
                let log = fs::read_to_string(log).unwrap();
                // A Redis cluster needs another port, 10,000 above its own.
                let is_unlucky = ["Address already in use", "port number too high"].iter().any(|why| log.contains(why));
                assert!(is_unlucky, "{name}: {status}: {log}");
                return None;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} does not answer: {}", fs::read_to_string(log).unwrap());
            std::thread::yield_now();
        }
        Some(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client connected directly to the server.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id of the server at `address`; `None` if nothing there answers the question.
fn identity(address: SocketAddr, (question, before): WhoIsThere) -> Option<u32> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(question.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer).ok().filter(|len| *len > 0)?;
        answer.extend_from_slice(&buffer[..len]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((pid, _)) = text.split_once(before).and_then(|(_, behind)| behind.split_once(['\r', '\n'])) {
            return pid.parse().ok();
        }
    }
}
