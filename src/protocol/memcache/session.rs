//! Which commands leave something behind on their connection.

use super::{binary, words};
use crate::protocol::Session;

/// Commands that leave nothing behind, by the names that [`words`] gives them. Those that are not here may: a login in the
/// binary protocol, `watch`, `verbosity`, and all that are not known.
#[rustfmt::skip]
const STATELESS: [&str; 44] = [
    "get", "gets", "gat", "gats", "bget", "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch", "delete",
    "flush_all", "stats", "version", "mg", "ms", "md", "ma", "mn", "me",
    "getk", "getq", "getkq", "gatk", "gatq", "gatkq", "setq", "addq", "replaceq", "appendq", "prependq", "deleteq", "increment",
    "incrementq", "decrement", "decrementq", "flush", "flushq", "noop", "stat",
];

/// What is left behind after the command with this head.
pub(in crate::protocol) fn session(before: Session, head: &[u8]) -> Session {
    let (command, _) = words(head);
    // A server that asks for a password takes the first `set` of the text protocol for a login (protocol.txt,
    // "Authentication"), and answers as to any other.
    let may_be_login = before == Session::Unused && command == b"set" && !head.starts_with(&[binary::REQUEST]);
    let is_known = STATELESS.iter().any(|known| known.as_bytes() == command);
    if is_known && !may_be_login { Session::Clean } else { Session::Kept }
}
