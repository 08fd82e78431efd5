//! Ends after some bytes.

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use tokio::time::Instant;

use super::{ByteFault, End, Next};

/// Passes so many bytes, then ends the stream: with the last of them, or instead of the first if there are none.
#[derive(Debug)]
pub(crate) struct Limit {
    left: u64,
    end: End,
}

impl Limit {
    pub(crate) fn new(bytes: u64, end: End) -> Self {
        Self { left: bytes, end }
    }
}

impl ByteFault for Limit {
    fn next(&mut self, bytes: &mut Bytes, arrived: Instant, _: &mut ChaCha8Rng) -> Next {
        if self.left == 0 {
            return Next::End(self.end);
        }
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| bytes.len().min(left));
        let piece = bytes.split_to(len);
        self.left -= piece.len() as u64;
        if self.left == 0 { Next::Last(piece, arrived, self.end) } else { Next::Piece(piece, arrived) }
    }
}
