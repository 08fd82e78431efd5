//! The messages that a framer finds, joined from its steps. The fuzz targets share this file.

use std::collections::VecDeque;

use vaurien::protocol::{Expect, MAX_HEAD, Step};

/// One message found by a framer, joined from its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request and what it expects.
    Call(Vec<u8>, Expect),
    /// A reply.
    Reply(Vec<u8>),
    /// Bytes that belong to no call; adjacent ones are joined.
    Pass(Vec<u8>),
    /// The oldest call got no reply.
    Unanswered,
    /// All bytes after the connection turned opaque.
    Opaque(Vec<u8>),
    /// The incomplete head left when the bytes ended.
    Held(Vec<u8>),
}

/// The messages that `step` finds in requests that arrive as `pieces`. No call is ever open, so nothing waits for a
/// reply.
pub(crate) fn requests(pieces: &[&[u8]], mut step: impl FnMut(&[u8]) -> Step) -> Vec<Message> {
    run(pieces, |bytes, _| step(bytes), Vec::new())
}

/// The messages that `step` finds in replies that arrive as `pieces`, with these `open` calls.
pub(crate) fn replies(
    pieces: &[&[u8]],
    open: Vec<Expect>,
    step: impl FnMut(&[u8], Option<Expect>) -> Step,
) -> Vec<Message> {
    run(pieces, step, open)
}

fn run(pieces: &[&[u8]], mut step: impl FnMut(&[u8], Option<Expect>) -> Step, open: Vec<Expect>) -> Vec<Message> {
    let mut open = VecDeque::from(open);
    let mut found = Vec::new();
    let mut held: Vec<u8> = Vec::new();
    let mut within = false; // inside a message
    for piece in pieces {
        held.extend_from_slice(piece);
        if let Some(Message::Opaque(bytes)) = found.last_mut() {
            bytes.append(&mut held);
            continue;
        }
        while !held.is_empty() {
            match step(&held, open.front().copied()) {
                Step::More => {
                    assert!(held.len() <= MAX_HEAD, "keeps {} bytes", held.len());
                    break;
                }
                Step::Wait => break,
                Step::Pass(len) => {
                    assert!(!within && (1..=held.len()).contains(&len));
                    let bytes = held.drain(..len);
                    match found.last_mut() {
                        Some(Message::Pass(before)) => before.extend(bytes),
                        _ => found.push(Message::Pass(bytes.collect())),
                    }
                }
                Step::Call { len, head, left, expect } => {
                    assert!(!within && (1..=held.len()).contains(&len) && (1..=len).contains(&head));
                    found.push(Message::Call(held.drain(..len).collect(), expect));
                    within = left != Some(0);
                }
                Step::Part { len, left } => {
                    assert!((1..=held.len()).contains(&len));
                    let bytes = held.drain(..len);
                    match found.last_mut() {
                        Some(Message::Call(before, _) | Message::Reply(before)) if within => before.extend(bytes),
                        _ => found.push(Message::Reply(bytes.collect())),
                    }
                    within = left != Some(0);
                    if !within && matches!(found.last(), Some(Message::Reply(_))) {
                        open.pop_front();
                    }
                }
                Step::Unanswered => {
                    assert!(!within && open.pop_front().is_some(), "there is no open call to leave unanswered");
                    found.push(Message::Unanswered);
                }
                Step::Opaque(_) => found.push(Message::Opaque(std::mem::take(&mut held))),
            }
        }
    }
    if !held.is_empty() {
        found.push(Message::Held(held));
    }
    found
}

/// All the bytes of `messages`, in order.
pub(crate) fn bytes(messages: &[Message]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| match message {
            Message::Call(bytes, _)
            | Message::Reply(bytes)
            | Message::Pass(bytes)
            | Message::Opaque(bytes)
            | Message::Held(bytes) => bytes.as_slice(),
            Message::Unanswered => &[],
        })
        .copied()
        .collect()
}
