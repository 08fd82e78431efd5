//! A chaos proxy that knows what a call is.

mod backend;
mod buffer;
pub mod call;
mod cli;
pub mod config;
mod connection;
pub mod counts;
pub mod daemon;
mod demo;
mod departure;
pub mod error;
pub mod handler;
mod logging;
pub mod mix;
mod plan;
mod program;
pub mod protocol;
mod proxy;
mod pump;
pub mod seconds;
mod seed;
mod settings;
mod stop;

pub use program::main;
