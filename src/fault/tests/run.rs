//! A chain over time.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Timed, random, read};
use crate::fault::{ByteFault, Chain, StreamEnd};

/// What came out of a chain: chunks arrived, and it was asked at their arrival, when it said, and at `extra` times.
pub(super) struct Run {
    /// Each piece of the output with the time at which it came.
    pub(super) out: Timed<Vec<u8>>,
    pub(super) ended: Option<StreamEnd>,
    pub(super) left: usize,
    /// Whether it ever held less than what went in and did not come out.
    pub(super) dropped: bool,
}

impl Run {
    pub(super) fn of(faults: Vec<Box<dyn ByteFault>>, chunks: &Timed<Vec<u8>>, extra: &[Duration], seed: u64) -> Self {
        let (mut chain, begun) = (Chain::new(faults, random(seed)), Instant::now());
        let mut times: BTreeSet<Duration> = chunks.iter().map(|(at, _)| *at).collect();
        times.extend(extra);
        let (mut chunks, mut out) = (chunks.iter().peekable(), Vec::new());
        let (mut pushed, mut written, mut dropped) = (0, 0, false);
        while let Some(at) = times.pop_first() {
            while let Some((_, chunk)) = chunks.next_if(|(arrival, _)| *arrival == at) {
                chain.push(chunk.clone().into(), begun + at);
                pushed += chunk.len();
            }
            loop {
                let next = chain.advance(begun + at);
                let bytes = read(&mut chain);
                written += bytes.len();
                let held = pushed - written;
                assert!(chain.len() <= held);
                dropped |= chain.len() < held;
                let is_full = next.is_some_and(|due| due <= begun + at);
                assert!(!is_full || !bytes.is_empty(), "nothing moves");
                if !bytes.is_empty() {
                    out.push((at, bytes));
                }
                if !is_full {
                    times.extend(next.map(|due| due - begun));
                    break;
                }
            }
        }
        Self { out, ended: chain.ended(), left: chain.len(), dropped }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.out.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }
}
