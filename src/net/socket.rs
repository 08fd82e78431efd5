//! What carries the bytes of one side: a TCP or Unix socket, or memory in tests.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::disconnect;
#[cfg(any(test, fuzzing))]
use super::memory_stream::{self, MemoryStream};

/// A peer that has left is an error of the write, not a signal.
#[cfg(not(any(target_vendor = "apple", windows)))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(any(target_vendor = "apple", windows))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(any(test, fuzzing))]
    Memory(MemoryStream),
}

/// Calls a method that sockets of the system have in common.
macro_rules! on_system_socket {
    ($socket:expr, $stream:ident => $done:expr, $memory:pat => $in_memory:expr) => {
        match $socket {
            Socket::Tcp($stream) => $done,
            #[cfg(unix)]
            Socket::Unix($stream) => $done,
            #[cfg(any(test, fuzzing))]
            Socket::Memory($memory) => $in_memory,
        }
    };
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

#[cfg(any(test, fuzzing))]
impl From<MemoryStream> for Socket {
    fn from(stream: MemoryStream) -> Self {
        Self::Memory(stream)
    }
}

impl Socket {
    /// Lets the peer read a reset once the socket is dropped. A Unix socket has no reset: the peer reads an end of file, or an
    /// error if it has sent bytes that were not read.
    pub(super) fn reset_on_drop(&self) {
        match self {
            // It fails only for a peer that is gone already.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            #[cfg(unix)]
            Self::Unix(_) => {}
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.reset(),
        }
    }

    /// The error that the system noted, if there is one.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        on_system_socket!(self, stream => stream.take_error().ok().flatten(), _ => None)
    }

    /// Whether the peer has neither sent anything nor closed.
    pub(super) fn is_silent(&self) -> bool {
        on_system_socket!(self, stream => {
            // Asked of the socket itself: what the runtime knows of it may be a moment old.
            let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
            peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }, _ => true)
    }

    /// The peer's IP address; none where it is gone already or has none.
    pub(super) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => None,
        }
    }

    /// The IP address on which the peer has connected, if there is one.
    pub(super) fn own_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => None,
        }
    }

    /// Resolves when the peer has left: it reset, or closed both directions. A half-close is not enough.
    pub(super) async fn left(&self) {
        match self {
            Self::Tcp(stream) => disconnect::left(stream).await,
            #[cfg(unix)]
            Self::Unix(stream) => disconnect::left_unix(stream).await,
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.left().await,
        }
    }

    /// Resolves when the peer has reset. Unread bytes do not hide it.
    pub(super) async fn reset(&self) {
        // The only error is the end of the runtime.
        on_system_socket!(self, stream => drop(stream.ready(Interest::ERROR).await), stream => stream.was_reset().await);
    }

    /// Ends the stream in order: the peer reads an end of file.
    pub(super) fn end(&self) -> io::Result<()> {
        on_system_socket!(self, stream => SockRef::from(stream).shutdown(Shutdown::Write), stream => {
            stream.end();
            Ok(())
        })
    }

    /// Reads without taking anything off the socket.
    pub(super) fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(cx, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => {
                let space = buffer.initialize_unfilled();
                let len = ready!(poll_attempt(stream, cx, Interest::READABLE, 0, || {
                    Ok(recv(stream, &mut *space, RecvFlags::PEEK)?.0)
                }))?;
                buffer.advance(len);
                Poll::Ready(Ok(len))
            }
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => stream.poll_fill(cx, buffer, memory_stream::Take::Nothing),
        }
    }

    /// Whether bytes can be taken off unseen, so that it is worth peeking at many.
    pub(super) fn discards(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            #[cfg(unix)]
            Self::Unix(_) => false,
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => true,
        }
    }

    /// Takes bytes off the socket that were peeked at, at most as many as `space` is long: how many it took.
    pub(super) fn discard(&self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            // TCP copies none of what is truncated (tcp(7), MSG_TRUNC).
            #[cfg(target_os = "linux")]
            Self::Tcp(stream) => Ok(recv(stream, space, RecvFlags::TRUNC)?.1),
            #[cfg(not(target_os = "linux"))]
            Self::Tcp(stream) => stream.try_read(space),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_read(space),
            #[cfg(any(test, fuzzing))]
            Self::Memory(stream) => Ok(stream.discard(space.len())),
        }
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_system_socket!(self, stream => {
            let space = buffer.initialize_unfilled();
            let len = space.len();
            let mut read = || Ok(recv(stream, &mut *space, RecvFlags::empty())?.0);
            let taken = ready!(poll_attempt(stream, cx, Interest::READABLE, len, &mut read))?;
            buffer.advance(taken);
            Poll::Ready(Ok(()))
        }, stream => stream.poll_fill(cx, buffer, memory_stream::Take::All).map_ok(drop))
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_system_socket!(self, stream => {
            poll_attempt(stream, cx, Interest::WRITABLE, bytes.len(), || Ok(send(stream, bytes, NO_SIGNAL)?))
        }, stream => stream.poll_put(cx, bytes))
    }

    pub(super) fn poll_write_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        on_system_socket!(self, stream => {
            let len = pieces.iter().map(|piece| piece.len()).sum();
            let send = || Ok(sendmsg(stream, pieces, &mut SendAncillaryBuffer::default(), NO_SIGNAL)?);
            poll_attempt(stream, cx, Interest::WRITABLE, len, send)
        }, stream => stream.poll_put(cx, pieces.first().map_or(&[], |piece| piece)))
    }
}

/// A socket of the system in the runtime.
trait Ready {
    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>>;
    fn attempt_io(&self, interest: Interest, io: impl FnOnce() -> io::Result<()>) -> io::Result<()>;
}

macro_rules! ready_socket {
    ($stream:ty) => {
        impl Ready for $stream {
            fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>> {
                if interest.is_readable() { self.poll_read_ready(cx) } else { self.poll_write_ready(cx) }
            }

            fn attempt_io(&self, interest: Interest, io: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
                self.try_io(interest, io)
            }
        }
    };
}

ready_socket!(TcpStream);
#[cfg(unix)]
ready_socket!(UnixStream);

/// Moves up to `len` bytes once the socket is ready: how many were moved.
///
/// Fewer than `len` show that the socket has no more for now: the runtime learns it without asking the system again. It learns
/// it within `try_io`, which notes the state of the socket before the system call, so that an event that comes meanwhile is kept.
fn poll_attempt(
    stream: &impl Ready,
    cx: &mut Context<'_>,
    interest: Interest,
    len: usize,
    mut move_bytes: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_ready(cx, interest))?;
        let mut moved = None;
        let tried = stream.attempt_io(interest, || {
            let bytes = *moved.insert(move_bytes()?);
            if 0 < bytes && bytes < len { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (tried, moved) {
            (Err(error), _) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            (_, Some(moved)) => return Poll::Ready(Ok(moved)),
            (_, None) => {}
        }
    }
}
