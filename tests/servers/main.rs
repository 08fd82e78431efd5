//! Real servers and their usual client programs do not notice the proxy, and get exactly the faults that were asked
//! for.
//!
//! Where an answer is always the same, it is compared with the server's answer without the proxy. The tests need real
//! programs and fail without them, so plain `cargo test` leaves them out. `tests/run.sh` installs what is missing and
//! runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod answers;
mod http;
mod incomplete;
mod large;
mod memcached;
mod redis;
mod redis_cli;
mod reply_faults;
mod unix;

use world::tool;
