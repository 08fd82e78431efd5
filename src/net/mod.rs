//! Addresses, sockets and buffers.

pub mod address;
pub(crate) mod backend;
pub(crate) mod buffer;
pub(crate) mod connection_limit;
pub(crate) mod disconnect;
pub(crate) mod listener;
