//! Pieces that are ready to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Up to this size, in bytes, pieces that wait together are copied together: one large write is cheaper than many small ones.
const SMALL: usize = 4096;

/// What small pieces are copied into is at most this large, in bytes.
const JOINED: usize = 64 * 1024;

/// When it has this many bytes it takes no more, so that what the peer does not take yet stays in chunks as large as they came.
const FULL: usize = 256 * 1024;

/// Pieces that are ready to be written, as a [`Buf`]: a writer advances it by what the peer took.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pieces: VecDeque<Bytes>,
    /// Small pieces, behind the others.
    joined: BytesMut,
    len: usize,
}

impl Output {
    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        // A small piece alone is not copied either.
        if piece.len() <= SMALL && self.len > piece.len() {
            if self.joined.len() + piece.len() > JOINED {
                self.end_joined();
            }
            self.joined.extend_from_slice(&piece);
        } else {
            self.end_joined();
            self.pieces.push_back(piece);
        }
    }

    fn end_joined(&mut self) {
        if !self.joined.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.joined).freeze());
        }
    }

    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= FULL
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&self.joined, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let joined = (!self.joined.is_empty()).then_some(&self.joined[..]);
        let chunks = self.pieces.iter().map(|piece| &piece[..]).chain(joined);
        slices.iter_mut().zip(chunks).map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut taken: usize) {
        assert!(taken <= self.len, "more was taken than there is");
        self.len -= taken;
        while taken > 0 {
            let Some(piece) = self.pieces.front_mut() else { return self.joined.advance(taken) };
            if taken < piece.len() {
                return piece.advance(taken);
            }
            taken -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(pieces: &[usize]) -> (Output, Vec<u8>) {
        let (mut output, mut all) = (Output::default(), Vec::new());
        for (number, len) in pieces.iter().enumerate() {
            let piece: Vec<u8> = (0..251).cycle().skip(number).take(*len).collect();
            all.extend_from_slice(&piece);
            output.push(piece.into());
        }
        (output, all)
    }

    fn chunks(output: &Output) -> Vec<usize> {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = output.chunks_vectored(&mut slices);
        slices[..count].iter().map(|slice| slice.len()).collect()
    }

    #[test]
    fn small_pieces_are_joined() {
        assert_eq!(chunks(&output(&[]).0), [0; 0]);
        assert_eq!(chunks(&output(&[10]).0), [10]);
        assert_eq!(chunks(&output(&[10; 1000]).0), [10, 9990]);
        assert_eq!(chunks(&output(&[5000, 10, 10, 5000, 6000, 7]).0), [5000, 20, 5000, 6000, 7]);
        assert_eq!(chunks(&output(&[4000; 20]).0), [4000, 64_000, 12_000]);
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let piece = Bytes::from(vec![1; 100_000]);
        let mut output = Output::default();
        output.push(piece.slice(..10));
        output.push(piece.clone());
        assert_eq!(output.chunk().as_ptr(), piece.as_ptr());
        output.advance(10);
        assert_eq!(output.chunk().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn any_part_can_be_taken() {
        for step in [1, 7, 19, 5000, 20_000] {
            let (mut output, all) = output(&[5000, 10, 10, 5000, 3, 4, 5, 6000, 7]);
            let mut taken = Vec::new();
            while output.has_remaining() {
                let len = step.min(output.remaining());
                taken.extend_from_slice(&output.copy_to_bytes(len));
            }
            assert_eq!(taken, all);
            // It can be used again.
            output.push(Bytes::from_static(b"more"));
            assert_eq!(output.chunk(), b"more");
        }
    }
}
