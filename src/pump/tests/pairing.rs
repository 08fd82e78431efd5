//! Where replies can no longer be assigned to calls, and what comes too late for it.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";

/// All that comes until the end, or until nothing more comes.
async fn everything(mut from: &MemoryStream) -> (String, bool) {
    let (mut all, mut piece) = (String::new(), vec![0; 4096]);
    let ended = loop {
        match timeout(Duration::from_secs(60), from.read(&mut piece)).await {
            Err(_) => break false,
            Ok(Ok(0)) => break true,
            Ok(got) => all += str::from_utf8(&piece[..got.unwrap()]).unwrap(),
        }
    };
    (all, ended)
}

fn calls(world: &World) -> u64 {
    world.proxy.plan.load().handlers().map(|handler| handler.counters.calls.get()).sum()
}

/// Answers `mn` and `get answer`, closes behind the answer to `get last`.
#[derive(Clone)]
struct Answers;

impl Handler for Answers {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(match (call.command(), call.key()) {
            (b"mn", _) | (_, b"answer") => Verdict::Answer(Answer::new("ours\r\n")),
            (_, b"last") => Verdict::Answer(Answer::new("ours\r\n").then_close()),
            _ => Verdict::Pass,
        })
    }
}

/// What belongs to no call for certain does not pass where an answer of our own, or the reply to our no-op, might be taken for
/// another's: the client's connection is closed.
#[tokio::test(start_paused = true)]
async fn a_connection_closes_where_no_place_for_an_answer_is_known() {
    let quiet = "ms a 1 q ME\r\na\r\nms b 1 ME\r\nb\r\nmg c v q\r\n";
    for (protocol, requests, passed, reply, replies) in [
        (Protocol::Memcache, &*format!("{quiet}mn\r\n"), &*format!("{quiet}mn\r\n"), "NS\r\nNS\r\nMN\r\n", "NS\r\n"),
        (Protocol::Memcache, "get a\r\nget answer\r\n", "get a\r\n", "VALUE a 0 1", ""),
        (Protocol::Redis, "get a\r\nget answer\r\n", "get a\r\n", "nonsense\r\n", ""),
        (Protocol::Redis, "get a\r\nget last\r\n", "get a\r\n", "nonsense\r\n", ""),
    ] {
        let world = Options::new(protocol, 4096).connect(&Mix::of("answers", Answers));
        write(&world.client, requests).await;
        read(&world.backend, passed).await;
        write(&world.backend, reply).await;
        assert_eq!(everything(&world.client).await, (replies.to_owned(), true), "{requests}");
        assert_eq!(world.proxy.counters.opaque.get(), 1);
    }
}

