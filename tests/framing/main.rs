//! Properties of all framers: the messages found do not depend on how the bytes are split, no byte is lost or added,
//! nothing panics, and no more than a head is kept.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod memcache;
mod messages;
mod redis;

pub(crate) use messages::{Message, bytes, replies, requests};
use proptest::prelude::*;

/// Cases for each property: at least this many in a normal run.
pub(crate) const CASES: u32 = 10_000;

/// Where to cut: sorted positions.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<proptest::sample::Index>> {
    prop_oneof![
        prop::collection::vec(any::<proptest::sample::Index>(), 0..12),
        // No positions stand for a cut after every byte.
        Just(Vec::new()),
    ]
}

/// The pieces of `input` cut at `cuts`; without cuts, single bytes.
pub(crate) fn cut<'a>(input: &'a [u8], cuts: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    if cuts.is_empty() {
        return input.chunks(1).collect();
    }
    let mut at: Vec<usize> = cuts.iter().map(|index| index.index(input.len() + 1)).collect();
    at.extend([0, input.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &input[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect()
}
