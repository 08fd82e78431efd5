//! The test world: a backend, the real program in front of it, and clients.
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

pub(crate) mod api;
pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod file;
pub(crate) mod program;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod servers;
pub(crate) mod tool;

pub(crate) use api::Api;
pub(crate) use backend::Backend;
pub(crate) use client::Client;
pub(crate) use file::File;
pub(crate) use program::Program;
pub(crate) use script::Script;
pub(crate) use server::Server;

use std::time::{Duration, Instant};

/// How long anything in a test may take before the test fails. Only a failing test ever waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until `so` is true; panics with `what` if it does not become true within [`PATIENCE`].
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// `len` pseudo-random bytes, determined by `seed`.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::from_fn(|| Some(next())).flatten().take(len).collect()
}
