//! A chaos proxy that knows what a call is.

pub mod protocol;
