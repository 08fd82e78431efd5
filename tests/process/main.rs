//! The life of the process: how it refuses to start, what it says when it is ready, how it stops, and how it gets by without
//! descriptors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod descriptors;
mod output;
mod ready;
mod seed;
mod shutdown;
#[path = "../world/mod.rs"]
mod world;
mod wrong_use;
