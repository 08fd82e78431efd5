//! `memcache`.

mod exchange;

use super::{CASES, Message, bytes, cut, cuts, replies, requests};
use exchange::{Exchange, binary, block, text};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use vaurien::protocol::memcache::{Replies, Requests, words};
use vaurien::protocol::{Expect, MAX_HEAD};

fn framed_requests(pieces: &[&[u8]]) -> Vec<Message> {
    let mut framer = Requests::default();
    requests(pieces, |bytes| framer.step(bytes, true))
}

fn framed_replies(pieces: &[&[u8]], open: Vec<Expect>) -> Vec<Message> {
    let mut framer = Replies::default();
    replies(pieces, open, |bytes, expect| framer.step(bytes, expect))
}

/// Calls of every kind.
fn open() -> impl Strategy<Value = Vec<Expect>> {
    let text = [
        "version\r\n",
        "delete a noreply\r\n",
        "get a\r\n",
        "stats\r\n",
        "mg a v\r\n",
        "mg a v q\r\n",
        "ms a 0 q\r\n\r\n",
        "ma a q\r\n",
        "mn\r\n",
    ];
    let binary = [0x00, 0x09, 0x10, 0x11, 0x17].map(|opcode| [&[0x80, opcode][..], &[0; 22]].concat());
    let requests = text.map(|text| text.as_bytes().to_vec()).into_iter().chain(binary).collect::<Vec<_>>();
    prop::collection::vec(select(requests), 0..6)
        .prop_map(|requests| requests.iter().flat_map(|request| expects(&framed_requests(&[request]))).collect())
}

fn asked(exchanges: &[Exchange]) -> Vec<u8> {
    exchanges.iter().flat_map(|exchange| exchange.request.clone()).collect()
}

fn given(exchanges: &[Exchange]) -> Vec<u8> {
    exchanges.iter().filter_map(|exchange| exchange.reply.clone()).flatten().collect()
}

fn expects(messages: &[Message]) -> Vec<Expect> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Call(_, expect) => Some(*expect),
            _ => None,
        })
        .collect()
}

/// Checks that each request is one call, and each call has its reply or none, however the bytes are split.
fn check_pipeline(exchanges: &[Exchange], cuts: &[Index]) -> Result<(), TestCaseError> {
    let input = asked(exchanges);
    let found = framed_requests(&cut(&input, cuts));
    let calls: Vec<_> = found
        .iter()
        .map(|message| match message {
            Message::Call(bytes, expect) => (bytes.clone(), *expect == Expect::Nothing),
            message => panic!("expected a call, got {message:?}"),
        })
        .collect();
    let wanted: Vec<_> = exchanges.iter().map(|exchange| (exchange.request.clone(), exchange.noreply)).collect();
    prop_assert_eq!(calls, wanted);
    prop_assert_eq!(bytes(&found), input);

    let input = given(exchanges);
    let found = framed_replies(&cut(&input, cuts), expects(&found));
    let wanted: Vec<_> =
        exchanges.iter().map(|exchange| exchange.reply.clone().map_or(Message::Unanswered, Message::Reply)).collect();
    prop_assert_eq!(&found, &wanted);
    prop_assert_eq!(bytes(&found), input);
    Ok(())
}

/// Checks that no byte is lost or added, and that the split does not matter.
fn check_anything(input: &[u8], cuts: &[Index], frame: impl Fn(&[&[u8]]) -> Vec<Message>) -> Result<(), TestCaseError> {
    let whole = frame(&[input]);
    prop_assert_eq!(bytes(&whole), input);
    prop_assert_eq!(frame(&cut(input, cuts)), whole);
    Ok(())
}

/// One modification of bytes.
#[derive(Debug, Clone, Copy)]
enum Change {
    Set(u8),
    Insert(u8),
    Remove,
    Truncate,
}

fn changes() -> impl Strategy<Value = Vec<(Index, Change)>> {
    let byte = || prop_oneof![select(&b"\r\n -09EVqkO\0\xff\x80\x81"[..]), any::<u8>()];
    let change = prop_oneof![
        byte().prop_map(Change::Set),
        byte().prop_map(Change::Insert),
        Just(Change::Remove),
        Just(Change::Truncate),
    ];
    prop::collection::vec((any::<Index>(), change), 0..4)
}

