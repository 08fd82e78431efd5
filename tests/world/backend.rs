//! Backends whose behaviour a test chooses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::{Domain, Socket, Type};

/// A backend on a free port. Its threads end with the test's process.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    /// Holds a port without listening on it.
    taken: Option<Socket>,
}

impl Backend {
    /// Runs `serve` for each connection, in a thread of its own.
    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let (connections, ended) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (count, count_ended, serve) = (connections.clone(), ended.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serve, ended) = (stream.unwrap(), serve.clone(), count_ended.clone());
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let serve = move || {
                    serve(stream);
                    ended.fetch_add(1, Ordering::SeqCst);
                };
                thread::Builder::new().stack_size(256 * 1024).spawn(serve).unwrap();
            }
        });
        Self { address, connections, ended, taken: None }
    }

    /// Echoes everything.
    pub(crate) fn echo() -> Self {
        Self::new(|mut stream| {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..len]).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers each line with `+` and the line.
    pub(crate) fn lines() -> Self {
        Self::new(|stream| {
            use std::io::{BufRead, BufReader};
            let mut to = stream.try_clone().unwrap();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if to.write_all(format!("+{line}\r\n").as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// An address that refuses connections: its port is taken, and nothing listens on it.
    pub(crate) fn nobody() -> Self {
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = taken.local_addr().unwrap().as_socket().unwrap();
        Self { address, connections: Arc::default(), ended: Arc::default(), taken: Some(taken) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has finished serving.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// How many connections may wait to be accepted. With the 128 of the standard library the system drops some where many
/// arrive at once, and their clients retry for half a minute.
const BACKLOG: i32 = 4096;

fn listen() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    socket.into()
}
