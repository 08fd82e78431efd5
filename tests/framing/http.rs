//! `http`.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use vaurien::protocol::http::{Expect, Replies, Requests};
use vaurien::protocol::{Expect as AnyExpect, Step};

use super::{CASES, Message, bytes, cut, cuts};

/// The bytes of a message, and what the framer should find in them.
type Made = (Vec<u8>, Expect);

fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// Checks that a framer keeps its promise that `left` bytes of the current message follow.
#[derive(Default)]
struct Promised(Option<u64>);

impl Promised {
    fn keep(&mut self, step: Step, shown: &[u8]) -> Step {
        match step {
            Step::Call { len, head, left, .. } => {
                let text = &shown[..head];
                assert!(text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n"), "a head without an end: {text:?}");
                assert!(
                    len == shown.len() || left == Some(0) || left.is_none(),
                    "left {left:?}, but more bytes are here"
                );
                self.0 = left;
            }
            Step::Part { len, left } => {
                if let (Some(before), Some(left)) = (self.0.filter(|before| *before > 0), left) {
                    assert_eq!(before, left + len as u64);
                }
                self.0 = left;
            }
            _ => {}
        }
        step
    }
}

fn requests(pieces: &[&[u8]]) -> Vec<Message> {
    let (mut framer, mut promised) = (Requests::default(), Promised::default());
    super::requests(pieces, |bytes| promised.keep(framer.step(bytes, false), bytes))
}

fn replies(pieces: &[&[u8]], open: &[Expect]) -> Vec<Message> {
    let (mut framer, mut promised) = (Replies::default(), Promised::default());
    let open = open.iter().copied().map(AnyExpect::Http).collect();
    super::replies(pieces, open, |bytes, expect| promised.keep(framer.step(bytes, expect), bytes))
}

fn expect() -> impl Strategy<Value = Expect> {
    select(vec![Expect::Other, Expect::Head, Expect::Connect])
}

/// `name` with the letter case given by `bits`.
fn cased(name: &str, bits: u32) -> String {
    let case = |(at, letter): (usize, char)| {
        if bits >> (at % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    name.char_indices().map(case).collect()
}

/// A header field without its line end, which does not affect framing.
fn field() -> impl Strategy<Value = String> {
    let names =
        ["A", "host", "X-Content-Length", "Content-Lengths", "Trailer", "TE", "!#$%&'*+-.^_`|~09", "Connection"];
    let values = [
        "",
        " ",
        " \t x\t ",
        " close, keep-alive",
        "chunked",
        " 5",
        ": Content-Length: 7",
        " \u{e9}\u{20ac}",
        " a value that is longer than one vector register, \"quoted\" and with (comments); and a=b; and more",
    ];
    (select(names.to_vec()), select(values.to_vec())).prop_map(|(name, value)| [name, ":", value].concat())
}

/// A body and the header field that delimits it.
#[derive(Debug, Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    /// Chunks, each with what stands between its size and the line end; then trailers.
    Chunked(Vec<(Vec<u8>, String)>, String, Vec<String>),
}

fn data(len: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    // Data that looks like the protocol is the hardest to skip.
    prop_oneof![vec(any::<u8>(), len.clone()), vec(select(b"\r\n0:;G /".to_vec()), len)]
}

fn body() -> impl Strategy<Value = Body> {
    let extension = select(vec!["", "", " ", "\t ", ";a", " ; a=b;c", ";a=\"b;0\"", ";"]).prop_map(str::to_owned);
    let chunks = vec((data(1..30), extension.clone()), 0..4);
    prop_oneof![
        Just(Body::None),
        data(0..60).prop_map(Body::Length),
        (chunks, extension, vec(field(), 0..3))
            .prop_map(|(chunks, last, trailers)| Body::Chunked(chunks, last, trailers)),
    ]
}

impl Body {
    fn field(&self, bits: u32) -> Option<String> {
        match self {
            Body::None => None,
            Body::Length(data) if bits & 1 == 0 => Some(format!("{}: {}", cased("content-length", bits), data.len())),
            Body::Length(data) => {
                Some(format!("{}:{len:03},  {len} ", cased("content-length", bits), len = data.len()))
            }
            Body::Chunked(..) => {
                let coding = cased("chunked", bits.rotate_left(7));
                let before = ["", "gzip, ", ",", "x,\t"][bits as usize % 4];
                // A length beside a transfer coding is ignored (RFC 9112, section 6.3).
                let length = ["", "Content-Length: 7\r\n"][(bits >> 8) as usize % 2];
                Some(format!("{length}{}: {before}{coding}", cased("transfer-encoding", bits)))
            }
        }
    }

    /// The HTTP version of the message.
    fn version(&self, bits: u32) -> u8 {
        u8::from(matches!(self, Body::Chunked(..)) || !bits.is_multiple_of(3))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Body::None => {}
            Body::Length(data) => out.extend(data),
            Body::Chunked(chunks, last, trailers) => {
                for (data, extension) in chunks {
                    out.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
                    out.extend(data);
                    out.extend(b"\r\n");
                }
                out.extend(format!("00{last}\r\n").bytes());
                for line in trailers.iter().map(String::as_str).chain([""]) {
                    out.extend(format!("{line}\r\n").bytes());
                }
            }
        }
    }
}

/// A head of `line` and `fields`, one of them `framing`.
fn head(line: &str, mut fields: Vec<String>, framing: Option<String>, bits: u32) -> Vec<u8> {
    let at = bits as usize % (fields.len() + 1);
    if let Some(framing) = framing {
        fields.insert(at, framing);
    }
    let end = if bits.is_multiple_of(5) { "\n" } else { "\r\n" };
    let mut lines = vec![line.to_owned()];
    lines.extend(fields);
    (lines.join(end) + end + end).into_bytes()
}

/// One well-formed request.
fn request() -> impl Strategy<Value = Made> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "CONNECT", "M-SEARCH", "OPTIONS"]);
    let target = select(vec!["/", "*", "/a/b%20c?d=e&f#g", "http://host/x", "host:443", "/\u{e9}:\"<>\\^`{|}"]);
    (method, target, vec(field(), 0..5), body(), any::<u32>()).prop_map(|(method, target, fields, body, bits)| {
        let (expect, body) = match (method, body) {
            ("CONNECT", _) => (Expect::Connect, Body::None),
            ("HEAD", body) => (Expect::Head, body),
            (_, body) => (Expect::Other, body),
        };
        let version = body.version(bits);
        let mut out = head(&format!("{method} {target} HTTP/1.{version}"), fields, body.field(bits), bits);
        body.write(&mut out);
        (out, expect)
    })
}

