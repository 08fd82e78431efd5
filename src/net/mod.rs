//! Addresses, sockets and buffers.

pub(crate) mod address; // `host:port`, or `unix:/path`
pub(crate) mod backend; // where a proxy's calls go
pub(crate) mod bound; // what a proxy listens on
pub(crate) mod buffer; // the read buffer that a thread lends, and what a peer has not taken
pub(crate) mod connection_limit; // how many connections there are descriptors for
pub(crate) mod dial; // connecting to a name
mod disconnect; // whether a peer has left
pub(crate) mod host_port; // `host:port`
pub(crate) mod listener; // listening on a name
#[cfg(any(test, fuzzing))]
pub(crate) mod memory_stream; // streams in memory
mod pool; // backend connections kept for the next client
pub(crate) mod socket; // TCP, Unix, or memory
pub(crate) mod stream; // a client's or a backend's stream
pub(crate) mod tls; // TLS on either side
pub(crate) mod unix_path; // where a Unix socket is
pub(crate) mod unix_socket; // connecting to one, and listening
