//! The side of a direction that is read.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::budget;
use super::context::ConnectionContext;
use crate::net::buffer::{ReadSize, poll_read, poll_take};
use crate::net::stream::{Peer, ReadHalf};

/// The side that is read.
#[derive(Debug)]
pub(super) struct Inbound<'s> {
    pub(super) from: ReadHalf<'s>,
    pub(super) size: ReadSize,
}

impl<'s> Inbound<'s> {
    pub(super) fn new(context: &ConnectionContext<'_>, from: ReadHalf<'s>) -> Self {
        Self { from, size: ReadSize::new(context.settings.buffer) }
    }

    pub(super) fn peer(&self) -> Peer<'s> {
        self.from.peer()
    }

    /// Reads once and shows what came; an empty slice is the end of the stream.
    pub(super) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        with: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        ready!(budget::poll_left(cx, self.size.is_large()));
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
        ready!(budget::poll_left(cx, self.size.is_large()));
        let taken = poll_take(cx, self.from, take);
        if let Poll::Ready(Ok(Ok((_, moved)))) = taken {
            budget::spend(moved);
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