fn blank_lines() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(select(vec!["\r\n", "\n"]), 1..4).prop_map(|lines| lines.concat().into_bytes())]
}

/// One well-formed response whose body does not end with the connection, and its request's expectation.
fn response() -> impl Strategy<Value = Made> {
    let code = select(vec![200u16, 201, 204, 206, 304, 404, 407, 500, 999]);
    let phrase = select(vec!["", " ", " OK", " Not  Quite: \t\u{e9} "]);
    (code, phrase, expect(), vec(field(), 0..5), body(), any::<u32>()).prop_map(
        |(code, phrase, expect, fields, body, bits)| {
            let expect = if expect == Expect::Connect && code / 100 == 2 { Expect::Other } else { expect };
            let bare = expect == Expect::Head || matches!(code, 204 | 304);
            // A response without a body may announce a length; without one it would last until the connection ends.
            let body = match body {
                Body::None if !bare => Body::Length(Vec::new()),
                body => body,
            };
            let version = body.version(bits);
            let mut out = head(&format!("HTTP/1.{version} {code}{phrase}"), fields, body.field(bits), bits);
            if !bare {
                body.write(&mut out);
            }
            (out, expect)
        },
    )
}

/// Interim responses, any number of them.
fn interim() -> impl Strategy<Value = Vec<u8>> {
    let one = (select(vec![100, 102, 103, 199]), vec(field(), 0..3), any::<u32>())
        .prop_map(|(code, fields, bits)| head(&format!("HTTP/1.1 {code} Wait"), fields, None, bits));
    prop_oneof![3 => Just(Vec::new()), 1 => vec(one, 1..3).prop_map(|all| all.concat())]
}

/// An optional last response that lasts until the connection ends.
fn until_close() -> impl Strategy<Value = Option<Vec<u8>>> {
    let line = select(vec![
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\n",
        "HTTP/1.1 502 Bad\r\nTransfer-Encoding: deflate\r\nContent-Length: 2\r\n\r\n",
    ]);
    prop::option::of((line, data(0..60)).prop_map(|(line, data)| [line.as_bytes(), &data].concat()))
}

