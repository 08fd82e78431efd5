//! Byte faults: what happens to bytes on their way, whatever calls they belong to.
//!
//! Each is a pure state machine in a file of its own. Bytes, times and randomness are arguments, so the same arguments give the
//! same pieces at the same times, however late somebody asks.

mod chain; // faults one after the other
mod corrupt; // flips bits
mod cut_off; // ends soon after something arrives
mod late_eof; // ends late
mod latency; // late by a time
mod limit; // ends after some bytes
mod output; // pieces that are ready to be written
mod rate; // so many bytes a second
mod silence; // nothing passes
mod slice; // cut in small pieces
mod stall; // held back, for a time or for ever
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub(crate) use chain::Chain;
pub(crate) use corrupt::Corrupt;
pub(crate) use cut_off::CutOff;
pub(crate) use late_eof::LateEof;
pub(crate) use latency::Latency;
pub(crate) use limit::{Limit, SharedLimit};
pub(crate) use output::Output;
pub(crate) use rate::{Link, RateLimit, SharedRate};
pub(crate) use silence::Silence;
pub(crate) use slice::Slice;
pub(crate) use stall::Stall;

/// The way that bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToBackend,
    ToClient,
}

/// What happens to the bytes of one direction.
pub(crate) trait ByteFault: Send + std::fmt::Debug {
    /// Takes the next piece off the front of `bytes`, which are not empty, and is asked again for what it leaves of them.
    ///
    /// `arrived` is when the bytes were due here, not when somebody came to ask: so delays do not add up. It never lies before
    /// that of earlier bytes. A piece has as many bytes as were taken, at least one, and is never due before an earlier one
    /// or before it has arrived.
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, random: &mut ChaCha8Rng) -> Next;

    /// The stream ends in order behind all bytes, and that arrived at this time.
    fn eof(&mut self, arrived: Instant) -> (Instant, StreamEnd) {
        (arrived, StreamEnd::Eof)
    }

    /// When the stream ends if nothing more arrives; none if that does not matter.
    fn deadline(&self) -> Option<(Instant, End)> {
        None
    }

    /// What follows where the fault is taken away: the stream may have lost bytes that it cannot do without.
    fn removed(&self) -> Option<End> {
        None
    }

    /// The peer takes bytes again that would not take them for a while, until now.
    fn resume(&mut self, _now: Instant) {}

    /// How many bytes of a limited number have passed, for the fault that takes its place.
    fn passed(&self) -> u64 {
        0
    }

    /// Whether it has altered any byte.
    fn has_altered(&self) -> bool {
        false
    }
}

/// What becomes of bytes.
#[derive(Debug)]
pub(crate) enum Next {
    /// These leave when they are due.
    Piece(Bytes, Instant),
    /// These leave when they are due, and the stream ends behind them. What is left is dropped.
    Last(Bytes, Instant, End),
    /// Nothing leaves any more.
    Hold,
    /// All that is left is dropped.
    Drop,
    /// The stream ends at this time, and not before. What is left is dropped.
    End(Instant, End),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// In order.
    Eof,
    /// It is cut off.
    Cut(End),
}

/// How a stream ends that is cut off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The reader gets an end of file.
    #[default]
    Close,
    /// The reader gets a reset.
    Reset,
    /// The reader gets nothing more, and the connection stays open.
    Hang,
}

/// A time too late to be ever reached, for sums that no clock can show.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// `time` after `begin`.
fn after(begin: Instant, time: Duration) -> Instant {
    begin.checked_add(time).unwrap_or_else(|| begin + FAR)
}

/// The later of a time and what may not be overtaken, which it becomes.
fn in_order(previous: &mut Option<Instant>, due: Instant) -> Instant {
    let due = previous.map_or(due, |previous| previous.max(due));
    *previous = Some(due);
    due
}

/// A number from 0 to `most`.
fn up_to(random: &mut ChaCha8Rng, most: u64) -> u64 {
    // The high half of the product: each number is as probable as others to within 2^-64 times their count.
    let scaled = (u128::from(random.next_u64()) * (u128::from(most) + 1)) >> 64;
    u64::try_from(scaled).unwrap_or(most)
}
