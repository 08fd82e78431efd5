//! One direction of a connection: the side that is read, and the side that is written to.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::budget;
use super::context::ConnectionContext;
use super::outbound::Outbound;
use super::outcome::Ended;
use crate::net::buffer::{ReadSize, poll_read, poll_take};
use crate::net::stream::{ReadHalf, WriteHalf};

#[derive(Debug)]
pub(super) struct Half<'s> {
    pub(super) inbound: Inbound<'s>,
    pub(super) outbound: Outbound<'s>,
}

/// The side that is read.
#[derive(Debug)]
pub(super) struct Inbound<'s> {
    pub(super) from: ReadHalf<'s>,
    pub(super) size: ReadSize,
}

impl<'s> Half<'s> {
    pub(super) fn new(context: &'s ConnectionContext<'_>, from: ReadHalf<'s>, to: WriteHalf<'s>) -> Self {
        let size = ReadSize::new(context.settings.buffer);
        Self { inbound: Inbound { from, size }, outbound: Outbound::new(to) }
    }

    /// Waits until the other side has taken what it would not take at once.
    pub(super) fn flush<'h>(
        &'h mut self,
        context: &'h ConnectionContext<'_>,
    ) -> impl Future<Output = Result<(), Ended>> + use<'h, 's> {
        self.outbound.flush(self.inbound.from.peer(), context)
    }
}

impl Inbound<'_> {
    /// Reads once and shows what came; an empty slice is the end of the stream.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        with: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        ready!(budget::poll_left(cx));
        poll_read(cx, &mut self.from, &mut self.size, |cx, bytes| {
            let done = with(cx, bytes);
            budget::spend(bytes.len());
            done
        })
    }

    /// Shows what could be read, and takes as much of it off as `take` says: how much there was, and how much was taken.
    pub(super) fn poll_take<E>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> Result<usize, E>,
    ) -> Poll<io::Result<Result<(usize, usize), E>>> {
        ready!(budget::poll_left(cx));
        let taken = poll_take(cx, &mut self.from, take);
        if let Poll::Ready(Ok(Ok((there, _)))) = taken {
            budget::spend(there);
        }
        taken
    }

    /// Reads once behind `held`: how many bytes came, 0 at the end.
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
