//! TLS with clients and backends, with the programs that people use: what curl, Python and Node see of each fault, and that nginx,
//! Redis, memcached and OpenSSL do not notice the proxy.
//!
//! Most of the tests need real programs and fail without them, so plain `cargo test` leaves them out. `tests/run.sh` installs what is
//! missing and runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod alpn;
mod certificates;
mod client;
mod ends;
mod faults;
mod handshakes;
mod memcached;
mod nginx;
mod openssl;
mod peer;
mod redis;
mod refused;
mod trust;

use world::tool;
