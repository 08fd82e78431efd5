//! Framers alone: any bytes and any cut, and valid pipelines whose pairing is known.

use arbitrary::{Result, Unstructured};

use super::messages::{Message, bytes, replies, requests};
use super::traffic::{Answered, Dialect, Exchange, pipeline};
use crate::protocol::{Expect, Protocol};

/// Those with messages: a turn of `tcp` depends on both sides.
const FRAMED: [Dialect; 4] = [Dialect::Redis, Dialect::MemcacheText, Dialect::MemcacheBinary, Dialect::Http];

/// The most commands of a pipeline, and of a run of quiet ones: a framer keeps nothing of those before.
const COMMANDS: u8 = 12;
const RUN: u16 = 8;

/// Whatever a side sends, and however it is cut: no byte is lost, and the same messages are found.
pub(super) fn any_bytes(u: &mut Unstructured<'_>) -> Result<()> {
    let dialect = *u.choose(&FRAMED)?;
    let (protocol, is_replies) = (dialect.protocol(), u.arbitrary()?);
    let cuts = cuts(u)?;
    let open = if is_replies { expects(protocol, &asked(&pipeline(u, dialect, COMMANDS, RUN)?)) } else { Vec::new() };
    let input = any_of(u, dialect, is_replies)?;
    let find = |pieces: &[&[u8]]| {
        if is_replies { found_replies(protocol, pieces, open.clone()) } else { found_requests(protocol, pieces) }
    };
    let whole = find(&[&input]);
    assert_eq!(bytes(&whole), input, "bytes are lost or added");
    assert_eq!(find(&cut(&input, &cuts)), whole, "what is found depends on the cut");
    Ok(())
}

/// Each request of a valid pipeline is one call, and each call has its own reply or none.
pub(super) fn pipelines(u: &mut Unstructured<'_>) -> Result<()> {
    let dialect = *u.choose(&FRAMED)?;
    let protocol = dialect.protocol();
    let cuts = cuts(u)?;
    let exchanges = pipeline(u, dialect, COMMANDS, RUN)?;

    let input = asked(&exchanges);
    let found = found_requests(protocol, &cut(&input, &cuts));
    let calls: Vec<(&[u8], bool)> = found
        .iter()
        .filter_map(|message| match message {
            Message::Call(bytes, expect) => Some((&bytes[..], *expect == Expect::Nothing)),
            Message::Pass(_) => None,
            message => panic!("{message:?} in {exchanges:#?}"),
        })
        .collect();
    let wanted: Vec<(&[u8], bool)> =
        exchanges.iter().map(|exchange| (&exchange.request[..], exchange.answered == Answered::Never)).collect();
    assert_eq!(calls, wanted, "requests of {exchanges:#?}");
    let open = found.iter().filter_map(|message| match message {
        Message::Call(_, expect) => Some(*expect),
        _ => None,
    });

    let input = given(&exchanges);
    let found = found_replies(protocol, &cut(&input, &cuts), open.collect());
    assert_eq!(bytes(&found), input, "bytes are lost or added");
    let paired: Vec<Option<&[u8]>> = found
        .iter()
        .filter_map(|message| match message {
            Message::Reply(bytes) => Some(Some(&bytes[..])),
            Message::Unanswered => Some(None),
            Message::Pass(_) => None,
            message => panic!("{message:?} in {exchanges:#?}"),
        })
        .collect();
    let mut wanted: Vec<Option<&[u8]>> = exchanges.iter().map(|exchange| exchange.reply.as_deref()).collect();
    // Only a later reply shows that there is none.
    wanted.truncate(wanted.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    assert_eq!(paired, wanted, "replies of {exchanges:#?}");
    Ok(())
}

/// Bytes of one side: any, or those of a valid pipeline with mistakes in them.
pub(super) fn any_of(u: &mut Unstructured<'_>, dialect: Dialect, is_replies: bool) -> Result<Vec<u8>> {
    let mut input = Vec::new();
    if u.arbitrary()? {
        let exchanges = pipeline(u, dialect, COMMANDS, RUN)?;
        input = if is_replies { given(&exchanges) } else { asked(&exchanges) };
        for _ in 0..u.int_in_range(0..=3)? {
            let at = u.int_in_range(0..=input.len())?;
            match u.int_in_range(0..=3)? {
                0 => input.truncate(at),
                1 => input.insert(at, u.arbitrary()?),
                2 if at < input.len() => drop(input.remove(at)),
                _ if at < input.len() => input[at] = u.arbitrary()?,
                _ => {}
            }
        }
    }
    let len = u.len();
    input.extend_from_slice(u.bytes(len)?);
    Ok(input)
}

fn asked(exchanges: &[Exchange]) -> Vec<u8> {
    exchanges.iter().flat_map(|exchange| [&exchange.lead[..], &exchange.request].concat()).collect()
}

fn given(exchanges: &[Exchange]) -> Vec<u8> {
    let reply = |exchange: &Exchange| [&exchange.aside[..], exchange.reply.as_deref().unwrap_or_default()].concat();
    exchanges.iter().flat_map(reply).collect()
}

fn found_requests(protocol: Protocol, pieces: &[&[u8]]) -> Vec<Message> {
    let mut framer = protocol.requests();
    requests(pieces, |bytes| framer.step(bytes, false))
}

fn found_replies(protocol: Protocol, pieces: &[&[u8]], open: Vec<Expect>) -> Vec<Message> {
    let mut framer = protocol.replies();
    replies(pieces, open, |bytes, expect| framer.step(bytes, expect))
}

fn expects(protocol: Protocol, requests: &[u8]) -> Vec<Expect> {
    let calls = found_requests(protocol, &[requests]).into_iter().filter_map(|message| match message {
        Message::Call(_, expect) => Some(expect),
        _ => None,
    });
    calls.collect()
}

/// The lengths of pieces, which begin again at their end; none stand for one piece.
fn cuts(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    (0..u.int_in_range(0..=8)?).map(|_| u.int_in_range(1..=200)).collect()
}

fn cut<'a>(mut input: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &len in cuts.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (piece, rest) = input.split_at(input.len().min(len.into()));
        pieces.push(piece);
        input = rest;
    }
    if !input.is_empty() {
        pieces.push(input);
    }
    pieces
}
