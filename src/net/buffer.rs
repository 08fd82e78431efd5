//! The read buffer of each thread, and the bytes that a peer has not taken yet.
//!
//! Connections own no read buffer: bytes are read into the buffer of the thread and written at once; only what the peer does
//! not take is copied. So an idle connection has no buffer, and a busy one reads a lot at once into warm memory.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::ReadHalf;

/// The largest read, in bytes: the most that a direction holds when the peer takes nothing.
pub(crate) const MAX_READ: usize = LARGEST as usize;
const LARGEST: u32 = 256 * 1024;

/// The largest peek, in bytes. What the peer does not take of it stays in the socket.
const MAX_PEEK: usize = 512 * 1024;

/// The buffer is aligned to this: the kernel copies into the middle of a cache line several times more slowly.
const ALIGNMENT: usize = 4096;

/// The first read of a direction, in bytes, unless a size is set.
const FIRST_READ: u32 = 2048;

thread_local! {
    static LENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How much one direction reads at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSize {
    bytes: u32,
    fixed: bool,
}

impl ReadSize {
    /// A fixed size, or one that grows while data keeps filling it.
    pub(crate) fn new(buffer: Option<usize>) -> Self {
        match buffer {
            Some(bytes) => {
                Self { bytes: u32::try_from(bytes).map_or(LARGEST, |bytes| bytes.min(LARGEST)), fixed: true }
            }
            None => Self { bytes: FIRST_READ, fixed: false },
        }
    }

    fn filled(&mut self) {
        if !self.fixed {
            self.bytes = (self.bytes * 4).min(LARGEST);
        }
    }

    /// Whether data kept filling reads, so that they have grown.
    pub(crate) fn is_large(self) -> bool {
        !self.fixed && self.bytes > FIRST_READ
    }

    /// Whether data kept filling the largest read, so that [`poll_take`] may offer more at once.
    pub(crate) fn is_largest(self) -> bool {
        !self.fixed && self.bytes == LARGEST
    }

    /// The peer took less than was read, or there was less: smaller reads hold less.
    pub(crate) fn refused(&mut self) {
        if !self.fixed {
            self.bytes = (self.bytes / 2).max(FIRST_READ);
        }
    }
}

/// Calls `to` with the buffer of the thread.
fn lend<T>(to: impl FnOnce(&mut [u8]) -> T) -> T {
    LENT.with_borrow_mut(|lent| {
        if lent.is_empty() {
            *lent = vec![0; MAX_PEEK + ALIGNMENT];
        }
        let begin = lent.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        to(&mut lent[begin..begin + MAX_PEEK])
    })
}

/// Reads once into the buffer of the thread and calls `with` with the bytes; no bytes are the end of the stream.
pub(crate) fn poll_read<R: AsyncRead + Unpin, T>(
    cx: &mut Context<'_>,
    from: &mut R,
    size: &mut ReadSize,
    with: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
) -> Poll<io::Result<T>> {
    lend(|lent| {
        let mut buffer = ReadBuf::new(&mut lent[..size.bytes as usize]);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        if buffer.remaining() == 0 {
            size.filled();
        }
        Poll::Ready(Ok(with(cx, buffer.filled())))
    })
}

/// Calls `take` with the bytes that can be read, and takes as many off the stream as it returns. Returns how many there were,
/// 0 at the end of the stream, and how many were taken.
///
/// This can offer a peer more than a direction may hold, because what the peer does not take is not read.
pub(crate) fn poll_take<E>(
    cx: &mut Context<'_>,
    from: ReadHalf<'_>,
    take: impl FnOnce(&mut Context<'_>, &[u8]) -> Result<usize, E>,
) -> Poll<io::Result<Result<(usize, usize), E>>> {
    lend(|lent| {
        let mut buffer = ReadBuf::new(lent);
        let there = ready!(from.poll_peek(cx, &mut buffer))?;
        let taken = match take(cx, buffer.filled()) {
            Ok(taken) => taken,
            Err(error) => return Poll::Ready(Ok(Err(error))),
        };
        let mut left = taken;
        while left > 0 {
            match from.discard(&mut lent[..left])? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                len => left -= len,
            }
        }
        Poll::Ready(Ok(Ok((there, taken))))
    })
}

/// Writes as much of `bytes` as the peer takes at once, and returns how much that was.
///
/// # Errors
///
/// The error of the first write. The error of a later write comes with the next call.
pub(crate) fn write<W: AsyncWrite + Unpin>(cx: &mut Context<'_>, to: &mut W, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match Pin::new(&mut *to).poll_write(cx, &bytes[taken..]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(more)) => taken += more,
            Poll::Ready(Err(error)) if taken == 0 => return Err(error),
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
    Ok(taken)
}

/// Bytes that a peer has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    waiting: BytesMut,
}

impl Outgoing {
    /// All that waits; nothing is left.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.waiting).freeze()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Appends to the waiting bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Writes `bytes` after the waiting ones. What the peer does not take now waits as well.
    ///
    /// # Errors
    ///
    /// The error of the write.
    pub(crate) fn send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        let taken = if self.waiting.is_empty() { write(cx, to, bytes)? } else { 0 };
        self.push(&bytes[taken..]);
        Ok(())
    }

    /// Ready when no byte waits, and the peer's stream holds none.
    ///
    /// # Errors
    ///
    /// The error of the write.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.waiting.advance(taken),
            }
        }
        // Frees the memory.
        self.waiting = BytesMut::new();
        Pin::new(to).poll_flush(cx)
    }
}
