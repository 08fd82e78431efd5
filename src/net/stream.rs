//! One side of a connection: bytes as they are on a socket, or within TLS.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::socket::Socket;
use super::tls::{Alpn, TlsStream};

/// A client's or a backend's stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

/// What is read of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadHalf<'s>(&'s Stream);

/// What is written to a stream. A copy may watch for the peer's end while another writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteHalf<'s>(&'s Stream);

/// The other end of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'s>(&'s Stream);

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: within TLS with its `close_notify`, then with an end of file.
    Orderly,
    /// With an end of file alone, as where a program ends without a word (RFC 8446, section 6.1).
    Truncated,
}

impl<S: Into<Socket>> From<S> for Stream {
    fn from(socket: S) -> Self {
        Self::Plain(socket.into())
    }
}

impl From<TlsStream> for Stream {
    fn from(stream: TlsStream) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Stream {
    pub(crate) fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer(self)
    }

    /// Lets the peer read a reset once the stream is dropped.
    pub(crate) fn reset_on_drop(&self) {
        if let Self::Tls(stream) = self {
            stream.ends_when_dropped(End::Truncated);
        }
        self.socket().reset_on_drop();
    }

    /// Waits until there is something to read; false at the end of the stream.
    pub(crate) async fn has_more(&self) -> io::Result<bool> {
        match self {
            Self::Plain(socket) => {
                poll_fn(|cx| socket.poll_peek(cx, &mut ReadBuf::new(&mut [0]))).await.map(|len| len > 0)
            }
            Self::Tls(stream) => poll_fn(|cx| stream.poll_has_more(cx)).await,
        }
    }

    /// The error that the system noted for the stream, if there is one.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.socket().take_error()
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether both sides agreed on one of the protocols `alpn`, or on none.
    pub(super) fn speaks(&self, alpn: &[Alpn]) -> bool {
        self.alpn().is_none_or(|agreed| alpn.contains(&agreed))
    }

    /// The protocol that both sides agreed on within TLS, if they have.
    pub(crate) fn alpn(&self) -> Option<Alpn> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.alpn(),
        }
    }

    /// Whether the peer has neither sent anything nor closed.
    pub(super) fn is_silent(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_silent(),
            Self::Tls(stream) => stream.is_silent(),
        }
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut half = WriteHalf(self);
        half.write_all(bytes).await?;
        half.flush().await
    }

    /// Ends the stream in order: the peer reads an end of file.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        WriteHalf(self).end(End::Orderly).await
    }
}

impl Peer<'_> {
    /// Its address; none where it is gone already or has none.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        self.0.socket().peer_address()
    }

    /// How it has ended the stream, once an end of file was read.
    pub(crate) fn how_ended(self) -> End {
        match self.0 {
            Stream::Plain(_) => End::Orderly,
            Stream::Tls(stream) => stream.how_ended(),
        }
    }

    /// Resolves when the peer has left: it reset, or closed both directions. A half-close is not enough.
    pub(crate) async fn left(self) {
        self.0.socket().left().await;
    }

    /// Resolves when the peer has reset. Unread bytes do not hide it.
    pub(crate) async fn reset(self) {
        self.0.socket().reset().await;
    }
}

impl<'s> ReadHalf<'s> {
    pub(crate) fn peer(self) -> Peer<'s> {
        self.0.peer()
    }

    /// Whether bytes that were peeked at can be taken off unseen.
    pub(crate) fn discards(self) -> bool {
        matches!(self.0, Stream::Plain(socket) if socket.discards())
    }

    /// Reads without taking anything off the stream, which has to be one that [discards](Self::discards).
    pub(super) fn poll_peek(self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.0.socket().poll_peek(cx, buffer)
    }

    /// Takes bytes off the stream that were peeked at, at most as many as `space` is long: how many it took.
    pub(super) fn discard(self, space: &mut [u8]) -> io::Result<usize> {
        self.0.socket().discard(space)
    }
}

impl<'s> WriteHalf<'s> {
    pub(crate) fn peer(self) -> Peer<'s> {
        self.0.peer()
    }

    /// Whether bytes that the stream has taken are still to be given to the socket: see `poll_flush`.
    #[inline]
    pub(crate) fn holds(self) -> bool {
        match self.0 {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.holds(),
        }
    }

    /// Ends the stream: the peer reads an end of file, behind what was written.
    pub(crate) async fn end(self, how: End) -> io::Result<()> {
        poll_fn(|cx| self.poll_end(cx, how)).await
    }

    /// What the peer reads once the stream is dropped, unless it has been ended by then.
    pub(crate) fn ends_when_dropped(self, how: End) {
        if let Stream::Tls(stream) = self.0 {
            stream.ends_when_dropped(how);
        }
    }

    fn poll_end(self, cx: &mut Context<'_>, how: End) -> Poll<io::Result<()>> {
        match self.0 {
            Stream::Plain(socket) => Poll::Ready(socket.end()),
            Stream::Tls(stream) => stream.poll_end(cx, how),
        }
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0 {
            Stream::Plain(socket) => socket.poll_read(cx, buffer),
            Stream::Tls(stream) => stream.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {
            Stream::Plain(socket) => socket.poll_write(cx, bytes),
            Stream::Tls(stream) => stream.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.0 {
            Stream::Plain(socket) => socket.poll_write_vectored(cx, pieces),
            Stream::Tls(stream) => stream.poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx, End::Orderly)
    }
}
