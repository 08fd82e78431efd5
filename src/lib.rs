//! A chaos proxy that knows what a call is.

mod backend;
mod buffer;
pub mod call;
pub mod config;
mod connection;
mod counts;
pub mod daemon;
mod departure;
pub mod error;
pub mod handler;
mod plan;
pub mod protocol;
mod proxy;
mod pump;
mod seed;
mod stop;
