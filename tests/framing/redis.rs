//! `redis`.

use proptest::prelude::*;
use proptest::sample::Index;
use vaurien::protocol::redis::{Expect, Replies, Requests, Subscription, words};
use vaurien::protocol::{Expect as AnyExpect, Step};

use super::{CASES, Message, bytes, cut, cuts, replies, requests};

const SUBSCRIPTIONS: [(&str, Subscription); 6] = [
    ("subscribe", Subscription::Subscribe),
    ("psubscribe", Subscription::Psubscribe),
    ("ssubscribe", Subscription::Ssubscribe),
    ("unsubscribe", Subscription::Unsubscribe),
    ("punsubscribe", Subscription::Punsubscribe),
    ("sunsubscribe", Subscription::Sunsubscribe),
];

/// No files of seeds: a failure that is found becomes a unit test.
fn config() -> ProptestConfig {
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn commands(sent in prop::collection::vec(request(), 0..6), cuts in cuts()) {
        let input = sent.concat_bytes();
        let found = found_requests(&cut(&input, &cuts));
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, expected_requests(&sent));
    }

    #[test]
    fn values(sent in prop::collection::vec(from_backend(), 0..5).prop_map(settled), cuts in cuts()) {
        let input: Vec<u8> = sent.iter().flat_map(|sent| sent.bytes.clone()).collect();
        let open = sent.iter().filter_map(|sent| sent.expect).collect();
        let found = found_replies(&cut(&input, &cuts), open);
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, expected_replies(&sent));
    }

    #[test]
    fn any_bytes_as_requests(input in noise(), cuts in cuts()) {
        let found = found_requests(&cut(&input, &cuts));
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, found_requests(&[&input]));
        let _ = words(&input);
    }

    #[test]
    fn any_bytes_as_replies(input in noise(), open in open_calls(), cuts in cuts()) {
        let found = found_replies(&cut(&input, &cuts), open.clone());
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, found_replies(&[&input], open));
    }

    #[test]
    fn broken_commands(sent in prop::collection::vec(request(), 1..4), harm in harms(), cuts in cuts()) {
        let input = harmed(sent.concat_bytes(), &harm);
        let found = found_requests(&cut(&input, &cuts));
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, found_requests(&[&input]));
    }

    #[test]
    fn broken_values(sent in prop::collection::vec(from_backend(), 1..4), harm in harms(), cuts in cuts()) {
        let input = harmed(sent.iter().flat_map(|sent| sent.bytes.clone()).collect(), &harm);
        let open: Vec<_> = sent.iter().filter_map(|sent| sent.expect).collect();
        let found = found_replies(&cut(&input, &cuts), open.clone());
        prop_assert_eq!(&bytes(&found), &input);
        prop_assert_eq!(found, found_replies(&[&input], open));
    }
}

fn found_requests(pieces: &[&[u8]]) -> Vec<Message> {
    let (mut framer, mut promise) = (Requests::default(), Promise::default());
    requests(pieces, |bytes| {
        let step = promise.kept_by(framer.step(bytes, false));
        if let Step::Call { head, .. } = step {
            let (command, key) = words(&bytes[..head]);
            assert!(command.len() + key.len() <= head);
        }
        step
    })
}

fn found_replies(pieces: &[&[u8]], open: Vec<AnyExpect>) -> Vec<Message> {
    let (mut framer, mut promise) = (Replies::default(), Promise::default());
    replies(pieces, open, |bytes, expect| promise.kept_by(framer.step(bytes, expect)))
}

/// How many bytes of the current message the last step announced.
#[derive(Default)]
struct Promise(Option<u64>);

impl Promise {
    fn kept_by(&mut self, step: Step) -> Step {
        match step {
            Step::Call { left, .. } => self.0 = left,
            Step::Part { len, left } => {
                if let Some(promised @ 1..) = self.0 {
                    assert_eq!(left, Some(promised - len as u64));
                }
                self.0 = left;
            }
            _ => assert!(matches!(self.0, None | Some(0)), "{step:?} instead of {:?} more bytes", self.0),
        }
        step
    }
}

