//! One direction: the side that is read, what was read and not passed on yet, and the side that is written to.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::context::ConnectionContext;
use super::ends::Broken;
use crate::net::buffer::{Outgoing, ReadSize, poll_read};
use crate::net::disconnect::reset;

/// The side that is read.
#[derive(Debug)]
pub(super) struct Source<'s> {
    pub(super) from: ReadHalf<'s>,
    pub(super) size: ReadSize,
}

impl<'s> Source<'s> {
    pub(super) fn new(from: ReadHalf<'s>, buffer: Option<usize>) -> Self {
        Self { from, size: ReadSize::new(buffer) }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        self.from.as_ref()
    }

    /// Reads once and shows what came.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        with: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        poll_read(cx, &mut self.from, &mut self.size, with)
    }

    /// Reads once behind `held`; how much came, and nothing at the end.
    pub(super) async fn fill(&mut self, held: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|cx| {
            self.poll_read(cx, |_, bytes| {
                held.extend_from_slice(bytes);
                bytes.len()
            })
        })
        .await
    }
}

/// The side that is written to, and what stands before it.
#[derive(Debug)]
pub(super) struct Lane<'a, 's> {
    pub(super) to: WriteHalf<'s>,
    /// Passed on, but not taken yet.
    pub(super) out: Outgoing,
    /// Read, but not passed on yet: an incomplete head, or what stands behind a message that a handler has in hand.
    pub(super) held: &'a mut BytesMut,
    /// Something has changed since what is held was looked at.
    pub(super) look: bool,
    /// How much of what is held belongs to the message that a handler has in hand.
    pub(super) due: usize,
    /// What is still to come of that message.
    pub(super) left: Option<u64>,
}

impl<'a, 's> Lane<'a, 's> {
    pub(super) fn new(to: WriteHalf<'s>, held: &'a mut BytesMut) -> Self {
        Self { to, out: Outgoing::default(), held, look: true, due: 0, left: Some(0) }
    }

    /// Waits until the other side has taken what it would not take at once. `from`, which is not read meanwhile, may
    /// reset.
    pub(super) fn flush(
        &mut self,
        from: &TcpStream,
        link: &ConnectionContext<'_>,
    ) -> impl Future<Output = Result<(), Broken>> {
        flush(&mut self.out, &mut self.to, from, link)
    }

    /// Passes on what is here of the message that a handler had in hand.
    pub(super) fn pass_due(&mut self) {
        let due = std::mem::take(&mut self.due);
        self.out.push(&self.held[..due]);
        self.held.advance(due);
    }

    /// Passes on all that is held, whatever it is.
    pub(super) fn pass_all(&mut self) {
        self.out.push(self.held);
        *self.held = BytesMut::new();
    }
}

/// Finds messages in a lane's bytes.
pub(super) trait Frame<'a, 's> {
    /// Why passing on came to a stop.
    type Stop;

    /// The stop of bytes that the other side did not take.
    const BLOCKED: Self::Stop;

    fn lane(&mut self) -> &mut Lane<'a, 's>;

    /// Tells the messages in `bytes` apart. Answers how many bytes may pass, and what has to happen before more can;
    /// nothing, where more has to be read.
    fn frame(&mut self, cx: &Context<'_>, bytes: &[u8]) -> (usize, Option<Self::Stop>);

    /// Passes on what it may of `bytes` just read, and holds the rest.
    fn pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<Option<Self::Stop>, Broken> {
        self.lane().look = true;
        if !self.lane().held.is_empty() {
            self.lane().held.extend_from_slice(bytes);
            return self.pass_held(cx);
        }
        let (passed, stop) = self.frame(cx, bytes);
        self.lane().held.extend_from_slice(&bytes[passed..]);
        self.send(cx, &bytes[..passed], stop)
    }

    /// Passes on what it may of what is held.
    fn pass_held(&mut self, cx: &mut Context<'_>) -> Result<Option<Self::Stop>, Broken> {
        if self.lane().held.is_empty() || !self.lane().look {
            return Ok(None);
        }
        let mut held = std::mem::take(self.lane().held);
        let (passed, stop) = self.frame(cx, &held);
        let sent = self.send(cx, &held[..passed], stop);
        held.advance(passed);
        if !held.is_empty() {
            *self.lane().held = held;
        }
        sent
    }

    fn send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        stop: Option<Self::Stop>,
    ) -> Result<Option<Self::Stop>, Broken> {
        let Lane { to, out, .. } = self.lane();
        out.send(cx, to, bytes).map_err(Broken::To)?;
        Ok(stop.or_else(|| (!out.is_empty()).then_some(Self::BLOCKED)))
    }
}

/// Waits until `to` has taken what it would not take at once. `from`, which is not read meanwhile, may reset.
pub(super) fn flush(
    out: &mut Outgoing,
    to: &mut WriteHalf<'_>,
    from: &TcpStream,
    link: &ConnectionContext<'_>,
) -> impl Future<Output = Result<(), Broken>> {
    // Boxed, as it is rare and would make every connection larger.
    let blocked = (!out.is_empty()).then(|| {
        Box::pin(async move {
            let _blocked = link.block();
            tokio::select! {
                flushed = poll_fn(|cx| out.poll_flush(cx, to)) => flushed.map_err(Broken::To),
                () = reset(from) => Err(Broken::From(io::ErrorKind::ConnectionReset.into())),
            }
        })
    });
    async move {
        match blocked {
            Some(flushed) => flushed.await,
            None => Ok(()),
        }
    }
}
