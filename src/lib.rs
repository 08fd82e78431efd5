//! A chaos proxy that knows what a call is.

mod backend;
mod buffer;
pub mod call;
mod cli;
pub mod config;
mod connection;
pub mod counts;
pub mod daemon;
mod departure;
pub mod error;
pub mod handler;
mod listen;
mod logging;
pub mod mix;
mod plan;
mod program;
pub mod protocol;
mod proxy;
mod pump;
mod room;
pub mod seconds;
mod seed;
mod settings;
mod stop;

pub use program::main;
