//! What the fuzz targets in `fuzz/` run, and the tests here as well: traffic that is read off any bytes, the pumps over
//! streams in memory, and a model of what must be seen.
//!
//! [`connections`] is the model test: random plans, valid pipelines, cuts, timing and ends of one connection. [`bytes`] sends
//! anything through the pumps. [`framers`] and [`pipelines`] are without pumps.
#![allow(missing_docs, reason = "hidden: only the fuzz targets use it")]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a finding is a panic")]

mod connection; // one connection over streams in memory
mod framers; // framers alone
#[path = "../../tests/framing/messages.rs"]
mod messages; // messages as a framer finds them
mod model; // what must be seen
mod scenario; // what happens on a connection
#[cfg(test)]
mod tests;
mod traffic; // valid pipelines
mod transparency; // any bytes through the pumps

use arbitrary::{Result, Unstructured};

use scenario::Scenario;

/// A fuzz target: does something with any bytes, and panics if that goes wrong.
pub type Target = fn(&[u8]);

/// All targets, under the names that they have in `fuzz/`.
pub const TARGETS: [(&str, Target); 4] =
    [("framers", framers), ("pipelines", pipelines), ("connections", connections), ("bytes", bytes)];

pub fn framers(data: &[u8]) {
    run(data, framers::any_bytes);
}

pub fn pipelines(data: &[u8]) {
    run(data, framers::pipelines);
}

pub fn connections(data: &[u8]) {
    run(data, |u| Scenario::read(u).map(|scenario| scenario.check()));
}

pub fn bytes(data: &[u8]) {
    run(data, transparency::check);
}

/// What cannot be read of `data` is no finding.
fn run(data: &[u8], target: impl FnOnce(&mut Unstructured<'_>) -> Result<()>) {
    let _ = target(&mut Unstructured::new(data));
}
