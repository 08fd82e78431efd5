//! Real servers and the programs that people use with them do not notice the proxy, and get the trouble that was asked
//! for and no other.
//!
//! Wherever the answer is the same each time, it is compared with what the server says without the proxy. Each test needs
//! real programs and fails without them, so plain `cargo test` leaves all of them out; `tests/run.sh` installs what is
//! missing and runs them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../world/mod.rs"]
mod world;

mod http;
mod large;
mod memcached;
mod redis;
mod redis_cli;
mod tool;
