//! The README and the pages of `docs/`, `examples/` and `benches/` are right: the program accepts their command lines and files,
//! samples look like real output, lists are complete, links resolve. Rust code is compiled by the documentation tests, and the
//! cookbook is run by `tests/cookbook`.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the tables of options again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod commands;
mod links;
mod lists;
mod options;
mod page;
mod samples;
