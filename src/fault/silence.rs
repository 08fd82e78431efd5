//! Nothing passes, and the stream ends after a silence.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, End, Next, StreamEnd, after};

/// Drops all bytes, and ends the stream once none have arrived for a time, or with its last byte.
#[derive(Debug)]
pub(crate) struct Silence {
    /// None: it lasts for ever.
    time: Option<Duration>,
    /// The arrival of the latest bytes, or the beginning.
    since: Instant,
    has_lost: bool,
}

impl Silence {
    /// Without a `time` the stream ends only with its last byte.
    pub(crate) fn new(time: Option<Duration>, begin: Instant) -> Self {
        Self { time, since: begin, has_lost: false }
    }

    /// The same for a stream that may have lost bytes to the fault before.
    pub(crate) fn behind(self, other: &dyn ByteFault) -> Self {
        Self { has_lost: other.removed().is_some(), ..self }
    }
}

impl ByteFault for Silence {
    fn next(&mut self, _: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        (self.since, self.has_lost) = (self.since.max(arrived), true);
        Next::Drop
    }

    fn eof(&mut self, arrived: Instant) -> (Instant, StreamEnd) {
        (arrived, StreamEnd::Cut(End::Close))
    }

    fn deadline(&self) -> Option<(Instant, End)> {
        self.time.map(|time| (after(self.since, time), End::Close))
    }

    fn removed(&self) -> Option<End> {
        self.has_lost.then_some(End::Close)
    }
}