/// No handler has a part in it: quiet calls fill the queue, and the reply to our no-op is behind one that may be two calls'.
#[tokio::test(start_paused = true)]
async fn the_reply_to_our_no_op_never_passes() {
    let world = Options::new(Protocol::Memcache, 1 << 20).connect(&Mix::default());
    let missed: String =
        (0..9000).flat_map(|at| ["mg key".to_owned(), at.to_string(), " v k q\r\n".to_owned()]).collect();
    let backend = async {
        let mut got = String::new();
        let mut piece = vec![0; 65536];
        while !got.contains("\r\nmn\r\n") {
            let len = (&world.backend).read(&mut piece).await.unwrap();
            got += str::from_utf8(&piece[..len]).unwrap();
        }
        write(&world.backend, "NS\r\nNS\r\nMN\r\n").await;
    };
    let requests = format!("ms a 1 q ME\r\na\r\nms b 1 ME\r\nb\r\n{missed}");
    let ((), (), (replies, _)) = tokio::join!(write(&world.client, &requests), backend, everything(&world.client));
    assert_eq!(replies, "NS\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_end_of_a_push() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let begin = ">2\r\n$1\r\na\r\n$9\r\nabc";
        tokio::join!(write(&world.backend, begin), read(&world.client, begin));
        write(&world.client, &get("answer")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::join!(write(&world.backend, "defghi\r\n"), read(&world.client, "defghi\r\n+ours\r\n"));
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

/// The client's pipe is nearly full, and the reply before the close comes together with more.
#[tokio::test(start_paused = true)]
async fn a_close_does_not_overtake_the_replies_before_it() {
    let mix = Mix::default().with(50.0, "half", Obey).unwrap();
    let drawn: Vec<_> = mix.drawn(1, "default", 1).take(40).map(str::to_owned).collect();
    // Call `plain` is the dummy's, and the next one the handler's.
    let plain = (2..40).find(|number| drawn[number - 1] == "dummy" && drawn[*number] == "half").unwrap();
    let world = Options::new(Protocol::Redis, 64).connect(&mix);
    for _ in 1..plain - 1 {
        world.exchange(&get("a"), &[(&get("a"), "+a\r\n")], "+a\r\n").await;
    }
    let long = format!("+{}\r\n", "a".repeat(50));
    let (a, b, both) = (get("a"), get("b"), [get("b"), get("close")].concat());
    tokio::join!(write(&world.client, &a), read(&world.backend, &a));
    write(&world.backend, &long).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::join!(write(&world.client, &both), read(&world.backend, &b));
    let next = format!("+{}\r\n", "b".repeat(28));
    write(&world.backend, &format!("{next}>1\r\n+push\r\n")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (replies, ended) = everything(&world.client).await;
    assert!(replies.starts_with(&[long, next].concat()) && ended, "{replies}");
}

#[tokio::test(start_paused = true)]
async fn a_half_close_behind_a_refused_upgrade_loses_no_reply() {
    for mix in [Mix::default(), obey()] {
        let world = Options::new(Protocol::Http, 64).connect(&mix);
        let sent = format!("{UPGRADE}GET /next HTTP/1.1\r\n\r\n");
        tokio::join!(write(&world.client, &sent), read(&world.backend, &sent));
        world.client.end();
        assert_eq!(rest(&world.backend).await, "");
        let replies = OK.repeat(2);
        let backend = async {
            write(&world.backend, &replies).await;
            world.backend.end();
        };
        let ((), got) = tokio::join!(backend, everything(&world.client));
        assert_eq!(got, (replies, true), "{mix}");
        let whole = mix.to_string() == "dummy";
        assert_eq!((calls(&world), world.proxy.counters.opaque.get()), if whole { (2, 0) } else { (1, 1) }, "{mix}");
    }
}

/// The call has passed before it is known to be one: its handler cannot have it, which must not go unnoticed.
#[tokio::test(start_paused = true)]
async fn a_handled_call_behind_a_refused_upgrade_turns_opaque() {
    let world = Options::new(Protocol::Http, 4096).connect(&obey());
    let sent = format!("{UPGRADE}GET close HTTP/1.1\r\n\r\n");
    tokio::join!(write(&world.client, &sent), read(&world.backend, &sent));
    let replies = OK.repeat(2);
    tokio::join!(write(&world.backend, &replies), read(&world.client, &replies));
    assert_eq!((calls(&world), world.proxy.counters.opaque.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_protocol_header_may_come_slowly() {
    let header = "PROXY TCP4 10.1.2.3 10.1.2.4 40000 6379\r\n";
    for (protocol, request, reply) in
        [(Protocol::Redis, get("a"), "+a\r\n"), (Protocol::Memcache, "get a\r\n".to_owned(), "END\r\n")]
    {
        for (mix, cut) in [3, 6, 20, 40].into_iter().flat_map(|cut| [(Mix::default(), cut), (obey(), cut)]) {
            let world = Options::new(protocol, 4096).connect(&mix);
            for piece in [&header[..cut], &header[cut..]] {
                write(&world.client, piece).await;
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            write(&world.client, &request).await;
            read(&world.backend, &format!("{header}{request}")).await;
            tokio::join!(write(&world.backend, reply), read(&world.client, reply));
            // Three bytes may begin a command.
            let counted = (calls(&world), world.proxy.counters.opaque.get());
            assert!(counted == (1, 0) || cut == 3, "{protocol} {mix} {cut}: {counted:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_a_quiet_call_pass_at_once_in_an_opaque_connection() {
    let world = Options::new(Protocol::Memcache, 4096).connect(&Mix::default());
    let sent = "mg a v q\r\n^opaque";
    tokio::join!(write(&world.client, sent), read(&world.backend, sent));
    let begun = tokio::time::Instant::now();
    tokio::join!(write(&world.backend, "abc"), read(&world.client, "abc"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_opaque_connection_in_the_middle_of_a_call_is_idle_at_shutdown() {
    let world = Options::new(Protocol::Http, 64).connect(&Mix::default());
    let post = "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhi";
    tokio::join!(write(&world.client, post), read(&world.backend, post));
    tokio::join!(write(&world.backend, "SSH-2.0\r\n"), read(&world.client, "SSH-2.0\r\n"));
    tokio::join!(write(&world.client, "12345678and more"), read(&world.backend, "12345678and more"));
    world.shutdown.begin();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped));
}

/// The connection turns opaque while a handler has the call in hand.
#[tokio::test(start_paused = true)]
async fn what_a_handler_decides_too_late_still_passes_or_closes() {
    for (key, millis) in [("sleep", 3000), ("close", 0), ("reset", 0)] {
        let late = Mix::of("late", Late);
        let world = Options::new(Protocol::Redis, 4096).connect(&late);
        write(&world.client, &[get("a"), get(key)].concat()).await;
        read(&world.backend, &get("a")).await;
        tokio::join!(write(&world.backend, "nonsense\r\n"), read(&world.client, "nonsense\r\n"));
        if key == "sleep" {
            read(&world.backend, &get(key)).await;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            world.shutdown.begin();
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped));
        } else {
            let outcome = timeout(Duration::from_secs(60), world.pumps).await.expect("it stays open").unwrap();
            assert_eq!(matches!(outcome, Outcome::Reset), key == "reset", "{outcome:?}");
            assert_eq!(matches!(outcome, Outcome::Close), key == "close", "{outcome:?}");
        }
    }
}

/// As [`Obey`], three seconds later.
#[derive(Clone)]
struct Late;

impl Handler for Late {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if call.key() != b"a" {
            call.sleep(Duration::from_secs(3)).await?;
        }
        Ok(match call.key() {
            b"close" => Verdict::Close,
            b"reset" => Verdict::Reset,
            _ => Verdict::Pass,
        })
    }
}
