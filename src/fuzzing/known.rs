//! What is left out of what is tried: `true` leaves it out.

/// A queue of open calls that quiet commands fill. A no-op of our own goes to the backend then, which the scripted backend does
/// not answer; `pump/tests/quiet.rs` has one that does.
pub(crate) const FULL_QUEUE: bool = true;

/// An answer of our own, or a close, behind a quiet command: a no-op of our own there too.
pub(crate) const OWN_ANSWER_BEHIND_QUIET: bool = true;
