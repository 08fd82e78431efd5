//! memcached with text, meta and binary commands.

use std::io::{Error, ErrorKind, Read};
use std::time::{Duration, Instant};

use super::world::client::Ending;
use super::world::program::Counts;
use super::world::servers::memcached;
use super::world::{Client, Program};

/// Text commands with their data blocks, whose replies are always the same.
const TEXT: &[&str] = &[
    "flush_all\r\n",
    "version\r\n",
    "set a 5 0 3\r\nabc\r\n",
    "get a\r\n",
    "get missing\r\n",
    "add a 0 0 1\r\nx\r\n",
    "add b 1 0 2\r\n\r\n\r\n",
    "get a missing b\r\n",
    "gets a b\r\n",
    "get b b b b b b b b b b b b b b b b b b b b b b b b b b b b b b\r\n",
    "replace c 0 0 1\r\nx\r\n",
    "replace a 0 0 5\r\nEND\r\n\r\n",
    "append a 0 0 7\r\nVALUE a\r\n",
    "prepend a 0 0 0\r\n\r\n",
    "get a\r\n",
    "cas a 0 0 1 1\r\nx\r\n",
    "cas missing 0 0 1 1\r\nx\r\n",
    "set n 0 0 2\r\n41\r\n",
    "incr n 1\r\n",
    "decr n 100\r\n",
    "incr missing 1\r\n",
    "incr a 1\r\n",
    "touch a 0\r\n",
    "touch missing 0\r\n",
    "gat 0 a\r\n",
    "gats 0 a missing b\r\n",
    "gat 0 missing\r\n",
    "delete b\r\n",
    "delete b\r\n",
    "set q 0 0 3 noreply\r\nabc\r\n",
    "add q 0 0 3 noreply\r\nxxx\r\n",
    "replace q 0 0 1 noreply\r\n1\r\n",
    "append q 0 0 1 noreply\r\n2\r\n",
    "prepend q 0 0 1 noreply\r\n3\r\n",
    "incr q 1 noreply\r\n",
    "decr q 2 noreply\r\n",
    "cas q 0 0 1 1 noreply\r\nx\r\n",
    "touch q 0 noreply\r\n",
    "get q\r\n",
    "delete q noreply\r\n",
    "verbosity 0 noreply\r\n",
    "get q\r\n",
    "get\r\n",
    "bogus\r\n",
    "get key-that-is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-\
     is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-is-too-long-key-that-is-too-long\r\n",
    "stats reset\r\n",
    "verbosity 0\r\n",
    "cache_memlimit 64\r\n",
    "flush_all 0 noreply\r\n",
    "get a\n",
];

/// Meta commands whose replies are always the same. Quiet ones have an opaque or return the key, so that replies can be
/// paired.
const META: &[&str] = &[
    "flush_all\r\n",
    "mn\r\n",
    "ms a 3 T0 F7\r\nabc\r\n",
    "ms b 2 c k Oset\r\n\r\n\r\n",
    "mg a\r\n",
    "mg a v\r\n",
    "mg a s v f t k c Oopaque\r\n",
    "mg missing v\r\n",
    "mg a v q k O1\r\n",
    "mg missing v q k O2\r\n",
    "mg missing q O3\r\n",
    "mg YQ== b k v\r\n",
    "mg vivified N0 v\r\n",
    "ms a 1 q O4\r\nx\r\n",
    "ms a 1 MA q O5\r\nx\r\n",
    "ms a 1 ME k q O6\r\nx\r\n",
    "ms a 1 C999999 q O7\r\nx\r\n",
    "ma n N0 J40 v\r\n",
    "ma n D2 v c\r\n",
    "ma n q O8\r\n",
    "ma missing q O9\r\n",
    "ma missing\r\n",
    "md a q O10\r\n",
    "md a q O11\r\n",
    "md a\r\n",
    "md b I T30\r\n",
    "mg b s v\r\n",
    "me missing\r\n",
    "mn\r\n",
];

/// May turn the connection opaque: quiet commands without opaque or key, and malformed commands.
const ODD: &[&str] = &[
    "mg missing v q\r\nmg missing v q\r\nmg a v\r\n",
    "md missing q\r\nmd missing q\r\nmd missing\r\n",
    "ms a S2 c\r\n\r\n\r\n",
    "set a 0 0 3\r\nabcdef\r\nget a\r\n",
    "set a 0 0 -1\r\nget a\r\n",
    "set a 0 0 x\r\nget a\r\n",
    "ms a 2\r\nabcd\r\nmn\r\n",
    "ms a x\r\nmn\r\n",
    "mg\r\n",
    "\r\n\r\nget a\r\n",
];

