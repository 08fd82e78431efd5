//! HTTP/2 (RFC 9113) through the proxy: what passes, what handlers and toxics do to a stream and to a connection, and what attacks
//! come to.
//!
//! Clients and backends are the library `h2`, frames that a test writes itself, and real programs. Tests with real programs fail
//! without them, so plain `cargo test` leaves them out. `tests/run.sh` installs what is missing and runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../tls_servers/certificates.rs"]
mod certificates;
#[path = "../world/mod.rs"]
mod world;

mod attacks;
mod begin;
mod ends;
mod faults;
mod host;
mod large;
mod peer;
mod programs;
mod raw;
mod resets;
mod services;
mod streams;
mod tonic;

use world::tool;
