//! A chaos proxy that knows what a call is.

pub mod call;
mod cli;
pub mod config;
pub mod error;
pub mod handler;
pub mod mix;
pub mod protocol;
pub mod seconds;
mod settings;
