//! The pumps over streams in memory, whose pipes are so small that every read and every write is partial.

mod budget; // what others get of the time
mod heads; // incomplete ones, and the PROXY protocol's
mod pairing; // where it ends, and what comes late
mod quiet; // calls whose reply may be missing
mod reply_faults; // replies that are cut, slow or corrupt
mod rewrite; // requests whose host is replaced
mod rules; // the same choices, whatever the cuts
mod shaped; // directions with faults
mod spare; // backends for the next client
mod stage_speed; // what the write stage costs
mod tls; // both sides within TLS
mod undecided; // bytes of which a reply decides whether they are requests
mod world; // a connection, its client and its backend

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::call::{Answer, Call, Verdict};
use crate::error::Result;
use crate::handler::{Handler, Hang};
use crate::net::memory_stream::MemoryStream;
use crate::plan::Plan;
use crate::plan::mix::Mix;
use crate::protocol::Protocol;
use world::*;

#[tokio::test]
async fn bytes_pass_unaltered_in_every_protocol() {
    let get = get("a");
    let cases: [(Protocol, &str, &str); 4] = [
        (Protocol::Tcp, "anything\0\r\n", "at all"),
        (Protocol::Redis, &get, "$3\r\nabc\r\n"),
        (Protocol::Memcache, "get a\r\n", "VALUE a 0 3\r\nabc\r\nEND\r\n"),
        (
            Protocol::Http,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
    ];
    for (protocol, request, reply) in cases {
        for capacity in CAPACITIES {
            for mix in [Mix::default(), obey()] {
                let world = Options::new(protocol, capacity).connect(&mix);
                for _ in 0..3 {
                    world.exchange(request, &[(request, reply)], reply).await;
                }
                assert!(matches!(world.end().await, Outcome::Done), "{protocol} {mix} {capacity}");
            }
        }
    }
}

#[tokio::test]
async fn answers_keep_their_places_in_a_pipeline() {
    let [a, answer, replace, inject, b] = ["a", "answer", "replace", "inject", "b"].map(get);
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let pipeline = [&*a, &answer, &replace, &answer, &inject, &b].concat();
        let backend = [(&*a, "+a\r\n"), (&*replace, "$4\r\ngone\r\n"), (&*inject, "+hello\r\n"), (&*b, "+b\r\n")];
        world.exchange(&pipeline, &backend, "+a\r\n+ours\r\n+ours\r\n+ours\r\n+hel!lo\r\n+b\r\n").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_its_replies() {
    for mix in [Mix::default(), obey()] {
        for capacity in CAPACITIES {
            let world = Options::new(Protocol::Redis, capacity).connect(&mix);
            let get = get("a");
            tokio::join!(
                async {
                    write(&world.client, &get).await;
                    world.client.end();
                },
                async {
                    read(&world.backend, &get).await;
                    assert_eq!(rest(&world.backend).await, "", "the backend reads the end of file");
                    write(&world.backend, "$4\r\nlate\r\n").await;
                    world.backend.end();
                },
                async { assert_eq!(rest(&world.client).await, "$4\r\nlate\r\n") },
            );
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_close_within_a_request_that_is_answered_does_not_lose_earlier_replies() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let a = get("a");
        let cut_off = "*3\r\n$3\r\nSET\r\n$6\r\nanswer\r\n$5\r\nab";
        tokio::join!(
            async {
                write(&world.client, &[&*a, cut_off].concat()).await;
                world.client.end();
            },
            async {
                read(&world.backend, &a).await;
                // The proxy has read the end of file by then.
                tokio::time::timeout(Duration::from_millis(50), rest(&world.backend)).await.unwrap_err();
                write(&world.backend, "+a\r\n").await;
            },
            async { assert_eq!(rest(&world.client).await, "+a\r\n") },
        );
        drop(world.client);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));
    }
}

#[tokio::test]
async fn a_reset_ends_the_connection_from_either_side() {
    for protocol in Protocol::ALL {
        let world = Options::new(protocol, 1).connect(&Mix::default());
        world.client.reset();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::ClientReset(_)), "{protocol}");
        let world = Options::new(protocol, 1).connect(&Mix::default());
        world.backend.reset();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendReset(_)), "{protocol}");
    }
}

