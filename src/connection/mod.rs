//! One connection, from its client's first byte to its last.

mod close; // what an outcome means for the client and the backend
mod first_turn; // the first call's turn, before the backend is dialled
mod handshake; // TLS with the client
mod lifecycle; // the first turn, the dial, the calls, the end
pub(crate) mod table; // the connections that a proxy has now

pub(crate) use lifecycle::serve;
