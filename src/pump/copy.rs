//! Bytes as they come, in both directions.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::ends::{Broken, Ends};
use super::lane::flush;
use super::{End, Link, READS_A_TURN, drive};
use crate::buffer::{Outgoing, ReadSize, poll_read};
use crate::plan::Drawn;

/// Passes on what comes from either side. `tcp` needs no more where no handler wants to see calls; that they are counted
/// costs a comparison.
pub(crate) async fn copy(link: &Link<'_>, drawn: &Drawn, client: &mut TcpStream, backend: &mut TcpStream) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_backend, mut to_backend) = backend.split();
    let ends = Ends::default();
    // The client has spoken, and the backend has not spoken since.
    let turn = AtomicBool::new(false);
    let mut number = 0;
    let requests = pin!(async {
        let mut way = OneWay::new(&mut from_client, &mut to_backend, link.proxy.buffer);
        let how = way.run(link, |bytes| {
            link.client_spoke(bytes);
            if !turn.load(Ordering::Relaxed) {
                turn.store(true, Ordering::Relaxed);
                number += 1;
                drawn.count(link.streams, number);
            }
        });
        let how = how.await;
        ends.requests(how, &mut from_client, &mut to_backend).await
    });
    let replies = pin!(async {
        let mut way = OneWay::new(&mut from_backend, &mut to_client, link.proxy.buffer);
        let how = way.run(link, |bytes| {
            link.backend_spoke(bytes);
            turn.store(false, Ordering::Relaxed);
        });
        let how = how.await;
        ends.replies(how, &mut from_backend, &mut to_client).await
    });
    let stopped = pin!(link.stopped(|| turn.load(Ordering::Relaxed)));
    drive(requests, replies, stopped, &link.proxy.stop, || false).await
}

/// One direction of bytes that pass untouched.
pub(super) struct OneWay<'w, 's> {
    pub(super) from: &'w mut ReadHalf<'s>,
    pub(super) to: &'w mut WriteHalf<'s>,
    pub(super) out: Outgoing,
    pub(super) size: ReadSize,
}

impl<'w, 's> OneWay<'w, 's> {
    fn new(from: &'w mut ReadHalf<'s>, to: &'w mut WriteHalf<'s>, buffer: Option<usize>) -> Self {
        Self { from, to, out: Outgoing::default(), size: ReadSize::new(buffer) }
    }

    /// Passes on all that comes, and tells `seen` how much each read brought.
    pub(super) async fn run(&mut self, link: &Link<'_>, mut seen: impl FnMut(usize)) -> Result<(), Broken> {
        loop {
            flush(&mut self.out, self.to, self.from.as_ref(), link).await?;
            if poll_fn(|cx| self.poll_pass(cx, &mut seen)).await? == Passed::End {
                return Ok(());
            }
        }
    }

    /// Passes on what is there, until there is no more or the other side takes no more.
    fn poll_pass(&mut self, cx: &mut Context<'_>, seen: &mut impl FnMut(usize)) -> Poll<Result<Passed, Broken>> {
        for _ in 0..READS_A_TURN {
            let (to, out) = (&mut *self.to, &mut self.out);
            let passed = ready!(poll_read(cx, self.from, &mut self.size, |cx, bytes| {
                if bytes.is_empty() {
                    return Ok(Passed::End);
                }
                seen(bytes.len());
                out.send(cx, to, bytes).map_err(Broken::To)?;
                Ok(if out.is_empty() { Passed::All } else { Passed::Some })
            }))
            .map_err(Broken::From)??;
            match passed {
                Passed::All => {}
                Passed::Some => {
                    self.size.refused();
                    return Poll::Ready(Ok(passed));
                }
                Passed::End => return Poll::Ready(Ok(passed)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    All,
    Some,
    End,
}
