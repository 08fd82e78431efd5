//! Calls whose reply may be missing: `memcache` with quiet commands.

use super::*;

/// How many quiet calls a client sends in one go: several times what the queue of open calls takes.
const MANY: usize = 20_000;

/// Does to `mn` and to the binary no-op what it says, and to every other call what the end of its key says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ToNoOps {
    Pass,
    Answer,
    Close,
    Reset,
}

impl Handler for ToNoOps {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        match call.key() {
            key if key.ends_with(b"sleep") => call.sleep(Duration::from_secs(3)).await?,
            key if key.ends_with(b"answer") => return Ok(Verdict::Answer(Answer::new("ours"))),
            key if key.ends_with(b"close") => return Ok(Verdict::Close),
            _ => {}
        }
        Ok(match (self, call.command()) {
            (Self::Answer, b"mn" | b"noop") => Verdict::Answer(Answer::new("ours")),
            (Self::Close, b"mn" | b"noop") => Verdict::Close,
            (Self::Reset, b"mn" | b"noop") => Verdict::Reset,
            _ => Verdict::Pass,
        })
    }
}

/// Every call is passed without being looked at, or handled, or one of the two.
fn mixes() -> [Mix; 3] {
    let half = Mix::default().with(50.0, "half", ToNoOps::Pass).unwrap();
    [Mix::default(), Mix::of("all", ToNoOps::Pass), half]
}

fn packet(magic: u8, opcode: u8, opaque: u32, extras: usize, key: &str, value: &str) -> Vec<u8> {
    let body = u32::try_from(extras + key.len() + value.len()).unwrap();
    let mut packet = vec![magic, opcode, 0, u8::try_from(key.len()).unwrap(), u8::try_from(extras).unwrap(), 0, 0, 0];
    packet.extend(body.to_be_bytes());
    packet.extend(opaque.to_be_bytes());
    packet.extend(vec![0; 8 + extras]);
    [&packet, key.as_bytes(), value.as_bytes()].concat()
}

/// A memcached where keys that begin with `hit` exist, until its client has sent its last byte. It never answers a quiet
/// call that it has nothing to say to.
async fn memcached(stream: &MemoryStream) {
    let (mut from, mut to) = (stream, stream);
    let mut got = Vec::new();
    let mut piece = vec![0; 65536];
    loop {
        let len = from.read(&mut piece).await.unwrap();
        if len == 0 {
            return stream.end();
        }
        got.extend_from_slice(&piece[..len]);
        let mut at = 0;
        let mut replies = Vec::new();
        while let Some(len) =
            if got[0] == 0x80 { answer_packet(&got[at..], &mut replies) } else { answer_line(&got[at..], &mut replies) }
        {
            at += len;
        }
        got.drain(..at);
        to.write_all(&replies).await.unwrap();
    }
}

/// Answers the packet at the start of `bytes`: its length, if it is complete.
fn answer_packet(bytes: &[u8], replies: &mut Vec<u8>) -> Option<usize> {
    let header = bytes.first_chunk::<24>()?;
    let len = 24 + u32::from_be_bytes(*header[8..].first_chunk()?) as usize;
    let packet_of = |opcode| packet(0x81, opcode, u32::from_be_bytes(*header[12..].first_chunk().unwrap()), 0, "", "");
    let key = bytes.get(24 + usize::from(header[4])..len)?;
    match header[1] {
        0x0a => replies.extend(packet_of(0x0a)),
        0x09 if key.starts_with(b"hit") => replies.extend(packet_of(0x09)),
        0x09 | 0x11 => {}
        opcode => panic!("opcode {opcode}"),
    }
    Some(len)
}

fn answer_line(bytes: &[u8], replies: &mut Vec<u8>) -> Option<usize> {
    let len = 1 + bytes.iter().position(|&byte| byte == b'\n')?;
    let line = str::from_utf8(&bytes[..len]).unwrap().trim_end();
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["mn"] => replies.extend(b"MN\r\n"),
        ["mg", key, ..] if key.starts_with("hit") => replies.extend(format!("HD k{key}\r\n").bytes()),
        ["mg", _, .., "q"] => {}
        ["mg", ..] => replies.extend(b"EN\r\n"),
        ["ms", _, size, "q", _] => {
            let len = len + size.parse::<usize>().unwrap() + 2;
            return (bytes.len() >= len).then_some(len);
        }
        _ => panic!("{line}"),
    }
    Some(len)
}

