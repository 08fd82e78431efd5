//! One side of a connection as the library reads and writes it: its bytes are counted, and what is written goes through toxics.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atomic_refcell::AtomicRefCell;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gate::Gate;
use super::late::Frames;
use crate::net::stream::{Peer, ReadHalf};
use crate::pump::activity::Moved;
use crate::pump::budget;
use crate::pump::outbound::Outbound;
use crate::pump::outcome::{Ended, Outcome};

/// How much is read at once of a client that was told to go away, in bytes.
const LATE: usize = 4096;

/// How a toxic ended the connection, if one has.
pub(super) type EndByToxic = AtomicRefCell<Option<Outcome>>;

/// The first bytes of a side.
pub(super) type First = AtomicRefCell<Bytes>;

/// As many of them tell protocols apart.
const FIRST: usize = 64;

/// One side of a connection.
pub(super) struct Side<'s> {
    /// What was read already.
    pub(super) begin: Bytes,
    pub(super) from: ReadHalf<'s>,
    /// The first bytes that are read, as far as they say which protocol this is.
    pub(super) first: Option<&'s First>,
    /// The frames that are read, of a client.
    pub(super) frames: Option<Frames>,
    /// The beginning of the head of one.
    pub(super) held: Vec<u8>,
    /// Where bytes are counted that are read.
    pub(super) moved: &'s Moved,
    pub(super) outbound: Outbound<'s>,
    /// The other side, which may reset while this one takes nothing.
    pub(super) other: Peer<'s>,
    pub(super) end: &'s EndByToxic,
    /// Whether what the library has to write can be written.
    pub(super) gate: &'s Gate,
}

impl Side<'_> {
    /// What a write came to. `hangs` is the result where a toxic lets nothing out any more.
    fn written<T>(&self, written: Poll<Result<T, Ended>>, hangs: T) -> Poll<io::Result<T>> {
        written.map(|result| match result {
            Ok(done) => Ok(done),
            Err(Ended::Hang) => Ok(hangs),
            Err(Ended::Read(error) | Ended::Write(error)) => Err(error),
            Err(Ended::Eof) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(Ended::Connection(outcome)) => {
                self.end.borrow_mut().get_or_insert(outcome);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        })
    }

    /// Keeps what is read first, if anybody asks for it.
    fn keep_first(&mut self, bytes: &[u8]) {
        if let Some(first) = self.first.take_if(|_| !bytes.is_empty()) {
            *first.borrow_mut() = Bytes::copy_from_slice(&bytes[..bytes.len().min(FIRST)]);
        }
    }

    /// Reads into `buffer`; how many bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        ready!(budget::poll_left(cx, true));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.from).poll_read(cx, buffer))?;
        let len = buffer.filled().len() - before;
        if len > 0 {
            self.moved.add(len);
            self.keep_first(&buffer.filled()[before..]);
        }
        budget::spend(len);
        Poll::Ready(Ok(len))
    }

    /// Reads on of a client that was told to go away, until something is to be passed on or it has ended.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.begin.is_empty() {
            let mut bytes = [0; LATE];
            let mut read = ReadBuf::new(&mut bytes);
            if ready!(self.poll_fill(cx, &mut read))? == 0 {
                break;
            }
            self.held.extend_from_slice(read.filled());
            let passes = self.frames.as_mut().map_or(self.held.len(), |frames| frames.find(&mut self.held));
            let rest = self.held.split_off(passes);
            self.begin = std::mem::replace(&mut self.held, rest).into();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Side<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.begin.is_empty() && self.frames.as_ref().is_some_and(Frames::is_over) {
            ready!(self.poll_late(cx))?;
        } else if self.begin.is_empty() {
            let before = buffer.filled().len();
            ready!(self.poll_fill(cx, buffer))?;
            if let Self { frames: Some(frames), held, .. } = &mut *self {
                let read = &mut buffer.filled_mut()[before..];
                let passes = frames.find(read);
                held.extend_from_slice(&read[passes..]);
                buffer.set_filled(before + passes);
            }
            return Poll::Ready(Ok(()));
        }
        let len = self.begin.len().min(buffer.remaining());
        let begin = self.begin.split_to(len);
        self.keep_first(&begin);
        buffer.put_slice(&begin);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Side<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = self.outbound.poll_take(cx, pieces);
        let all = pieces.iter().map(|piece| piece.len()).sum();
        self.gate.set(taken.is_pending());
        self.written(taken, all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Ready at once: what was taken is written as it is due, and the library goes on meanwhile.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.outbound.poll_written(cx);
        Poll::Ready(match self.written(written, ()) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        })
    }

    /// Ready when all is written. How the stream ends is decided by the connection.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let other = self.other;
        let finished = self.outbound.poll_finish(cx, other);
        self.written(finished, ())
    }
}