#[tokio::test]
async fn a_closing_handler_waits_for_the_replies_before_its_call() {
    for (key, close) in [("close", true), ("reset", false)] {
        for capacity in CAPACITIES {
            let world = Options::new(Protocol::Redis, capacity).connect(&obey());
            let a = get("a");
            world.exchange(&[&*a, &get(key)].concat(), &[(&a, "+a\r\n")], "+a\r\n").await;
            let outcome = world.pumps.await.unwrap();
            assert!(matches!(outcome, Outcome::Close if close) || matches!(outcome, Outcome::Reset if !close));
            assert_eq!(rest(&world.backend).await, "", "the backend never hears of the call");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_call_delays_the_calls_behind_it_and_no_other() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let [a, sleep, b] = ["a", "sleep", "b"].map(get);
        let begun = tokio::time::Instant::now();
        let client = async {
            read(&world.client, "+a\r\n").await;
            assert_eq!(begun.elapsed(), Duration::ZERO);
            read(&world.client, "+s\r\n+b\r\n").await;
            assert_eq!(begun.elapsed().as_secs(), 3);
        };
        let pipeline = [&*a, &sleep, &b].concat();
        let exchanges = [(&*a, "+a\r\n"), (&*sleep, "+s\r\n"), (&*b, "+b\r\n")];
        tokio::join!(write(&world.client, &pipeline), world.backend(&exchanges), client);
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_is_done_to_it() {
    for mix in [Mix::of("hang", Hang::default()), obey()] {
        let world = Options::new(Protocol::Redis, 7).connect(&mix);
        let hold = get("hold");
        write(&world.client, &hold).await;
        drop(world.client);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::ClientLeft));
    }
}

#[tokio::test]
async fn an_opaque_connection_passes_bytes_and_faults_stop() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect(&obey());
        let (a, answer) = (get("a"), get("answer"));
        world.exchange(&a, &[(&a, "nonsense\r\n")], "nonsense\r\n").await;
        world.exchange(&answer, &[(&answer, "+theirs\r\n")], "+theirs\r\n").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test]
async fn a_new_plan_turns_copying_into_framing_between_two_calls() {
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Tcp, capacity).connect(&Mix::default());
        world.exchange("one", &[("one", "1")], "1").await;
        let ours = Mix::of("ours", OurAnswer);
        world.proxy.plan.replace(|_| Plan::new(&ours, |_| Arc::default()));
        world.exchange("t", &[], "ours").await;
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

/// Answers everything.
struct OurAnswer;

impl Handler for OurAnswer {
    async fn before(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Answer(Answer::new("ours")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_client_outlives_its_backend() {
    let options = Options { keep_alive: true, ..Options::new(Protocol::Redis, 7) };
    let world = options.connect(&obey());
    let a = get("a");
    world.exchange(&a, &[(&a, "+a\r\n")], "+a\r\n").await;
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendLeft));
    // Also where it leaves while a handler holds a request: the request is still to be delivered.
    let world = options.connect(&obey());
    write(&world.client, &get("sleep")).await;
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendLeft));
}

