//! The life of the process: how it fails to start, what it prints when ready, how it stops, and what it does without
//! descriptors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod descriptors;
mod output;
mod ready;
mod seed;
mod shutdown;
#[path = "../world/mod.rs"]
mod world;
mod wrong_use;
