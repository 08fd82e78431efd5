//! One side of a connection: a TCP socket, or memory in tests. What needs the socket itself asks for it here.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::disconnect;
#[cfg(any(test, fuzzing))]
use super::memory_stream::{self, MemoryStream};

/// A peer that has left is an error of the write, not a signal.
#[cfg(not(any(target_vendor = "apple", windows)))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(any(target_vendor = "apple", windows))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// A client's or a backend's stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(any(test, fuzzing))]
    Memory(MemoryStream),
}

/// What is read of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadHalf<'s> {
    Tcp(&'s TcpStream),
    #[cfg(any(test, fuzzing))]
    Memory(&'s MemoryStream),
}

/// What is written to a stream. A copy may watch for the peer's end while another writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WriteHalf<'s> {
    Tcp(&'s TcpStream),
    #[cfg(any(test, fuzzing))]
    Memory(&'s MemoryStream),
}

/// The other end of a stream, as far as the system knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer<'s> {
    Tcp(&'s TcpStream),
    #[cfg(any(test, fuzzing))]
    Memory(&'s MemoryStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Stream {
    pub(crate) fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        match self {
            Self::Tcp(stream) => (ReadHalf::Tcp(stream), WriteHalf::Tcp(stream)),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => (ReadHalf::Memory(stream), WriteHalf::Memory(stream)),
        }
    }

    pub(crate) fn peer(&self) -> Peer<'_> {
        match self {
            Self::Tcp(stream) => Peer::Tcp(stream),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => Peer::Memory(stream),
        }
    }

    /// Lets the peer read a reset once the stream is dropped.
    pub(crate) fn reset_on_drop(&self) {
        match self {
            // It fails only for a peer that is gone already.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.reset(),
        }
    }

    /// Waits until there is something to read; false at the end of the stream.
    pub(crate) async fn has_more(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => Ok(stream.peek(&mut [0]).await? > 0),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.has_more().await,
        }
    }

    /// The error that the system noted for the stream, if there is one.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(stream) => stream.take_error().ok().flatten(),
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => None,
        }
    }

    /// Whether the peer has neither sent anything nor closed.
    pub(super) fn is_silent(&self) -> bool {
        match self {
            Self::Tcp(stream) => {
                // Asked of the socket itself: what the runtime knows of it may be a moment old.
                let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
                peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => true,
        }
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.split().1.write_all(bytes).await
    }

    /// Ends the stream in order: the peer reads an end of file.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.split().1.end()
    }
}

impl Peer<'_> {
    /// Its address; none where it is gone already.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => None,
        }
    }

    /// Resolves when the peer has left: it reset, or closed both directions. A half-close is not enough.
    pub(crate) async fn left(self) {
        match self {
            Self::Tcp(stream) => disconnect::left(stream).await,
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.left().await,
        }
    }

    /// Resolves when the peer has reset. Unread bytes do not hide it.
    pub(crate) async fn reset(self) {
        match self {
            Self::Tcp(stream) => disconnect::reset(stream).await,
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.was_reset().await,
        }
    }
}

impl<'s> ReadHalf<'s> {
    pub(crate) fn peer(self) -> Peer<'s> {
        match self {
            Self::Tcp(stream) => Peer::Tcp(stream),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => Peer::Memory(stream),
        }
    }

    /// Reads without taking anything off the stream.
    pub(super) fn poll_peek(self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(cx, buffer),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.poll_fill(cx, buffer, memory_stream::Take::Nothing),
        }
    }

    /// Takes bytes off the stream that were peeked at, at most as many as `space` is long: how many it took.
    pub(super) fn discard(self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            // TCP copies none of what is truncated (tcp(7), MSG_TRUNC).
            #[cfg(target_os = "linux")]
            Self::Tcp(stream) => Ok(recv(stream, space, RecvFlags::TRUNC)?.1),
            #[cfg(not(target_os = "linux"))]
            Self::Tcp(stream) => stream.try_read(space),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => Ok(stream.discard(space.len())),
        }
    }
}

impl<'s> WriteHalf<'s> {
    pub(crate) fn peer(self) -> Peer<'s> {
        match self {
            Self::Tcp(stream) => Peer::Tcp(stream),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => Peer::Memory(stream),
        }
    }

    /// Ends the stream in order: the peer reads an end of file.
    pub(crate) fn end(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => {
                stream.end();
                Ok(())
            }
        }
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match *self {
            Self::Tcp(stream) => {
                let space = buffer.initialize_unfilled();
                let (len, mut read) = (space.len(), || Ok(recv(stream, &mut *space, RecvFlags::empty())?.0));
                let taken = loop {
                    ready!(stream.poll_read_ready(cx))?;
                    if let Some(taken) = attempt(stream, Interest::READABLE, len, &mut read)? {
                        break taken;
                    }
                };
                buffer.advance(taken);
                Poll::Ready(Ok(()))
            }
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.poll_fill(cx, buffer, memory_stream::Take::All).map_ok(drop),
        }
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match *self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_write_ready(cx))?;
                let mut write = || Ok(send(stream, bytes, NO_SIGNAL)?);
                if let Some(taken) = attempt(stream, Interest::WRITABLE, bytes.len(), &mut write)? {
                    return Poll::Ready(Ok(taken));
                }
            },
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.poll_put(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither kind of stream buffers what it has taken.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end())
    }
}

/// Tries once to move up to `len` bytes. Returns how many were moved, or `None` if the socket was not ready.
///
/// Fewer than `len` show that the socket has no more for now: the runtime learns it without asking the system again. It learns
/// it within `try_io`, which notes the state of the socket before the system call, so that an event that comes meanwhile is kept.
fn attempt(
    stream: &TcpStream,
    interest: Interest,
    len: usize,
    mut move_bytes: impl FnMut() -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    let mut moved = None;
    let tried = stream.try_io(interest, || {
        let bytes = *moved.insert(move_bytes()?);
        if 0 < bytes && bytes < len { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match tried {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(moved),
    }
}