fn change(mut bytes: Vec<u8>, changes: &[(Index, Change)]) -> Vec<u8> {
    for (at, change) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match *change {
            Change::Set(byte) => bytes[at] = byte,
            Change::Insert(byte) => bytes.insert(at, byte),
            Change::Remove => drop(bytes.remove(at)),
            Change::Truncate => bytes.truncate(at),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn text_pipelines(exchanges in text(), cuts in cuts()) {
        check_pipeline(&exchanges, &cuts)?;
    }

    #[test]
    fn binary_pipelines(exchanges in binary(), cuts in cuts()) {
        check_pipeline(&exchanges, &cuts)?;
    }

    #[test]
    fn broken_pipelines(
        exchanges in prop_oneof![text(), binary()],
        broken_requests in changes(),
        broken_replies in changes(),
        cuts in cuts(),
    ) {
        let open = expects(&framed_requests(&[&asked(&exchanges)]));
        check_anything(&change(asked(&exchanges), &broken_requests), &cuts, framed_requests)?;
        let input = change(given(&exchanges), &broken_replies);
        check_anything(&input, &cuts, |pieces| framed_replies(pieces, open.clone()))?;
    }

    #[test]
    fn replies_to_other_requests(got in prop_oneof![text(), binary()], open in open(), cuts in cuts()) {
        check_anything(&given(&got), &cuts, |pieces| framed_replies(pieces, open.clone()))?;
    }

    #[test]
    fn arbitrary_bytes(
        input in prop::collection::vec(prop_oneof![any::<u8>(), select(&b"\r\n gsmVA0\x80\x81"[..])], 0..80),
        open in open(),
        cuts in cuts(),
    ) {
        check_anything(&input, &cuts, framed_requests)?;
        check_anything(&input, &cuts, |pieces| framed_replies(pieces, open.clone()))?;
        let (command, key) = words(&input);
        prop_assert!(command.len().max(key.len()) <= input.len().max("sasl_list_mechs".len()));
    }
}

/// The test driver fails if a framer keeps more than a head.
#[test]
fn endless_lines_are_not_kept() {
    let endless = vec![b'a'; 3 * MAX_HEAD];
    let pieces: Vec<&[u8]> = endless.chunks(1000).collect();
    assert_eq!(framed_requests(&pieces), [Message::Opaque(endless.clone())]);
    let open = expects(&framed_requests(&[b"get a\r\nstats\r\n"]));
    assert_eq!(framed_replies(&pieces, open), [Message::Opaque(endless.clone())]);
}

/// A line of the length of many heads passes where it is only keys, and what follows it is framed.
#[test]
fn many_keys_stream() {
    let keys: String = (0..30_000).flat_map(|number| [" key".to_owned(), number.to_string()]).collect();
    let input = format!("get a\r\nget{keys}\r\ngat 0{keys}\nmn\r\n").into_bytes();
    for size in [1000, 7, input.len()] {
        let pieces: Vec<&[u8]> = input.chunks(size).collect();
        let found = framed_requests(&pieces);
        assert_eq!(found.len(), 4, "{size}");
        assert_eq!(bytes(&found[3..]), b"mn\r\n");
        assert_eq!(bytes(&found), input);
    }
}

/// A value of the length of many heads passes, and what follows it is framed.
#[test]
fn large_values_stream() {
    let value = vec![b'\n'; 3 * MAX_HEAD];
    let set = block(&format!("set a 0 0 {}", value.len()), &value);
    let input = [&set[..], b"get a\r\n"].concat();
    let pieces: Vec<&[u8]> = input.chunks(1000).collect();
    let found = framed_requests(&pieces);
    assert_eq!(bytes(&found[..1]), set);
    assert_eq!(bytes(&found[1..]), b"get a\r\n");
    let reply = [&b"STORED\r\n"[..], &block(&format!("VALUE a 0 {}", value.len()), &value), b"END\r\n"].concat();
    let pieces: Vec<&[u8]> = reply.chunks(1000).collect();
    let found = framed_replies(&pieces, expects(&found));
    assert_eq!(found, [Message::Reply(reply[..8].to_vec()), Message::Reply(reply[8..].to_vec())]);
}
