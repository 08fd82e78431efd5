//! The stream is cut off a time after something arrives.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, End, Next, StreamEnd, after};

/// Drops what arrives, and resets the connection a time after the first bytes, or the end of the stream.
#[derive(Debug)]
pub(crate) struct CutOff {
    time: Duration,
}

impl CutOff {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time }
    }
}

impl ByteFault for CutOff {
    fn next(&mut self, _: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        Next::End(after(arrived, self.time), End::Reset)
    }

    fn eof(&mut self, arrived: Instant) -> (Instant, StreamEnd) {
        (after(arrived, self.time), StreamEnd::Cut(End::Reset))
    }
}