/// The end of each script, whose reply is unique.
const LAST: [&str; 2] = ["set last 0 0 4\r\nlast\r\n", "get last\r\n"];
const LAST_REPLY: &str = "VALUE last 0 4\r\nlast\r\nEND\r\n";

/// A request of the binary protocol.
fn packet(opcode: u8, extras: &[u8], key: &str, value: &str) -> Vec<u8> {
    let body = u32::try_from(extras.len() + key.len() + value.len()).unwrap();
    let mut packet =
        vec![0x80, opcode, 0, u8::try_from(key.len()).unwrap(), u8::try_from(extras.len()).unwrap(), 0, 0, 0];
    packet.extend(body.to_be_bytes());
    packet.extend([0; 12]);
    [packet.as_slice(), extras, key.as_bytes(), value.as_bytes()].concat()
}

/// Binary requests whose replies are always the same, each with its own opaque; the last is a no-op.
fn binary() -> Vec<Vec<u8>> {
    let flags = [0, 0, 0, 7, 0, 0, 0, 0];
    let number = [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 0];
    let mut all = vec![packet(0x08, &[], "", ""), packet(0x0b, &[], "", "")];
    // SET, ADD, REPLACE and their quiet forms, for a key that exists and for one that does not.
    for opcode in [0x01, 0x02, 0x03, 0x11, 0x12, 0x13] {
        all.push(packet(opcode, &flags, "a", "\r\nEND\r\n"));
        all.push(packet(opcode, &flags, &format!("new-{opcode}"), ""));
    }
    // APPEND, PREPEND, GET, GETK, and the quiet forms.
    for key in ["a", "missing"] {
        all.extend([0x0e, 0x0f, 0x19, 0x1a].map(|opcode| packet(opcode, &[], key, "more")));
        all.extend([0x00, 0x0c, 0x09, 0x0d].map(|opcode| packet(opcode, &[], key, "")));
        // TOUCH, GAT, GATQ, GATK, GATKQ.
        all.extend([0x1c, 0x1d, 0x1e, 0x23, 0x24].map(|opcode| packet(opcode, &[0; 4], key, "")));
    }
    // INCREMENT, DECREMENT and the quiet forms.
    all.extend([0x05, 0x06, 0x15, 0x16].map(|opcode| packet(opcode, &number, "n", "")));
    // DELETE and its quiet form, for a key that exists and for one that does not any more.
    all.extend([0x04, 0x14, 0x04, 0x14].map(|opcode| packet(opcode, &[], "a", "")));
    // An unknown opcode, FLUSHQ, "stats reset".
    all.extend([packet(0x77, &[], "", ""), packet(0x18, &[], "", ""), packet(0x10, &[], "reset", "")]);
    all.push(packet(0x0a, &[], "", ""));
    all.iter_mut().zip(1_u32..).for_each(|(packet, number)| packet[12..16].copy_from_slice(&number.to_be_bytes()));
    all
}

/// Compares the replies up to `end` of two servers with the same history, one of them behind the proxy: with one write,
/// and byte by byte.
#[track_caller]
fn assert_same(script: &[u8], end: &[u8], check: impl Fn(&str, &Counts)) {
    let (direct, behind) = (memcached(""), memcached(""));
    for options in ["--protocol memcache", "--protocol memcache --buffer 1", "--protocol memcache --buffer 7", ""] {
        let vaurien = Program::start_at(&behind.address().to_string(), options);
        for len in [script.len(), 1] {
            let answer = |mut client: Client| {
                script.chunks(len).for_each(|bytes| _ = client.send(bytes));
                client.read_until(end)
            };
            let (ours, expected) = (answer(vaurien.connect()), answer(direct.connect()));
            assert!(ours == expected, "{options}: {}\nis not\n{}", ours.escape_ascii(), expected.escape_ascii());
        }
        check(options, &vaurien.stop());
    }
}

/// The same, and checks that each of `requests` is one call.
#[track_caller]
fn assert_calls(requests: &[Vec<u8>], end: &[u8]) {
    assert_same(&requests.concat(), end, |options, counts| {
        assert_eq!(counts.of("opaque"), 0, "{options}");
        if options.contains("memcache") {
            assert_eq!(counts.calls("dummy"), 2 * requests.len() as u64, "{options}");
        }
    });
}

