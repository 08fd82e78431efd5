//! Framers are indifferent to how the bytes were cut: any cut gives the same messages, what goes in comes out, nothing
//! panics and nothing is held beyond a head.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod http;
mod memcache;
mod redis;

use proptest::prelude::*;
use vaurien::protocol::{Expect, MAX_HEAD, Step};

/// Cases for each property: at least this many in a normal run.
pub(crate) const CASES: u32 = 10_000;

/// One message as it came out, however many steps it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A request and what it expects.
    Call(Vec<u8>, Expect),
    /// A reply.
    Reply(Vec<u8>),
    /// Bytes of no call; neighbours are joined.
    Pass(Vec<u8>),
    /// The oldest call got no reply.
    Unanswered,
    /// All that follows is opaque.
    Opaque(Vec<u8>),
    /// What was still held when the bytes ended inside a head.
    Held(Vec<u8>),
}

/// Where to cut `len` bytes: sorted positions.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<proptest::sample::Index>> {
    prop_oneof![
        prop::collection::vec(any::<proptest::sample::Index>(), 0..12),
        // Single bytes: every cut there is.
        Just(Vec::new()),
    ]
}

/// The pieces of `input` cut at `cuts`; no cut at all means single bytes.
pub(crate) fn cut<'a>(input: &'a [u8], cuts: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    if cuts.is_empty() {
        return input.chunks(1).collect();
    }
    let mut at: Vec<usize> = cuts.iter().map(|index| index.index(input.len() + 1)).collect();
    at.extend([0, input.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &input[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect()
}

/// The messages that `step` finds in requests that arrive as `pieces`. `open` is never true: nothing waits for a reply.
pub(crate) fn requests(pieces: &[&[u8]], mut step: impl FnMut(&[u8]) -> Step) -> Vec<Message> {
    run(pieces, |bytes, _| step(bytes), Vec::new())
}

/// The messages that `step` finds in replies that arrive as `pieces`, with `open` calls waiting.
pub(crate) fn replies(
    pieces: &[&[u8]],
    open: Vec<Expect>,
    step: impl FnMut(&[u8], Option<Expect>) -> Step,
) -> Vec<Message> {
    run(pieces, step, open)
}

fn run(pieces: &[&[u8]], mut step: impl FnMut(&[u8], Option<Expect>) -> Step, open: Vec<Expect>) -> Vec<Message> {
    let mut open = std::collections::VecDeque::from(open);
    let mut found = Vec::new();
    let mut held: Vec<u8> = Vec::new();
    let mut within = false; // a message is under way
    for piece in pieces {
        held.extend_from_slice(piece);
        if let Some(Message::Opaque(bytes)) = found.last_mut() {
            bytes.append(&mut held);
            continue;
        }
        while !held.is_empty() {
            match step(&held, open.front().copied()) {
                Step::More => {
                    assert!(held.len() <= MAX_HEAD, "holds {} bytes", held.len());
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
                    assert!(!within && open.pop_front().is_some(), "no call to leave unanswered");
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
