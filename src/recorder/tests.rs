use proptest::prelude::*;

use super::fold::{Folded, MAX_SHAPE};
use super::*;
use crate::plan::facts::Facts;
use crate::plan::rule::Rule;
use crate::protocol::Expect;
use crate::rng::Streams;

fn folded(command: &[u8], key: &[u8]) -> (String, String) {
    let folded = Folded::of(Protocol::Redis, command, key);
    let (command, key) = folded.words();
    [command, key].map(|word| String::from_utf8(word.to_vec()).unwrap()).into()
}

fn array(words: &[&[u8]]) -> Vec<u8> {
    let mut head = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        head.extend(format!("${}\r\n", word.len()).as_bytes());
        head.extend([word, &b"\r\n"[..]].concat());
    }
    head
}

/// The shapes after these calls of redis, each answered before the next one.
fn recorded(heads: impl IntoIterator<Item = Vec<u8>>) -> Recorded {
    let recorder = Recorder::new(true);
    let connection = recorder.connection(Protocol::Redis).unwrap();
    for (number, head) in (1..).zip(heads) {
        connection.begins(number, Protocol::Redis.words(&head), Expect::Reply);
        connection.passed_on(&mut Clock::default());
        connection.read();
        connection.ended(true);
    }
    drop(connection);
    recorder.recorded(Protocol::Redis)
}

/// How many calls of each shape were timed.
fn timed(recorder: &Recorder) -> Vec<u64> {
    let tables = recorder.0.as_ref().unwrap().all().filter_map(OnceLock::get);
    let times = tables.flat_map(table::Table::all).filter_map(table::Counts::times);
    times.map(|times| times.into_iter().map(|bucket| bucket.count()).sum()).collect()
}

