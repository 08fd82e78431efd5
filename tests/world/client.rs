//! A client: one connection with timeouts.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;

/// How a connection ended, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Closed: end of file.
    Closed,
    /// `ECONNRESET`.
    Reset,
}

#[derive(Debug)]
pub(crate) struct Client(TcpStream);

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }
}

/// The same over a Unix socket: what it does, every socket can.
impl From<UnixStream> for Client {
    fn from(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(OwnedFd::from(stream).into())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        TcpStream::connect(address).unwrap().into()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Reads exactly `expected`.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) -> &mut Self {
        let expected = expected.as_ref();
        let got = self.read(expected.len());
        assert!(got == expected, "got \"{}\", not \"{}\"", got.escape_ascii(), expected.escape_ascii());
        self
    }

    #[track_caller]
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads up to and including `end`.
    #[track_caller]
    pub(crate) fn read_until(&mut self, end: impl AsRef<[u8]>) -> Vec<u8> {
        let end = end.as_ref();
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            // Reads at most what is certainly missing, to leave the bytes after `end` unread.
            let shared = (0..end.len()).rev().find(|len| bytes.ends_with(&end[..*len])).unwrap_or(0);
            bytes.extend(self.read(end.len() - shared));
        }
        bytes
    }

    /// Reads to the end; returns the bytes and how the connection ended.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, Ending) {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => (bytes, Ending::Closed),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => (bytes, Ending::Reset),
            Err(error) => panic!("{error}, after \"{}\"", bytes.escape_ascii()),
        }
    }

    /// How the connection ends; panics if any bytes come before.
    #[track_caller]
    pub(crate) fn ending(&mut self) -> Ending {
        let (bytes, ending) = self.read_to_end();
        assert!(bytes.is_empty(), "got \"{}\"", bytes.escape_ascii());
        ending
    }

    /// Waits until there are bytes to read, but no longer than this.
    pub(crate) fn wait_for_bytes(&mut self, at_most: Duration) {
        self.0.set_read_timeout(Some(at_most)).unwrap();
        let _ = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Whether there is nothing to read now.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends `bytes` as far as they are accepted and half-closes, while reading to the end. Returns the bytes read and
    /// how the connection ended.
    #[track_caller]
    pub(crate) fn send_while_reading(&mut self, bytes: &[u8]) -> (Vec<u8>, Ending) {
        std::thread::scope(|scope| {
            let mut stream = self.0.try_clone().unwrap();
            scope.spawn(move || {
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(Shutdown::Write);
            });
            self.read_to_end()
        })
    }

    /// Sends `begin`, then `block` repeatedly until no more is accepted.
    pub(crate) fn fill(&mut self, begin: &[u8], block: &[u8]) {
        self.0.set_nonblocking(true).unwrap();
        self.0.write_all(begin).unwrap();
        let (mut refusals, mut at) = (0, 0);
        // A write that was refused may succeed a moment later.
        while refusals < 1000 {
            match self.0.write(&block[at..]) {
                Ok(taken) => (refusals, at) = (0, (at + taken) % block.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => refusals += 1,
                Err(error) => panic!("{error}"),
            }
            std::thread::yield_now();
        }
        self.0.set_nonblocking(false).unwrap();
    }

    /// Shuts down the sending direction.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        self.0.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Sends `bytes`; false if the other side does not accept them.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Whether at least one byte arrives within `patience`.
    pub(crate) fn try_read(&mut self, patience: Duration) -> bool {
        self.0.set_read_timeout(Some(patience)).unwrap();
        self.0.read(&mut [0; 4096]).is_ok_and(|len| len > 0)
    }

    /// Shuts down the sending direction; false if the other side is gone.
    pub(crate) fn try_half_close(&mut self) -> bool {
        self.0.shutdown(Shutdown::Write).is_ok()
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.0
    }
}