/// What a client sends.
#[derive(Debug, Clone)]
enum Request {
    Blank(&'static str),
    Array(Vec<Vec<u8>>),
    Inline { words: Vec<Vec<u8>>, end: &'static str },
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Blank(blank) => blank.as_bytes().to_vec(),
            Self::Array(words) => {
                let words = words.iter().flat_map(|word| bulk('$', word));
                format!("*{}\r\n", self.words().len()).into_bytes().into_iter().chain(words).collect()
            }
            Self::Inline { words, end } => {
                let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
                (words.join("  ") + end).into_bytes()
            }
        }
    }

    fn words(&self) -> &[Vec<u8>] {
        match self {
            Self::Blank(_) => &[],
            Self::Array(words) | Self::Inline { words, .. } => words,
        }
    }
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for [Request] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(Request::bytes).collect()
    }
}

fn quoted(word: &[u8]) -> String {
    if !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let escaped: Vec<_> = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{}\"", escaped.concat())
}

fn bulk(kind: char, word: &[u8]) -> Vec<u8> {
    [format!("{kind}{}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat()
}

fn request() -> impl Strategy<Value = Request> {
    let word = || {
        prop_oneof![
            400 => prop::collection::vec(any::<u8>(), 0..20),
            1 => (4000_usize..4200).prop_map(|len| vec![b'w'; len]),
            1 => (0_usize..40_000).prop_map(|len| vec![b'\n'; len]),
        ]
    };
    let command = prop_oneof![
        4 => prop::sample::select(vec!["GET", "set", "Ping", "CLIENT", "reset", "EXEC", "replconf", "monitors", "eval", "XREAD", "Lmpop", "MIGRATE"]),
        1 => prop::sample::select(vec!["MONITOR", "sync", "Psync"]),
        4 => prop::sample::select(SUBSCRIPTIONS.map(|(name, _)| name).to_vec()),
    ];
    let any_command = (command, prop::collection::vec(word(), 0..5))
        .prop_map(|(command, words)| [vec![command.as_bytes().to_vec()], words].concat());
    let fixed =
        prop::sample::select(vec!["HELLO 3", "hello 3 AUTH a b", "HELLO 2", "HELLO", "RESET", "CLIENT REPLY ON"])
            .prop_map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    let opaque = prop::sample::select(vec!["CLIENT REPLY OFF", "client reply Skip", "REPLCONF ack 1"])
        .prop_map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
    let words = prop_oneof![
        40 => any_command,
        20 => fixed,
        1 => opaque,
        2 => prop::collection::vec(word(), 1..3),
    ];
    prop_oneof![
            1 => prop::sample::select(vec!["\r\n", "\n", " \t\r\n", "*0\r\n", "*-1\r\n"]).prop_map(Request::Blank),
            5 => words.clone().prop_map(Request::Array),
            3 => (words, prop::sample::select(vec!["\r\n", "\n", " \r\n"])).prop_map(|(mut words, end)| {
                for word in &mut words {
     word.truncate(100);
    }
                Request::Inline { words, end }
            }),
        ]
}

fn expected_requests(sent: &[Request]) -> Vec<Message> {
    let mut found = Vec::new();
    let mut resp3 = false;
    for (at, request) in sent.iter().enumerate() {
        let bytes = request.bytes();
        if request.words().is_empty() {
            join_pass(&mut found, bytes);
        } else if let Some(expect) = expected(request.words(), &mut resp3) {
            found.push(Message::Call(bytes, expect));
        } else {
            found.push(Message::Opaque(sent[at..].concat_bytes()));
            break;
        }
    }
    found
}

fn join_pass(found: &mut Vec<Message>, bytes: Vec<u8>) {
    match found.last_mut() {
        Some(Message::Pass(before)) => before.extend(bytes),
        _ => found.push(Message::Pass(bytes)),
    }
}

/// The expectation of a command; `None` if it turns the connection opaque.
fn expected(words: &[Vec<u8>], resp3: &mut bool) -> Option<AnyExpect> {
    let lower: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    if let Some((name, subscription)) = SUBSCRIPTIONS.into_iter().find(|(name, _)| *name == lower[0]) {
        let confirmations = u32::try_from(words.len() - 1).expect("few words");
        return match confirmations {
            _ if !*resp3 => None,
            0 if !name.contains("unsubscribe") => Some(AnyExpect::Reply),
            _ => Some(AnyExpect::Redis(Expect { subscription, confirmations })),
        };
    }
    match lower[..] {
        ["monitor" | "sync" | "psync", ..] | ["client", "reply", "off" | "skip", ..] | ["replconf", "ack", ..] => {
            return None;
        }
        ["hello", "3", ..] => *resp3 = true,
        ["hello", "2", ..] | ["reset", ..] => *resp3 = false,
        _ => return Some(AnyExpect::Reply),
    }
    Some(AnyExpect::Resp { is_3: *resp3 })
}

/// What a backend sends: a reply to a call, or a push.
#[derive(Debug, Clone)]
struct FromBackend {
    bytes: Vec<u8>,
    expect: Option<AnyExpect>,
}

fn from_backend() -> impl Strategy<Value = FromBackend> {
    let push = (prop::sample::select(vec!["message", "invalidate", "sub", "subscribed"]), elements(), any::<bool>())
        .prop_map(|(kind, elements, streamed)| {
            aggregate('>', &[vec![bulk('$', kind.as_bytes())], elements].concat(), streamed)
        });
    let other_push = push.clone();
    let confirmed = (
        prop::sample::select(SUBSCRIPTIONS.to_vec()),
        prop::collection::vec(elements(), 1..4),
        prop::option::of(push.clone()),
    )
        .prop_map(|((name, subscription), pushes, between)| {
            let confirmations = u32::try_from(pushes.len()).expect("few pushes");
            let mut pushes: Vec<_> = pushes
                .into_iter()
                .map(|elements| aggregate('>', &[vec![bulk('$', name.as_bytes())], elements].concat(), false))
                .collect();
            if let (Some(between), true) = (between, pushes.len() > 1) {
                pushes.insert(1, between);
            }
            let expect = AnyExpect::Redis(Expect { subscription, confirmations });
            FromBackend { bytes: pushes.concat(), expect: Some(expect) }
        });
    let refused = (prop::sample::select(SUBSCRIPTIONS.to_vec()), 0_u32..3, any::<bool>()).prop_map(
        |((_, subscription), confirmations, long)| {
            let bytes = if long { bulk('!', b"ERR no") } else { b"-ERR no\r\n".to_vec() };
            FromBackend { bytes, expect: Some(AnyExpect::Redis(Expect { subscription, confirmations })) }
        },
    );
    prop_oneof![
        6 => value().prop_map(|bytes| FromBackend { bytes, expect: Some(AnyExpect::Reply) }),
        2 => other_push.prop_map(|bytes| FromBackend { bytes, expect: None }),
        2 => confirmed,
        1 => refused,
    ]
}

/// What shows that a confirmation of SUNSUBSCRIBE was asked for comes behind each: a reply that cannot be its own.
fn settled(sent: Vec<FromBackend>) -> Vec<FromBackend> {
    let ok = FromBackend { bytes: b"+OK\r\n".to_vec(), expect: Some(AnyExpect::Reply) };
    let mut settled = Vec::new();
    for sent in sent {
        let sunsubscribe =
            matches!(sent.expect, Some(AnyExpect::Redis(expect)) if expect.subscription == Subscription::Sunsubscribe);
        let is_confirmed = sunsubscribe && sent.bytes[0] == b'>';
        settled.push(sent);
        settled.extend(is_confirmed.then(|| ok.clone()));
    }
    settled
}

/// A value of any type, sometimes with an attribute.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let line = (prop::sample::select(b"+-:_#,(".to_vec()), prop::collection::vec(any::<u8>(), 0..12)).prop_map(
        |(kind, mut line)| {
            line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'\r');
            [&[kind], line.as_slice(), b"\r\n"].concat()
        },
    );
    let contents = prop_oneof![
        400 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (0_usize..40_000).prop_map(|len| vec![b'\n'; len]),
    ];
    let string =
        (prop::sample::select(vec!['$', '!', '=']), contents).prop_map(|(kind, contents)| bulk(kind, &contents));
    let null =
        prop::sample::select(vec!["$-1\r\n", "*-1\r\n", "_\r\n", "+OK\r\n"]).prop_map(|null| null.as_bytes().to_vec());
    let streamed = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..8), 0..4).prop_map(|chunks| {
        let chunks: Vec<u8> = chunks.iter().flat_map(|chunk| bulk(';', chunk)).collect();
        [b"$?\r\n".as_slice(), &chunks, b";0\r\n"].concat()
    });
    let leaf = prop_oneof![line, string, null, streamed];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let many = prop::collection::vec(inner.clone(), 0..5);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..3)
            .prop_map(|pairs| pairs.into_iter().map(|(key, value)| [key, value].concat()).collect::<Vec<_>>());
        prop_oneof![
            (prop::sample::select(vec!['*', '~']), many, any::<bool>())
                .prop_map(|(kind, elements, streamed)| aggregate(kind, &elements, streamed)),
            (pairs.clone(), any::<bool>()).prop_map(|(pairs, streamed)| aggregate('%', &pairs, streamed)),
            (pairs, any::<bool>(), inner).prop_map(|(pairs, streamed, value)| [
                aggregate('|', &pairs, streamed),
                value
            ]
            .concat()),
        ]
    })
}

