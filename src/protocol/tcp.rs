//! `tcp`: turns in place of messages. A turn begins with the client's first byte after the backend sent something, and
//! ends where the next one begins.

use super::{Expect, MAX_HEAD, Step};

/// Frames what the client sends. While a call is open the backend has sent nothing, so the bytes belong to that call.
#[derive(Debug, Default)]
pub struct Requests;

impl Requests {
    /// The next step; `open` is true while a call waits for its reply.
    pub fn step(&mut self, bytes: &[u8], open: bool) -> Step {
        let len = bytes.len();
        if open {
            Step::Part { len, left: None }
        } else {
            Step::Call { len, head: len.min(MAX_HEAD), left: None, expect: Expect::Reply }
        }
    }
}

/// Frames what the backend sends: the first bytes are the reply; later ones, and a greeting, belong to no call.
#[derive(Debug, Default)]
pub struct Replies;

impl Replies {
    /// The next step; `expect` belongs to the oldest open call, `None` if no call is open.
    pub fn step(&mut self, bytes: &[u8], expect: Option<Expect>) -> Step {
        match expect {
            Some(_) => Step::Part { len: bytes.len(), left: Some(0) },
            None => Step::Pass(bytes.len()),
        }
    }
}
