//! A chaos proxy that knows what a call is.

pub mod call;
pub mod error;
pub mod handler;
pub mod protocol;
pub mod seconds;
