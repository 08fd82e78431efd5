//! Streams in memory, for tests: small pipes, so that every read and every write is partial.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end of a connection. Dropping it closes both directions.
#[derive(Debug)]
pub(crate) struct MemoryStream {
    pipes: Arc<Mutex<Pipes>>,
    side: usize,
}

/// Whether bytes that are read are taken off the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    All,
    Nothing,
}

#[derive(Debug)]
struct Pipes {
    capacity: usize,
    /// What each side has sent and the other has not read.
    sent: [VecDeque<u8>; 2],
    /// Sides that send no more.
    ended: [bool; 2],
    /// Sides that were dropped.
    gone: [bool; 2],
    reset: bool,
    /// Who waits on each side.
    wakers: [Vec<Waker>; 2],
}

/// Two ends of a connection. Each direction holds `capacity` bytes that were not read.
pub(crate) fn pair(capacity: usize) -> (MemoryStream, MemoryStream) {
    let pipes = Pipes {
        capacity,
        sent: Default::default(),
        ended: [false; 2],
        gone: [false; 2],
        reset: false,
        wakers: Default::default(),
    };
    let pipes = Arc::new(Mutex::new(pipes));
    (MemoryStream { pipes: pipes.clone(), side: 0 }, MemoryStream { pipes, side: 1 })
}

impl Pipes {
    fn wake(&mut self, side: usize) {
        self.wakers[side].drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, side: usize, cx: &Context<'_>) -> Poll<T> {
        if !self.wakers[side].iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers[side].push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl MemoryStream {
    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn other(&self) -> usize {
        1 - self.side
    }

    pub(super) fn poll_fill(&self, cx: &Context<'_>, buffer: &mut ReadBuf<'_>, take: Take) -> Poll<io::Result<usize>> {
        let mut pipes = self.pipes();
        if pipes.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let other = self.other();
        let len = pipes.sent[other].len().min(buffer.remaining());
        if len == 0 && !pipes.ended[other] {
            return pipes.wait(self.side, cx);
        }
        let bytes: Vec<u8> = pipes.sent[other].iter().take(len).copied().collect();
        buffer.put_slice(&bytes);
        if take == Take::All {
            pipes.sent[other].drain(..len);
            pipes.wake(self.other());
        }
        Poll::Ready(Ok(len))
    }

    pub(super) fn discard(&self, len: usize) -> usize {
        let (mut pipes, other) = (self.pipes(), self.other());
        let len = len.min(pipes.sent[other].len());
        pipes.sent[other].drain(..len);
        pipes.wake(self.other());
        len
    }

    pub(super) fn poll_put(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipes = self.pipes();
        if pipes.reset || pipes.gone[self.other()] {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = pipes.capacity - pipes.sent[self.side].len();
        if room == 0 {
            return pipes.wait(self.side, cx);
        }
        let len = room.min(bytes.len());
        pipes.sent[self.side].extend(&bytes[..len]);
        pipes.wake(self.other());
        Poll::Ready(Ok(len))
    }

    /// Sends no more.
    pub(crate) fn end(&self) {
        let mut pipes = self.pipes();
        pipes.ended[self.side] = true;
        pipes.wake(self.other());
    }

    pub(crate) fn reset(&self) {
        let mut pipes = self.pipes();
        pipes.reset = true;
        pipes.wake(self.side);
        pipes.wake(self.other());
    }

    pub(super) async fn left(&self) {
        self.until(|pipes| pipes.reset || pipes.gone[self.other()]).await;
    }

    pub(super) async fn was_reset(&self) {
        self.until(|pipes| pipes.reset).await;
    }

    async fn until(&self, so: impl Fn(&Pipes) -> bool) {
        poll_fn(|cx| {
            let mut pipes = self.pipes();
            if so(&pipes) { Poll::Ready(()) } else { pipes.wait(self.side, cx) }
        })
        .await;
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let mut pipes = self.pipes();
        (pipes.ended[self.side], pipes.gone[self.side]) = (true, true);
        pipes.wake(self.other());
    }
}

impl AsyncRead for &MemoryStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_fill(cx, buffer, Take::All).map_ok(drop)
    }
}

impl AsyncWrite for &MemoryStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}
