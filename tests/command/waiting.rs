//! `--wait-backend`: the command starts when the backend accepts connections.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};

use socket2::{Domain, Socket, Type};

use super::world::{Backend, Program};
use super::{Ran, run_script, signal};

/// An address that is taken, and refuses connections until it listens.
fn refuses() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A run that has logged that it waits for `backend`.
fn waiting(backend: SocketAddr) -> Child {
    let mut vaurien = Program::command(&format!("--backend {backend} --wait-backend 1h -- echo begun"));
    let mut child = vaurien.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("waiting for the backend {backend}: connection refused")), "{line}");
    // Its standard error is not read any further, which must not end it.
    child
}

#[test]
fn it_begins_once_the_backend_accepts() {
    let (socket, address) = refuses();
    let child = waiting(address);
    socket.listen(1).unwrap();
    TcpListener::from(socket).accept().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).ends(0);
    assert_eq!(ran.stdout, "begun\n");
}

#[test]
fn a_backend_that_never_accepts_is_an_error() {
    let backend = Backend::nobody();
    let vaurien = |rest: &str| {
        let options = format!("--proxy 127.0.0.1:0 --backend {} --wait-backend 300ms {rest}", backend.address());
        Ran::from(Program::command(&options).output().unwrap())
    };
    let says = format!(
        "vaurien: the backend {} did not accept a connection within 300ms: connection refused",
        backend.address()
    );
    let ran = vaurien("-- echo begun").ends(125).says(&says);
    assert_eq!(ran.stdout, "");
    vaurien("").ends(1).says(&says).never_says("ready");
}

#[test]
fn without_it_the_backend_is_not_dialled() {
    let backend = Backend::lines();
    run_script(&backend, "", "true").ends(0);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_signal_ends_the_wait() {
    let (_taken, address) = refuses();
    let child = waiting(address);
    signal(&child, "TERM");
    let ran = Ran::from(child.wait_with_output().unwrap()).ends(128 + 15);
    assert_eq!(ran.stdout, "");
}