#[test]
fn what_identifies_one_thing_is_left_out() {
    for (key, shape) in [
        ("", ""),
        ("mylist", "mylist"),
        ("user:123", "user:*"),
        ("user:123:name", "user:*:name"),
        ("key:000000012345", "key:*"),
        ("user-42", "user-*"),
        ("user_42_cart", "user_*_cart"),
        ("user42", "user*"),
        ("oauth2", "oauth2"),
        ("report:2024-01-31", "report:*"),
        ("a--b", "a--b"),
        ("session:550e8400-e29b-41d4-a716-446655440000", "session:*"),
        ("550E8400-E29B-41D4-A716-446655440000:x", "*:x"),
        ("session:01ARZ3NDEKTSV4RRFFQ69G5FAV", "session:*"),
        ("session:V1StGXR8_Z5jdHi6B-myT", "session:*"),
        ("deadbeef", "deadbeef"),
        ("cache:3f2a9c01", "cache:*"),
        ("/", "/"),
        ("/api/v1/orders/550e8400-e29b-41d4-a716-446655440000", "/api/v1/orders/*"),
        ("/api/v1/orders/7/items/12", "/api/v1/orders/*/items/*"),
        ("/api/v100/x", "/api/v100/x"),
        ("/static/app.3f2a9c0b1d.js", "/static/app.*.js"),
        ("/static/app-3f2a9c0b1d.js", "/static/app-*.js"),
        ("/my-very-long-service-name-v2/health", "/my-very-long-service-name-v2/health"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("a*b:c", "*:c"),
        ("a=b", "*"),
        ("~a", "*"),
        ("it's:1", "*:*"),
        ("müller:name", "*:name"),
        ("a b", "*"),
    ] {
        assert_eq!(folded(b"GET", key.as_bytes()), ("GET".to_owned(), shape.to_owned()), "{key}");
    }
}

#[test]
fn commands_are_upper_case_and_plain() {
    for (command, shape) in [
        ("get", "GET"),
        ("JSON.SET", "JSON.SET"),
        ("M-SEARCH", "M-SEARCH"),
        ("", "*"),
        ("/a", "*"),
        ("a=b", "*"),
        ("a very long command that is none", "*"),
    ] {
        assert_eq!(folded(command.as_bytes(), b"k").0, shape, "{command}");
    }
}

#[test]
fn a_long_key_is_cut_to_its_beginning() {
    let long = "a:".repeat(1000);
    let (_, shape) = folded(b"GET", long.as_bytes());
    assert!(shape.starts_with("a:a:") && shape.ends_with(":*"), "{shape}");
    assert!((MAX_SHAPE - 8..=MAX_SHAPE - 3).contains(&shape.len()), "{shape}");
    assert_eq!(folded(b"GET", &[b'a'; 65]).1, "*");
    assert_eq!(folded(b"GET", &[&b"x:"[..], &[b'a'; 100], b":y"].concat()).1, "x:*");
}

/// What keys are made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,12}",
        "[0-9]{1,8}",
        "v[0-9]{1,4}",
        "[0-9a-f]{8,40}",
        "[A-Za-z0-9_-]{1,70}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[!-~]{1,12}",
        any::<String>(),
    ]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec((piece(), "[/:._|,@ -]?"), 0..12);
    let text = pieces.prop_map(|pieces| pieces.into_iter().flat_map(|(piece, end)| [piece, end]).collect::<String>());
    prop_oneof![text.prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn the_rule_of_a_shape_matches_every_call_that_folded_into_it(
        command in prop_oneof![Just("get".to_owned()), "[A-Za-z.]{1,30}", "[!-~]{1,10}"], key in key(),
    ) {
        let head = array(&[command.as_bytes(), &key]);
        let Recorded { shapes, other } = recorded([head.clone()]);
        prop_assert_eq!((shapes.len(), other, shapes[0].calls), (1, 0, 1));
        let rule: Rule = shapes[0].rule.parse().unwrap();
        let facts = Facts::new(Protocol::Redis, Some(&head), None, Streams::new(1, "a", 1), 1);
        prop_assert!(rule.matcher().fits_head(&facts), "{} for {:?}", shapes[0].rule, facts.key());
    }

    #[test]
    fn the_same_holds_for_paths(method in "GET|POST|M-SEARCH|PATCH", path in "(/[!->@-~]{0,20}){1,9}", query in "(\\?[a-z=]{0,5})?") {
        let head = format!("{method} {path}{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (command, key) = Protocol::Http.words(head.as_bytes());
        let (command, key) = folded(command, key);
        let rule: Rule = format!("{command} {key} => error").parse().unwrap();
        let facts = Facts::new(Protocol::Http, Some(head.as_bytes()), None, Streams::new(1, "a", 1), 1);
        prop_assert!(!key.is_empty() && rule.matcher().fits_head(&facts), "{command} {key} for {path}");
    }
}

#[test]
fn the_most_frequent_is_first() {
    let calls = ["GET a:1", "SET a:1", "get a:2", "PING", "GET a:3", "SET a:2"];
    let recorded = recorded(calls.map(|call| format!("{call}\r\n").into_bytes()));
    let shapes: Vec<_> = recorded.shapes.iter().map(|shape| (&*shape.shape, shape.calls, &*shape.rule)).collect();
    let expected = [
        ("GET a:*", 3, "GET a:* => error(kind=err)"),
        ("SET a:*", 2, "SET a:* => error(kind=err)"),
        ("PING", 1, "PING => error(kind=err)"),
    ];
    assert_eq!((shapes.as_slice(), recorded.other), (&expected[..], 0));
    assert!(recorded.shapes.iter().all(|shape| shape.p50.is_some() && shape.p50 <= shape.p99));
}

#[test]
fn calls_beyond_the_limit_are_counted_together() {
    let letters = |number: usize| [number / 26, number % 26].map(|at| char::from(b'a' + u8::try_from(at).unwrap()));
    let call = |number| format!("GET {}\r\n", String::from_iter(letters(number))).into_bytes();
    let recorded = recorded((0..MAX_SHAPES + 30).chain(0..MAX_SHAPES).map(call));
    assert_eq!((recorded.shapes.len(), recorded.other), (MAX_SHAPES, 30));
    assert!(recorded.shapes.iter().all(|shape| shape.calls == 2));
}

/// Words that stay as they are.
fn rare(number: usize) -> Vec<u8> {
    let letter = |at: usize| char::from(b'g' + u8::try_from(at % 19).unwrap());
    let word: String = [number / 361, number / 19, number].map(letter).into_iter().collect();
    format!("GET {word}\r\n").into_bytes()
}

#[test]
fn a_frequent_shape_finds_room_among_rare_ones() {
    let hot = || b"GET hotkey\r\n".to_vec();
    let late = (0..250).map(rare).chain((0..2000).map(|_| hot()));
    let Recorded { shapes, other } = recorded(late);
    assert_eq!((&*shapes[0].shape, shapes[0].calls, other), ("GET hotkey", 2000, 51));
    assert!(shapes[0].p50.is_some());
    // Also where rare ones never end.
    let among = (0..6000).flat_map(|number| {
        let is_hot = number >= 1000 && number % 20 == 0;
        [rare(number), hot()].into_iter().take(1 + usize::from(is_hot))
    });
    let Recorded { shapes, other } = recorded(among);
    assert_eq!(&*shapes[0].shape, "GET hotkey");
    assert!((200..=250).contains(&shapes[0].calls), "{}", shapes[0].calls);
    assert_eq!(shapes.iter().map(|shape| shape.calls).sum::<u64>() + other, 6250);
}

#[test]
fn in_a_pipeline_one_call_of_each_shape_is_timed() {
    let recorder = Recorder::new(true);
    let connection = recorder.connection(Protocol::Redis).unwrap();
    for (number, head) in (1..).zip(["GET a:1", "GET a:2", "SET b", "GET a:3"]) {
        connection.begins(number, Protocol::Redis.words(format!("{head}\r\n").as_bytes()), Expect::Reply);
        connection.passed_on(&mut Clock::default());
    }
    for _ in 0..4 {
        connection.read();
        connection.ended(true);
    }
    assert_eq!(timed(&recorder), [1, 1]);
    assert_eq!(recorder.recorded(Protocol::Redis).shapes[0].calls, 3);
}

#[test]
fn only_what_the_backend_answered_is_timed() {
    let recorder = Recorder::new(true);
    let connection = recorder.connection(Protocol::Redis).unwrap();
    let begins = |number, head: &[u8], expect| connection.begins(number, Protocol::Redis.words(head), expect);
    // Told twice: answered by a handler.
    begins(1, b"GET a\r\n", Expect::Reply);
    begins(1, b"GET a\r\n", Expect::Reply);
    connection.ended(false);
    begins(2, b"PUBLISH a\r\n", Expect::Nothing);
    connection.passed_on(&mut Clock::default());
    // A message that is no reply.
    connection.read();
    connection.ended(true);
    assert_eq!(timed(&recorder), [] as [u64; 0]);
    begins(3, b"GET a\r\n", Expect::Reply);
    connection.passed_on(&mut Clock::default());
    connection.read();
    connection.ended(true);
    assert_eq!(timed(&recorder), [1]);
    begins(4, b"GET a\r\n", Expect::Reply);
    connection.replies_end();
    connection.ended(true);
    assert_eq!(timed(&recorder), [1]);
    let calls: Vec<_> =
        recorder.recorded(Protocol::Redis).shapes.into_iter().map(|shape| (shape.shape, shape.calls)).collect();
    assert_eq!(calls, [("GET a".to_owned(), 3), ("PUBLISH a".to_owned(), 1)]);
}

#[test]
fn a_reply_takes_until_its_first_byte() {
    let recorder = Recorder::new(true);
    let connection = recorder.connection(Protocol::Redis).unwrap();
    connection.begins(1, (b"GET", b"a"), Expect::Reply);
    connection.passed_on(&mut Clock::default());
    connection.read();
    connection.reply_begins();
    let pause = Duration::from_millis(50);
    std::thread::sleep(pause);
    connection.read();
    connection.reply_begins();
    connection.ended(true);
    let shapes = recorder.recorded(Protocol::Redis).shapes;
    assert!(shapes[0].p99.unwrap().duration() < pause, "{shapes:?}");
}

#[test]
fn nothing_is_recorded_where_there_are_no_shapes_or_nobody_asks() {
    assert!(Recorder::new(false).connection(Protocol::Redis).is_none());
    assert!(Recorder::new(true).connection(Protocol::Tcp).is_none());
    assert_eq!(Recorder::new(false).recorded(Protocol::Redis), Recorded::default());
}

#[test]
fn a_rule_answers_with_an_error_of_the_protocol() {
    for (protocol, head, rule, is_setup) in [
        (Protocol::Redis, &b"PING\r\n"[..], "PING => error(kind=err)", true),
        (Protocol::Redis, b"client setinfo\r\n", "CLIENT setinfo => error(kind=err)", true),
        (Protocol::Redis, b"GET a\r\n", "GET a => error(kind=err)", false),
        (Protocol::Memcache, b"version\r\n", "VERSION => error(kind=server_error)", true),
        (Protocol::Memcache, b"get a\r\n", "GET a => error(kind=server_error)", false),
        (Protocol::Http, b"INFO /a HTTP/1.1\r\n\r\n", "INFO /a => error", false),
        (
            Protocol::Grpc,
            b"POST /pkg.v1.Accounts/ListOAuth2ClientCredentials HTTP/1.1\r\n\r\n",
            "/pkg.v1.Accounts/ListOAuth2ClientCredentials => error(grpc=UNAVAILABLE)",
            false,
        ),
        (
            Protocol::Grpc,
            b"POST /grpc.health.v1.Health/Check HTTP/1.1\r\n\r\n",
            "/grpc.health.v1.Health/Check => error(grpc=UNAVAILABLE)",
            true,
        ),
        (Protocol::Grpc, b"GET /orders/123456 HTTP/1.1\r\n\r\n", "GET /orders/* => error(grpc=UNAVAILABLE)", false),
    ] {
        let recorder = Recorder::new(true);
        let connection = recorder.connection(protocol).unwrap();
        connection.begins(1, protocol.words(head), Expect::Reply);
        let shapes = recorder.recorded(protocol).shapes;
        assert_eq!((shapes[0].rule.as_str(), shapes[0].is_setup), (rule, is_setup));
        assert_eq!(rule.parse::<Rule>().unwrap().mix().check(protocol).count(), 0);
    }
}
