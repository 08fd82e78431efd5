//! `memcache`.

use super::{Expect as AnyExpect, Step};

/// What a reply to this call looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect;

/// What the client sends.
#[derive(Debug, Default)]
pub struct Requests;

impl Requests {
    /// The next step; `open` says whether a call still waits for its reply.
    pub fn step(&mut self, bytes: &[u8], open: bool) -> Step {
        let _ = (bytes, open);
        Step::Opaque("not written yet")
    }
}

/// What the backend sends.
#[derive(Debug, Default)]
pub struct Replies;

impl Replies {
    /// The next step; `expect` is that of the oldest open call, if any is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<AnyExpect>) -> Step {
        let _ = (bytes, expect);
        Step::Opaque("not written yet")
    }
}

/// The command and the key (method and path) in a request's head.
#[must_use]
pub fn words(head: &[u8]) -> (&[u8], &[u8]) {
    (head, &[])
}
