//! What is known to be wrong, and left out of what is tried until it is mended: `true` leaves it out.

/// The queue of open calls fills up with quiet commands, and only a reply that never comes would empty it.
pub(crate) const FULL_QUEUE: bool = true;

/// An answer of our own, or a close, waits for ever behind a quiet command without a reply.
pub(crate) const OWN_ANSWER_BEHIND_SILENCE: bool = true;

/// An incomplete head is withheld from the backend until the client half-closes.
pub(crate) const HEAD_WITHHELD: bool = true;
