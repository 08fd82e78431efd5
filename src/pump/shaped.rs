//! A direction whose bytes go through faults, and leave when they are due.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use rand::rngs::ChaCha8Rng;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::budget;
use super::context::ConnectionContext;
use super::outcome::{Ended, Outcome};
use crate::fault::{ByteFault, Chain, Direction, End, StreamEnd};
use crate::net::stream::WriteHalf;
use crate::timer::Timer;
use crate::toxic::{ConnectionToxics, Toxics};

/// How much all directions of a daemon may hold that have faults, in bytes.
pub(crate) const MAX_HELD: usize = 512 * 1024 * 1024;

/// What a piece takes beside its bytes, in bytes: an estimate.
const PIECE: usize = 64;

/// Faults, and the bytes within them.
#[derive(Debug)]
pub(super) struct Shaped {
    chain: Chain,
    /// For the time at which the next byte is due.
    timer: Timer,
    due: Option<Instant>,
    held: Held,
    /// How much it may hold, in bytes.
    cap: usize,
    /// The connection knows that bytes wait.
    waits: bool,
    toxics: ConnectionToxics,
}

/// How much a direction holds, as a part of what all of them do.
#[derive(Debug)]
struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Held {
    fn set(&mut self, bytes: usize) {
        // Wraps around for less.
        self.all.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Shaped {
    /// Holds at most `cap` bytes and one read, and counts them in `all`.
    pub(super) fn new(cap: usize, all: Arc<AtomicUsize>) -> Self {
        let held = Held { bytes: 0, all };
        Self {
            chain: Chain::default(),
            timer: Timer::default(),
            due: None,
            held,
            cap,
            waits: false,
            toxics: ConnectionToxics::default(),
        }
    }

    /// Whether no more should be read for now. What holds nothing may hold one read, whatever others hold.
    pub(super) fn is_full(&self) -> bool {
        self.held.bytes >= self.cap || self.held.bytes > 0 && self.held.all.load(Ordering::Relaxed) >= MAX_HELD
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Whether faults hold bytes back.
    pub(super) fn holds(&self) -> bool {
        self.chain.waiting() > 0
    }

    /// Whether bytes may be written directly again.
    pub(super) fn is_over(&self) -> bool {
        self.chain.is_over()
    }

    pub(super) fn has_faults(&self) -> bool {
        self.chain.faults() > 0
    }

    /// Whether a fault of a reply cuts the stream off. What comes before that may still have to be written.
    pub(super) fn is_cut(&self) -> bool {
        self.chain.is_cut_unmarked()
    }

    /// Bytes go through `fault` first from now on.
    pub(super) fn put_fault(&mut self, fault: Box<dyn ByteFault>, random: ChaCha8Rng) {
        self.chain.put_first(fault, random);
    }

    /// Has the toxics of the proxy from now on.
    pub(super) fn take_on(&mut self, toxics: &Toxics, direction: Direction, context: &ConnectionContext<'_>) {
        self.toxics.apply(toxics, direction, context.streams(), &mut self.chain);
        self.due = Some(Instant::now());
        self.count(context);
    }

    /// Bytes that go out before all others, past the faults.
    pub(super) fn push_out(&mut self, context: &ConnectionContext<'_>, bytes: Bytes) {
        self.chain.push_out(bytes);
        self.count(context);
    }

    /// The end of the stream, behind all that was pushed.
    pub(super) fn push_eof(&mut self) {
        let now = Instant::now();
        self.chain.push_eof(now);
        self.due = Some(now);
    }

    /// Whether all is written, and the end of the stream may follow.
    pub(super) fn is_at_eof(&self) -> bool {
        self.chain.ended() == Some(StreamEnd::Eof)
    }

    /// Takes the first fault away. What waits in it goes on at once.
    pub(super) fn take_fault(&mut self, context: &ConnectionContext<'_>) {
        let now = Instant::now();
        self.chain.take_first(now);
        self.due = Some(now);
        self.count(context);
    }

    /// Whether the first `count` faults have let out all that was pushed.
    pub(super) fn are_done(&self, count: usize) -> bool {
        self.chain.are_done(count)
    }

    pub(super) fn push(&mut self, context: &ConnectionContext<'_>, bytes: &[u8]) {
        let now = Instant::now();
        self.chain.push(Bytes::copy_from_slice(bytes), now);
        self.due = Some(now);
        self.count(context);
    }

    /// Writes what is due, and wakes the task when more is.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        to: WriteHalf<'_>,
        context: &ConnectionContext<'_>,
    ) -> Result<(), Ended> {
        let written = self.write_due(cx, to);
        self.count(context);
        for mark in self.chain.take_acted() {
            if let Some(toxic) = self.toxics.get(mark) {
                context.toxic_acts(toxic);
            }
        }
        written.map_err(Ended::Write)?;
        match self.chain.ended() {
            Some(StreamEnd::Cut(End::Close)) => Err(Outcome::Close.into()),
            Some(StreamEnd::Cut(End::Reset)) => Err(Outcome::Reset.into()),
            Some(StreamEnd::Cut(End::Hang)) => Err(Ended::Hang),
            Some(StreamEnd::Eof) | None => Ok(()),
        }
    }

    fn write_due(&mut self, cx: &mut Context<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        if to.holds() {
            let _ = Pin::new(&mut to).poll_flush(cx)?;
        }
        loop {
            while self.chain.output().has_remaining() {
                if budget::poll_left(cx, false).is_pending() {
                    return Ok(());
                }
                let written = Pin::new(&mut to).poll_write(cx, self.chain.output().chunk());
                let Poll::Ready(taken) = written else { return Ok(()) };
                match taken? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    taken => {
                        budget::spend(taken);
                        self.chain.output().advance(taken);
                    }
                }
            }
            let Some(due) = self.due else { return Ok(()) };
            if self.timer.poll(cx, due).is_pending() {
                return Ok(());
            }
            self.due = self.chain.advance(Instant::now());
        }
    }

    /// Its bytes are dropped.
    pub(super) fn wait_no_more(&mut self, context: &ConnectionContext<'_>) {
        if std::mem::take(&mut self.waits) {
            context.waits(false);
        }
    }

    fn count(&mut self, context: &ConnectionContext<'_>) {
        self.held.set(self.chain.len() + PIECE * self.chain.pieces());
        let waits = !self.chain.is_empty();
        if waits != std::mem::replace(&mut self.waits, waits) {
            context.waits(waits);
        }
    }
}
