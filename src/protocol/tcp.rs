//! `tcp`: no messages, only turns. A turn begins with the first byte from the client after the backend spoke, and ends
//! where the next begins.

use super::{Expect, MAX_HEAD, Step};

/// What the client sends. While a call is open the backend has not spoken, so the bytes belong to it.
#[derive(Debug, Default)]
pub struct Requests;

impl Requests {
    /// The next step; `open` says whether a call still waits for its reply.
    pub fn step(&mut self, bytes: &[u8], open: bool) -> Step {
        let len = bytes.len();
        if open {
            Step::Part { len, left: None }
        } else {
            Step::Call { len, head: len.min(MAX_HEAD), left: None, expect: Expect::Reply }
        }
    }
}

/// What the backend sends: its first bytes are the reply, later ones and a greeting belong to no call.
#[derive(Debug, Default)]
pub struct Replies;

impl Replies {
    /// The next step; `expect` is that of the oldest open call.
    pub fn step(&mut self, bytes: &[u8], expect: Option<Expect>) -> Step {
        match expect {
            Some(_) => Step::Part { len: bytes.len(), left: Some(0) },
            None => Step::Pass(bytes.len()),
        }
    }
}
