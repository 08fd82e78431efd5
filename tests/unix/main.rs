//! Unix sockets in place of TCP, on either side: what passes, what becomes of the socket's file, and what is told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod files;
mod loops;
mod refused;
mod tls;
mod told;
mod traffic;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

use world::{Client, Program};

/// A folder for the files of sockets.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An address: `unix:/…/name`.
    fn at(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    /// A backend on the socket of this name, which runs `serve` for each connection in a thread of its own.
    fn serve(&self, name: &str, serve: impl Fn(Client) + Clone + Send + 'static) -> String {
        let listener = UnixListener::bind(self.path(name)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serve) = (stream.unwrap(), serve.clone());
                thread::spawn(move || serve(stream.into()));
            }
        });
        self.at(name)
    }

    /// A connection to the socket of this name.
    #[track_caller]
    fn connect(&self, name: &str) -> Client {
        connect(&self.path(name))
    }

    /// Whether somebody listens on the socket of this name.
    fn is_served(&self, name: &str) -> bool {
        UnixStream::connect(self.path(name)).is_ok()
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }
}

#[track_caller]
fn connect(path: &Path) -> Client {
    UnixStream::connect(path).unwrap().into()
}

/// Answers each line with `+` and the line.
fn lines(mut client: Client) {
    use std::io::{BufRead, BufReader};
    for line in BufReader::new(client.stream().try_clone().unwrap()).lines().map_while(Result::ok) {
        if !client.try_send(format!("+{line}\r\n").as_bytes()) {
            return;
        }
    }
}

/// Starts the program, and waits until it is ready.
fn start(proxy: &str, backend: &str, options: &str) -> Program {
    Program::spawn(&mut Program::command(&format!("--proxy {proxy} --backend {backend} {options}")))
}