/// The client sends `requests` and gets exactly `replies`, and then the end, whatever is done with the connection.
async fn converse(world: World, requests: &[u8], replies: &[u8]) -> Outcome {
    let mut got = Vec::new();
    let all = async {
        tokio::join!(
            async {
                // It may be closed before it has sent everything.
                let _ = (&world.client).write_all(requests).await;
                world.client.end();
            },
            memcached(&world.backend),
            async { _ = (&world.client).read_to_end(&mut got).await },
        );
    };
    // The clock runs dry when nothing moves any more.
    tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
    assert!(got == replies, "{} is not {}", got.escape_ascii(), replies.escape_ascii());
    world.pumps.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn any_number_of_quiet_calls_may_stay_unanswered() {
    for mix in mixes() {
        let misses: String = (0..MANY).map(|at| format!("mg key{at} v k q\r\n")).chain(["mn\r\n".into()]).collect();
        let stores: String =
            (0..MANY).map(|at| format!("ms key{at} 1 q O{at}\r\nx\r\n")).chain(["mn\r\n".into()]).collect();
        let mut packets = Vec::new();
        for at in 0..u32::try_from(MANY).unwrap() {
            packets.extend(if at % 2 == 0 {
                packet(0x80, 0x09, at, 0, "key", "")
            } else {
                packet(0x80, 0x11, at, 8, "key", "x")
            });
        }
        packets.extend(packet(0x80, 0x0a, 7, 0, "", ""));
        for (requests, replies) in [
            (misses.as_bytes(), &b"MN\r\n"[..]),
            (stores.as_bytes(), b"MN\r\n"),
            (&packets, &packet(0x81, 0x0a, 7, 0, "", "")),
        ] {
            let world = Options::new(Protocol::Memcache, 4096).connect(&mix);
            assert!(matches!(converse(world, requests, replies).await, Outcome::Done), "{mix}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hits_among_quiet_calls_are_paired() {
    for mix in mixes() {
        let calls = (0..MANY).map(|at| match at % 9000 {
            0 => (format!("mg hit{at} k q\r\n"), format!("HD khit{at}\r\n")),
            // A call that certainly has a reply.
            1 if at > 9000 => (format!("mg loud{at} k\r\n"), "EN\r\n".to_owned()),
            _ => (format!("mg key{at} v k q\r\n"), String::new()),
        });
        let (requests, replies): (Vec<_>, Vec<_>) = calls.unzip();
        let world = Options::new(Protocol::Memcache, 4096).connect(&mix);
        let counters = world.proxy.clone();
        // The last quiet calls stay open until the backend closes.
        assert!(
            matches!(converse(world, requests.concat().as_bytes(), replies.concat().as_bytes()).await, Outcome::Done),
            "{mix}"
        );
        assert_eq!(counters.counters.opaque.get(), 0, "{mix}");
    }
}

/// Requests that end in a no-op which a handler keeps from the backend, and what the backend says to them.
fn kept_back() -> [(Vec<u8>, Vec<u8>); 3] {
    let quiet = packet(0x80, 0x09, 1, 0, "key", "");
    [
        (b"mg nokey v q\r\nmn\r\n".to_vec(), vec![]),
        (b"mg hit k q\r\nms b 1 q O2\r\nx\r\nmg nokey v q\r\nmn\r\n".to_vec(), b"HD khit\r\n".to_vec()),
        ([quiet, packet(0x80, 0x0a, 2, 0, "", "")].concat(), vec![]),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_our_own_does_not_wait_for_a_reply_that_never_comes() {
    for (requests, replies) in kept_back() {
        for capacity in CAPACITIES {
            // The client's half-close right behind loses nothing.
            let world = Options::new(Protocol::Memcache, capacity).connect(&Mix::of("answer", ToNoOps::Answer));
            let replies = [&replies, &b"ours"[..]].concat();
            assert!(matches!(converse(world, &requests, &replies).await, Outcome::Done));
        }
        // Nor does it need one.
        let world = Options::new(Protocol::Memcache, 4096).connect(&Mix::of("answer", ToNoOps::Answer));
        let talk = async {
            (&world.client).write_all(&requests).await.unwrap();
            let mut got = vec![0; replies.len() + 4];
            (&world.client).read_exact(&mut got).await.unwrap();
            assert_eq!(got, [&replies, &b"ours"[..]].concat());
        };
        tokio::time::timeout(Duration::from_secs(3600), async {
            tokio::select! { () = talk => {}, () = memcached(&world.backend) => panic!("it is closed") }
        })
        .await
        .expect("it is stuck");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closing_handler_does_not_wait_for_a_reply_that_never_comes() {
    for (requests, replies) in kept_back() {
        for capacity in CAPACITIES {
            for to_no_ops in [ToNoOps::Close, ToNoOps::Reset] {
                let world = Options::new(Protocol::Memcache, capacity).connect(&Mix::of("close", to_no_ops));
                let outcome = converse(world, &requests, &replies).await;
                assert!(matches!(
                    (outcome, to_no_ops),
                    (Outcome::Close, ToNoOps::Close) | (Outcome::Reset, ToNoOps::Reset)
                ));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_closes_leaves_quiet_calls_unanswered() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Memcache, capacity).connect(&Mix::of("answer", ToNoOps::Answer));
        let all = async {
            tokio::join!(
                async {
                    write(&world.client, "mg nokey v q\r\nmn\r\n").await;
                    world.client.end();
                },
                async {
                    assert_eq!(rest(&world.backend).await, "mg nokey v q\r\nmn\r\n", "a no-op of our own");
                    world.backend.end();
                },
                async { assert_eq!(rest(&world.client).await, "ours") },
            );
        };
        tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_reply_that_never_comes() {
    let binary = packet(0x80, 0x09, 1, 0, "key", "");
    for request in [&b"mg nokey v q\r\n"[..], &binary] {
        for mix in mixes() {
            let world = Options::new(Protocol::Memcache, 4096).connect(&mix);
            let stopped = async {
                (&world.client).write_all(request).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                world.shutdown.begin();
                let begun = tokio::time::Instant::now();
                assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{mix}");
                assert!(begun.elapsed() < Duration::from_secs(1), "{mix}: {:?}", begun.elapsed());
                assert_eq!(rest(&world.client).await, "", "{mix}");
            };
            tokio::join!(stopped, memcached(&world.backend));
        }
    }
}

/// A call of a pipeline: what the client sends, and what it gets; `None` for a close.
type Exchange = (String, Option<String>);

fn exchange() -> impl Strategy<Value = Exchange> {
    let command = prop_oneof![
        4 => Just(("mg miss", "k q", "")),
        3 => Just(("mg hit", "k q", "HD ")),
        2 => Just(("ms stored", "1 q k", "")),
        1 => Just(("mg miss", "k", "EN\r\n")),
        1 => Just(("mg hit", "k", "HD ")),
    ];
    let end = prop_oneof![6 => Just("plain"), 3 => Just("answer"), 2 => Just("sleep"), 1 => Just("close")];
    let call = (command, any::<u32>(), end).prop_map(|((command, flags, reply), number, end)| {
        let (name, key) = command.split_once(' ').unwrap();
        let key = format!("{key}{number}{end}");
        let data = if name == "ms" { "x\r\n" } else { "" };
        let reply = if reply == "HD " { format!("HD k{key}\r\n") } else { reply.to_owned() };
        let got = match end {
            "answer" => Some("ours".to_owned()),
            "close" => None,
            _ => Some(reply),
        };
        (format!("{name} {key} {flags}\r\n{data}"), got)
    });
    prop_oneof![6 => call, 1 => Just(("mn\r\n".to_owned(), Some("ours".to_owned())))]
}

proptest! {
    /// Whatever the pipeline and however it is cut, each reply is in its place, and nothing is lost or stuck.
    #[test]
    fn any_quiet_pipeline_is_answered_in_order(
        calls in prop::collection::vec(exchange(), 1..30),
        capacity in 1_usize..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = Options::new(Protocol::Memcache, capacity).connect(&Mix::of("answer", ToNoOps::Answer));
            let requests: String = calls.iter().map(|(request, _)| &**request).collect();
            let replies: String = calls.iter().map_while(|(_, reply)| reply.clone()).collect();
            let closes = calls.iter().any(|(_, reply)| reply.is_none());
            let outcome = converse(world, requests.as_bytes(), replies.as_bytes()).await;
            assert!(matches!((&outcome, closes), (Outcome::Close, true) | (Outcome::Done, false)), "{outcome:?}");
        });
    }
}
