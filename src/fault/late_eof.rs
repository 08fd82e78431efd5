//! The end of the stream is late.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, Next, StreamEnd, after};

/// Passes all bytes at once, and the end of the stream a time after it arrived.
#[derive(Debug)]
pub(crate) struct LateEof {
    time: Duration,
}

impl LateEof {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time }
    }
}

impl ByteFault for LateEof {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        Next::Piece(std::mem::take(bytes), arrived)
    }

    fn eof(&mut self, arrived: Instant) -> (Instant, StreamEnd) {
        (after(arrived, self.time), StreamEnd::Eof)
    }
}
