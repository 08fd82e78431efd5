//! TLS on either side of a proxy, with real programs around it: what a command trusts, certificates that are read again, and the
//! keys of the API.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod api;
mod authority;
mod pki;
mod reload;
mod told;
mod trust;

use pki::{Pki, http};
use world::{Api, Backend, Program};