#[tokio::test]
async fn a_backend_is_spare_when_its_client_leaves_between_calls() {
    let options = Options { reuse_socket: true, ..Options::new(Protocol::Redis, 7) };
    let world = options.connect(&Mix::default());
    let a = get("a");
    world.exchange(&a, &[(&a, "+a\r\n")], "+a\r\n").await;
    drop(world.client);
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Spare));
    let world = options.connect(&Mix::default());
    tokio::join!(write(&world.client, &a), read(&world.backend, &a));
    drop(world.client);
    assert_eq!(rest(&world.backend).await, "", "the backend hears that the client is done");
    world.backend.end();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Done), "the reply that is owed is for nobody else");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_finish_within_the_grace_period() {
    for protocol in Protocol::ALL {
        let world = Options::new(protocol, 7).connect(&Mix::default());
        tokio::task::yield_now().await;
        world.shutdown.begin();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{protocol}: nothing is under way");
    }
    let world = Options::new(Protocol::Redis, 7).connect(&Mix::default());
    let a = get("a");
    tokio::join!(write(&world.client, &a), read(&world.backend, &a));
    let begun = tokio::time::Instant::now();
    world.shutdown.begin();
    assert!(matches!(world.pumps.await.unwrap(), Outcome::CutOff), "a reply is owed");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_an_opaque_connection_once_it_is_quiet() {
    for nonsense in ["nonsense\r\n", "+a\r\nnonsense\r\n"] {
        let world = Options::new(Protocol::Redis, 7).connect(&Mix::default());
        let a = get("a");
        world.exchange(&a, &[(&a, nonsense)], nonsense).await;
        let begun = tokio::time::Instant::now();
        world.shutdown.begin();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{nonsense:?}");
        assert_eq!(begun.elapsed().as_secs(), 1, "a pause of that length is the end, as with tcp");
    }
}

/// A request and its reply, each cut within its head.
const CUT: [(Protocol, [&str; 2], [&str; 2]); 5] = [
    (Protocol::Redis, ["*2\r\n$3\r\nGE", "T\r\n$1\r\na\r\n"], ["$", "1\r\nx\r\n"]),
    (Protocol::Redis, ["GET", " a\r\n"], ["*2\r\n+a\r\n:1", "2\r\n"]),
    (Protocol::Memcache, ["get a", " b\r\n"], ["VALUE a", " 0 1\r\nx\r\nEND\r\n"]),
    (Protocol::Memcache, ["bog", "us\r\n"], ["ERR", "OR\r\n"]),
    (Protocol::Http, ["GET / HTTP/1.1\r\nHo", "st: a\r\n\r\n"], ["HTTP/1.1 20", "0 OK\r\nContent-Length: 0\r\n\r\n"]),
];

#[tokio::test(start_paused = true)]
async fn what_is_no_memcache_passes_at_once() {
    for capacity in CAPACITIES {
        for bytes in ["\x16\x03\x01\0\x05hello", "^", "\x08"] {
            let all = async {
                let world = Options::new(Protocol::Memcache, capacity).connect(&obey());
                tokio::join!(write(&world.client, bytes), read(&world.backend, bytes));
                assert!(matches!(world.end().await, Outcome::Done));
                let world = Options::new(Protocol::Memcache, capacity).connect(&obey());
                world.exchange("get a\r\n", &[("get a\r\n", bytes)], bytes).await;
                assert!(matches!(world.end().await, Outcome::Done));
            };
            // The clock runs dry when nothing moves any more.
            tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        }
    }
}

/// A call of a pipeline: what the client sends, what the backend gets and answers, and what the client gets.
type Exchange = (String, Option<String>, String);

fn exchange() -> impl Strategy<Value = Exchange> {
    let reply =
        prop_oneof!["[a-z]{0,9}".prop_map(|text| format!("+{text}\r\n")), "[a-z]{0,99}".prop_map(|text| bulk(&text))];
    let key = prop_oneof![Just("answer"), Just("replace"), Just("a"), Just("sleep")];
    (key, reply).prop_map(|(key, reply)| match key {
        "answer" => (get(key), None, "+ours\r\n".to_owned()),
        "replace" => (get(key), Some(reply), "+ours\r\n".to_owned()),
        _ => (get(key), Some(reply.clone()), reply),
    })
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

proptest! {
    /// Whatever the pipeline and however it is cut, each reply is in its place, and nothing is lost or stuck.
    #[test]
    fn any_pipeline_is_answered_in_order(calls in prop::collection::vec(exchange(), 1..20), capacity in 1_usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = Options::new(Protocol::Redis, capacity).connect(&obey());
            let requests: String = calls.iter().map(|(request, ..)| &**request).collect();
            let replies: String = calls.iter().map(|(.., reply)| &**reply).collect();
            let backend: Vec<_> =
                calls.iter().filter_map(|(request, reply, _)| Some((&**request, reply.as_deref()?))).collect();
            let all = async {
                world.exchange(&requests, &backend, &replies).await;
                assert!(matches!(world.end().await, Outcome::Done));
            };
            // The clock runs dry when nothing moves any more.
            tokio::time::timeout(Duration::from_secs(3600), all).await.expect("it is stuck");
        });
    }
}
