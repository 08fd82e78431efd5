//! One connection, from its client's first byte to its last.

mod first_turn; // the first call's turn, before the backend is dialled
mod lifecycle; // the first turn, the dial, the calls, the end
mod outcome; // what an end means for the client and the backend
pub(crate) mod table; // the connections that a proxy has now

pub(crate) use lifecycle::serve;