fn elements() -> impl Strategy<Value = Vec<Vec<u8>>> + Clone {
    prop::collection::vec(
        prop_oneof![Just(b":1\r\n".to_vec()), Just(b"$2\r\nch\r\n".to_vec()), Just(b"*1\r\n_\r\n".to_vec())],
        0..4,
    )
}

/// An aggregate of `elements`; those of a map must be pairs.
fn aggregate(kind: char, elements: &[Vec<u8>], streamed: bool) -> Vec<u8> {
    if streamed {
        [format!("{kind}?\r\n").into_bytes(), elements.concat(), b".\r\n".to_vec()].concat()
    } else {
        [format!("{kind}{}\r\n", elements.len()).into_bytes(), elements.concat()].concat()
    }
}

fn expected_replies(sent: &[FromBackend]) -> Vec<Message> {
    let mut found = Vec::new();
    for sent in sent {
        match sent.expect {
            Some(_) => found.push(Message::Reply(sent.bytes.clone())),
            None => join_pass(&mut found, sent.bytes.clone()),
        }
    }
    found
}

/// Random bytes, some of which look like RESP.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        6 => prop::sample::select(vec![
            "*", "$", "+", "-", ":", "%", "~", ">", "|", ";", ".", "_", "#", "(", "!", "=", "?", "\r\n", "\r", "\n", "\"",
            "'", "\\", " ", "\0", "0", "1", "2", "3", "12", "-1", "9223372036854775807",
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
        6 => prop::sample::select(vec![
            "*1\r\n", "*2\r\n", "*-1\r\n", "*?\r\n", "$1\r\nx\r\n", "$3\r\nGET\r\n", "$-1\r\n", "$?\r\n", ";1\r\nx\r\n", ";0\r\n",
            ".\r\n", "+OK\r\n", "|1\r\n", "%1\r\n", "%?\r\n", ">2\r\n", ">?\r\n", "$9\r\nsubscribe\r\n", "$11\r\nunsubscribe\r\n",
            "HELLO 3\r\n", "SUBSCRIBE a b\r\n", "*9223372036854775807\r\n", "$9223372036854775807\r\n", "~9223372036854775808\r\n",
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

fn open_calls() -> impl Strategy<Value = Vec<AnyExpect>> {
    let expect = prop_oneof![
        3 => Just(AnyExpect::Reply),
        1 => (prop::sample::select(vec![Subscription::Subscribe, Subscription::Unsubscribe]), 0_u32..3)
            .prop_map(|(subscription, confirmations)| AnyExpect::Redis(Expect { subscription, confirmations })),
    ];
    prop::collection::vec(expect, 0..8)
}

/// One modification of well-formed bytes.
#[derive(Debug, Clone)]
enum Harm {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    let byte = || prop_oneof![prop::sample::select(b"*$>|;.?-0123456789\r\n".to_vec()), any::<u8>()];
    let harm = prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Harm::Replace(at, byte)),
        2 => (any::<Index>(), byte()).prop_map(|(at, byte)| Harm::Insert(at, byte)),
        2 => any::<Index>().prop_map(Harm::Remove),
        1 => any::<Index>().prop_map(Harm::Truncate),
    ];
    prop::collection::vec(harm, 1..4)
}

fn harmed(mut input: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        if input.is_empty() {
            break;
        }
        match harm {
            Harm::Replace(at, byte) => *at.get_mut(&mut input) = *byte,
            Harm::Insert(at, byte) => input.insert(at.index(input.len() + 1), *byte),
            Harm::Remove(at) => drop(input.remove(at.index(input.len()))),
            Harm::Truncate(at) => input.truncate(at.index(input.len() + 1)),
        }
    }
    input
}