fn text(commands: &[&str]) -> Vec<Vec<u8>> {
    commands.iter().chain(&LAST).map(|command| command.as_bytes().to_vec()).collect()
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn every_text_command_is_answered_as_without_the_proxy_and_is_one_call() {
    assert_calls(&text(TEXT), LAST_REPLY.as_bytes());
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn every_meta_command_is_answered_as_without_the_proxy_and_is_one_call() {
    assert_calls(&text(META), LAST_REPLY.as_bytes());
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn every_binary_command_is_answered_as_without_the_proxy_and_is_one_call() {
    let requests = binary();
    let end = [&requests.last().unwrap()[12..16], &[0; 8]].concat();
    assert_calls(&requests, &end);
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn opaque_connections_are_answered_as_without_the_proxy() {
    for odd in ODD {
        assert_same([odd, LAST[0], LAST[1]].concat().as_bytes(), LAST_REPLY.as_bytes(), |_, _| ());
    }
}

/// How many quiet calls a client sends in one go: several times what the proxy keeps open.
const MANY: u32 = 20_000;

/// Pipelines of quiet calls that end in a no-op, and what memcached says to them. A key in a thousand is there.
fn quiet() -> Vec<(Vec<u8>, Vec<u8>)> {
    let numbered = |mut packet: Vec<u8>, number: u32| {
        packet[12..16].copy_from_slice(&number.to_be_bytes());
        packet
    };
    let is_hit = |number: u32| number % 1000 == 999;
    let key = |number| format!("{}{number}", if is_hit(number) { "hit" } else { "key" });
    let all =
        |request: &dyn Fn(u32) -> Vec<u8>, end: &[u8]| [(0..MANY).flat_map(request).collect(), end.to_vec()].concat();
    let hits = |reply: &dyn Fn(u32) -> Vec<u8>, end: &[u8]| -> Vec<u8> {
        [(0..MANY).filter(|number| is_hit(*number)).flat_map(reply).collect(), end.to_vec()].concat()
    };
    let flags = [0; 8];
    let noop = numbered(packet(0x0a, &[], "", ""), 7);
    let answered = |opcode, number: u32, extras: &[u8], value: &str| {
        let mut packet = numbered(packet(opcode, extras, "", value), number);
        packet[0] = 0x81;
        packet
    };
    vec![
        (all(&|n| format!("mg missing{n} v k q\r\n").into(), b"mn\r\n"), b"MN\r\n".to_vec()),
        (all(&|n| format!("ms stored{n} 1 q O{n}\r\nx\r\n").into(), b"mn\r\n"), b"MN\r\n".to_vec()),
        (
            all(&|n| format!("mg {} v k q\r\n", key(n)).into(), b"mn\r\n"),
            hits(&|n| format!("VA 1 khit{n}\r\nx\r\n").into(), b"MN\r\n"),
        ),
        (all(&|n| numbered(packet(0x09, &[], &format!("missing{n}"), ""), n), &noop), answered(0x0a, 7, &[], "")),
        (all(&|n| numbered(packet(0x11, &flags, &format!("stored{n}"), "x"), n), &noop), answered(0x0a, 7, &[], "")),
    ]
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn any_number_of_quiet_calls_may_stay_unanswered() {
    let memcached = memcached("");
    for number in (999..MANY).step_by(1000) {
        memcached.connect().send(format!("set hit{number} 0 0 1\r\nx\r\n")).expect("STORED\r\n");
    }
    for (handler, names) in [("dummy", &["dummy"][..]), ("delay", &["delay"]), ("20:delay", &["delay", "dummy"])] {
        let options = format!("--handler-delay-before false --handler-delay-sleep 0 --handler {handler}");
        let vaurien = Program::start_at(&memcached.address().to_string(), &format!("--protocol memcache {options}"));
        for (requests, replies) in quiet() {
            let mut client = vaurien.connect();
            let (got, _) = client.send_while_reading(&requests);
            assert!(got == replies, "{handler}: {}", got.escape_ascii());
        }
        let counts = vaurien.stop();
        assert_eq!(counts.of("opaque"), 0, "{handler}");
        let calls: u64 = names.iter().map(|name| counts.calls(name)).sum();
        assert_eq!(calls, quiet().len() as u64 * u64::from(MANY + 1), "{handler}");
    }
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn faults_behind_an_unanswered_quiet_call_take_place_at_once() {
    let memcached = memcached("");
    let binary = [packet(0x09, &[], "nokey", ""), packet(0x0a, &[], "", "")].concat();
    for requests in [b"mg nokey v q\r\nmn\r\n".to_vec(), binary] {
        for handler in ["50:error", "50:blackout"] {
            let options = format!("--protocol memcache --seed 7 --handler {handler}");
            let vaurien = Program::start_at(&memcached.address().to_string(), &options);
            let mut open = Vec::new();
            for half_closes in [true, false] {
                let mut clients: Vec<_> = (0..20).map(|_| vaurien.connect()).collect();
                for client in &mut clients {
                    client.try_send(&requests);
                    if half_closes {
                        client.try_half_close();
                    }
                }
                // Junk, the no-op's reply or the end: something comes, and fails the test where it does not.
                let ends = clients.iter_mut().filter(|client| {
                    let read = client.stream().read(&mut [0]);
                    let late = |error: &Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    assert!(!read.as_ref().is_err_and(late), "{handler}: nothing comes");
                    !matches!(read, Ok(1..))
                });
                assert_eq!(ends.count() > 0, handler == "50:blackout", "{handler}");
                open.append(&mut clients);
            }
            let begun = Instant::now();
            vaurien.stop();
            assert!(begun.elapsed() < Duration::from_secs(3), "{handler}: {:?}", begun.elapsed());
        }
    }
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn many_keys_are_one_call() {
    let memcached = memcached("");
    memcached.connect().send("set key9999 0 0 1\r\nx\r\n").expect("STORED\r\n");
    let vaurien = Program::start_at(&memcached.address().to_string(), "--protocol memcache");
    let mut client = vaurien.connect();
    for command in ["get", "gets"] {
        let keys: String = (0..10_000).flat_map(|number| [" key".to_owned(), number.to_string()]).collect();
        let request = format!("{command}{keys}\r\n");
        let direct = memcached.connect().send(&request).read_until("END\r\n");
        client.send(&request).expect(direct);
    }
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("opaque")), (2, 0));
}

/// The names in the lines of a `stats` reply, whose values change.
fn names(stats: &[u8]) -> Vec<String> {
    let stats = String::from_utf8(stats.to_vec()).unwrap();
    stats.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn stats_are_one_reply() {
    let memcached = memcached("");
    memcached.connect().send("set a 0 0 1\r\nx\r\n").expect("STORED\r\n");
    let vaurien = Program::start_at(&memcached.address().to_string(), "--protocol memcache");
    let mut client = vaurien.connect();
    let kinds = ["", " settings", " items", " slabs", " sizes", " cachedump 1 10"];
    for kind in kinds {
        let request = format!("stats{kind}\r\n");
        let ours = client.send(&request).read_until("END\r\n");
        assert_eq!(names(&ours), names(&memcached.connect().send(&request).read_until("END\r\n")), "{kind}");
    }
    // The binary reply: a packet for each line, and an empty one at the end.
    let binary = [packet(0x10, &[], "", ""), packet(0x0b, &[], "", "")].concat();
    let stats = vaurien.connect().send(binary).read_until([0x81, 0x0b]);
    assert!(stats.escape_ascii().to_string().contains("curr_connections"), "{}", stats.escape_ascii());
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("opaque")), (kinds.len() as u64 + 2, 0));
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn a_watcher_sees_what_others_do() {
    let memcached = memcached("");
    let vaurien = Program::start_at(&memcached.address().to_string(), "--protocol memcache");
    let (mut watcher, mut other) = (vaurien.connect(), vaurien.connect());
    watcher.send("watch fetchers\r\n").expect("OK\r\n");
    other.send("get key\r\n").expect("END\r\n");
    let line = String::from_utf8(watcher.read_until("\n")).unwrap();
    assert!(line.contains("type=item_get key=key status=not_found"), "{line}");
    assert_eq!(vaurien.stop().of("opaque"), 1);
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn a_client_that_quits_is_closed() {
    let memcached = memcached("");
    let vaurien = Program::start_at(&memcached.address().to_string(), "--protocol memcache");
    let set = "set a 0 0 1\r\nx\r\n";
    let (bytes, ending) = vaurien.connect().send(format!("{set}get a\r\nquit\r\n")).read_to_end();
    assert_eq!((bytes.as_slice(), ending), (&b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"[..], Ending::Closed));
    let (bytes, ending) = vaurien.connect().send(packet(0x07, &[], "", "")).read_to_end();
    assert_eq!((&bytes[..2], bytes.len(), ending), (&[0x81, 0x07][..], 24, Ending::Closed));
    assert_eq!(vaurien.stop().of("opaque"), 0);
}