/// Fragments of valid and invalid messages.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.0\n",
        "CONNECT x:1 HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 204 \r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 4\r\n",
        "content-length: 18446744073709551615\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 3, 4\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Upgrade: h2c\r\n",
        "X: y\r\n z\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\u{7f}",
        " ",
        ":",
        "3\r\nabc\r\n",
        "3;x=\"y\r\n\"\r\nabc\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "10000000000000000\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
    ]);
    let word = prop_oneof![
        12 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(field(), 1..4).prop_map(|fields| (fields.join("\r\n") + "\r\n").into_bytes()),
    ];
    vec(word, 0..12).prop_map(|words| words.concat())
}

/// One modification of valid bytes.
#[derive(Debug, Clone)]
enum Fault {
    Change(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let byte = || prop_oneof![any::<u8>(), select(b"\r\n\t\0\x7f :,;0fF".to_vec())];
    let fault = prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Fault::Change(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Fault::Insert(at, byte)),
        any::<Index>().prop_map(Fault::Remove),
        any::<Index>().prop_map(Fault::Truncate),
    ];
    vec(fault, 1..4)
}

fn spoil(mut bytes: Vec<u8>, faults: Vec<Fault>) -> Vec<u8> {
    for fault in faults {
        let len = bytes.len();
        match fault {
            Fault::Insert(at, byte) => bytes.insert(at.index(len + 1), byte),
            _ if len == 0 => {}
            Fault::Change(at, byte) => bytes[at.index(len)] = byte,
            Fault::Remove(at) => drop(bytes.remove(at.index(len))),
            Fault::Truncate(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

/// Random bytes, or valid messages with modifications.
fn anything(good: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![soup(), (good, faults()).prop_map(|(bytes, faults)| spoil(bytes, faults))]
}

fn joined(made: &[Made]) -> Vec<u8> {
    made.iter().flat_map(|(bytes, _)| bytes).copied().collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn requests_are_found_as_generated(pipeline in vec((blank_lines(), request()), 0..5), cuts in cuts()) {
        let (mut input, mut made) = (Vec::new(), Vec::new());
        for (blank, (request, expect)) in pipeline {
            input.extend([blank.as_slice(), &request].concat());
            made.extend((!blank.is_empty()).then_some(Message::Pass(blank)));
            made.push(Message::Call(request, AnyExpect::Http(expect)));
        }
        let found = requests(&cut(&input, &cuts));
        prop_assert_eq!(bytes(&found), input);
        prop_assert_eq!(found, made);
    }

    #[test]
    fn replies_are_found_as_generated(
        pipeline in vec((interim(), response()), 0..4),
        last in until_close(),
        cuts in cuts(),
    ) {
        let (mut input, mut made, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (interim, (response, expect)) in pipeline {
            input.extend([interim.as_slice(), &response].concat());
            made.extend((!interim.is_empty()).then_some(Message::Pass(interim)));
            made.push(Message::Reply(response));
            open.push(expect);
        }
        if let Some(response) = last {
            input.extend(&response);
            made.push(Message::Reply(response));
            open.push(Expect::Other);
        }
        let found = replies(&cut(&input, &cuts), &open);
        prop_assert_eq!(bytes(&found), input);
        prop_assert_eq!(found, made);
    }

    #[test]
    fn any_bytes_of_a_client_are_framed_alike_however_split(
        input in anything(vec(request(), 1..3).prop_map(|made| joined(&made))),
        cuts in cuts(),
    ) {
        let found = requests(&cut(&input, &cuts));
        prop_assert_eq!(bytes(&found), input.clone());
        prop_assert_eq!(found, requests(&[&input]));
    }

    #[test]
    fn any_bytes_of_a_backend_are_framed_alike_however_split(
        input in anything(vec(response(), 1..3).prop_map(|made| joined(&made))),
        open in vec(expect(), 0..4),
        cuts in cuts(),
    ) {
        let found = replies(&cut(&input, &cuts), &open);
        prop_assert_eq!(bytes(&found), input.clone());
        prop_assert_eq!(found, replies(&[&input], &open));
    }
}

#[test]
fn a_head_in_single_bytes_is_kept_up_to_the_limit() {
    let long = ["GET / HTTP/1.1\r\nX: ", &"x".repeat(vaurien::protocol::MAX_HEAD)].concat();
    let input = long.as_bytes();
    let found = requests(&input.chunks(1).collect::<Vec<_>>());
    assert_eq!(found, [Message::Opaque(input.to_vec())]);
    assert_eq!(found, requests(&[input]));
}
