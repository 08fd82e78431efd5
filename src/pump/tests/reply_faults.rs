//! Replies that are cut off, slow or corrupt.

use tokio::time::Instant;

use super::*;
use crate::call::End;
use crate::handler::{Corrupt, Cut, Slow};
use crate::size::{Amount, Rate, Size};

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn rate(bytes: u64) -> Rate {
    Rate::from_bytes(std::num::NonZero::new(bytes).unwrap())
}

/// A mix of one handler for the calls whose key or path is `hit`.
#[derive(Clone)]
struct Hit<H>(H);

impl<H: Handler + Clone> Handler for Hit<H> {
    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let is_hit = call.protocol() == Protocol::Tcp || call.key().ends_with(b"hit");
        if is_hit { self.0.after(call).await } else { Ok(Verdict::Pass) }
    }
}

fn hit(handler: impl Handler + Clone) -> Mix {
    Mix::of("hit", Hit(handler))
}

/// A request that is hit, and its reply.
fn exchanges() -> [(Protocol, String, &'static str); 6] {
    let http = || "GET /hit HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    [
        (Protocol::Tcp, "anything".to_owned(), "0123456789"),
        (Protocol::Redis, get("hit"), "$10\r\n0123456789\r\n"),
        (Protocol::Memcache, "get hit\r\n".to_owned(), "VALUE hit 0 10\r\n0123456789\r\nEND\r\n"),
        (Protocol::Http, http(), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"),
        (Protocol::Http, http(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
        (Protocol::Http, http(), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n0123456789"),
    ]
}

/// How many calls had a fault.
fn faults(world: &World) -> u64 {
    world.proxy.plan.load().handlers().map(|handler| handler.counters.faults.get()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_cut_in_the_middle_of_its_data() {
    for (protocol, request, reply) in exchanges() {
        for capacity in CAPACITIES {
            let middle = reply.find("01234").unwrap() + 5;
            // What comes first has another length where the length is not announced.
            let announced = !reply.contains("event-stream") && protocol != Protocol::Tcp;
            if !announced && capacity < 64 {
                continue;
            }
            for (end, closes) in [(End::Close, true), (End::Reset, false)] {
                let capacity = if announced { capacity } else { 1024 };
                let cut = hit(Cut { after: amount("50%"), how: end });
                let world = Options::new(protocol, capacity).connect(&cut);
                let backend = async {
                    read(&world.backend, &request).await;
                    // The pumps end while it writes.
                    let _ = (&world.backend).write_all(reply.as_bytes()).await;
                };
                tokio::join!(write(&world.client, &request), backend, read(&world.client, &reply[..middle]));
                let outcome = world.pumps.await.unwrap();
                assert!(
                    matches!(outcome, Outcome::Close if closes) || matches!(outcome, Outcome::Reset if !closes),
                    "{protocol} {capacity} {outcome:?}"
                );
                let faults =
                    world.proxy.plan.load().handlers().map(|handler| handler.counters.faults.get()).sum::<u64>();
                assert_eq!(faults, 1, "{protocol} {capacity} {end:?} {reply}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_of_bytes_counts_from_the_reply_with_http_from_its_body() {
    for (protocol, request, reply) in exchanges() {
        let from = if protocol == Protocol::Http { reply.find("01234").unwrap() } else { 0 };
        let world = Options::new(protocol, 1024).connect(&hit(Cut { after: amount("3"), how: End::Close }));
        let backend = async {
            read(&world.backend, &request).await;
            let _ = (&world.backend).write_all(reply.as_bytes()).await;
        };
        tokio::join!(write(&world.client, &request), backend, read(&world.client, &reply[..from + 3]));
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close), "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_no_longer_passes_and_is_no_fault() {
    for (protocol, request, reply) in exchanges() {
        if protocol == Protocol::Tcp {
            continue; // There what comes later is more of the reply.
        }
        let world = Options::new(protocol, 64).connect(&hit(Cut { after: amount("1KB"), how: End::Reset }));
        let backend = async {
            read(&world.backend, &request).await;
            write(&world.backend, reply).await;
            world.backend.end();
        };
        tokio::join!(write(&world.client, &request), backend, read(&world.client, reply));
        assert_eq!(rest(&world.client).await, "");
        assert_eq!(faults(&world), 0, "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn replies_before_a_cut_come_first_and_those_behind_it_not_at_all() {
    let [a, hit_, b] = ["a", "hit", "b"].map(get);
    for capacity in CAPACITIES {
        let world =
            Options::new(Protocol::Redis, capacity).connect(&hit(Cut { after: amount("50%"), how: End::Close }));
        let backend = async {
            read(&world.backend, &[&*a, &hit_, &b].concat()).await;
            let replies = "+a\r\n$4\r\n0123\r\n+b\r\n";
            let _ = (&world.backend).write_all(replies.as_bytes()).await;
        };
        let pipeline = [&*a, &hit_, &b].concat();
        tokio::join!(write(&world.client, &pipeline), backend, read(&world.client, "+a\r\n$4\r\n01"));
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_may_hold_the_client_until_it_leaves_or_the_handler_is_replaced() {
    for leaves in [true, false] {
        for (protocol, request, reply) in exchanges() {
            let cut = hit(Cut { after: amount("50%"), how: End::Hang });
            let world = Options::new(protocol, 1024).connect(&cut);
            let middle = reply.find("01234").unwrap() + 5;
            tokio::join!(world.ask(&request, reply), read(&world.client, &reply[..middle]));
            let silent = timeout(Duration::from_secs(1000), (&world.client).read_u8()).await;
            assert!(silent.is_err(), "{protocol}: {silent:?}");
            assert_eq!(faults(&world), 1, "{protocol}: it is told while the client waits");
            if leaves {
                world.client.reset();
                world.backend.end();
                let outcome = world.pumps.await.unwrap();
                assert!(matches!(outcome, Outcome::ClientLeft | Outcome::ClientReset(_)), "{protocol}: {outcome:?}");
            } else {
                world.proxy.plan.replace(|_| Plan::new(&Mix::default(), |_| Arc::default()));
                world.backend.end();
                let outcome = world.pumps.await.unwrap();
                assert!(matches!(outcome, Outcome::Released), "{protocol}: {outcome:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_in_a_reply_without_end_reads_no_more_of_it() {
    let cut = hit(Cut { after: amount("100"), how: End::Hang });
    let world = Options::new(Protocol::Http, 64).connect(&cut);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    world.ask("GET /hit HTTP/1.1\r\nHost: a\r\n\r\n", head).await;
    let endless = async { while (&world.backend).write_all(&[b'x'; 64]).await.is_ok() {} };
    let client = async {
        read(&world.client, &(head.to_owned() + &"x".repeat(100))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(faults(&world), 1);
        world.client.reset();
    };
    tokio::select! {
        () = endless => {}
        () = client => {}
    }
    let outcome = world.pumps.await.unwrap();
    assert!(matches!(outcome, Outcome::ClientLeft | Outcome::ClientReset(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_the_client_has_not_read_resets_it_when_its_handler_is_replaced() {
    for how in [End::Close, End::Reset, End::Hang] {
        let world = Options::new(Protocol::Redis, 64).connect(&hit(Cut { after: amount("50%"), how }));
        // The first reply leaves little space for the second one.
        world.ask(&get("a"), &("$54\r\n".to_owned() + &"a".repeat(54) + "\r\n")).await;
        world.ask(&get("hit"), &("$50\r\n".to_owned() + &"x".repeat(50) + "\r\n")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.proxy.plan.replace(|_| Plan::new(&Mix::default(), |_| Arc::default()));
        // What follows on the part has been dropped.
        let outcome = timeout(Duration::from_secs(60), world.pumps).await.unwrap().unwrap();
        assert!(matches!(outcome, Outcome::Released), "{how:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_passes_at_its_rate_and_the_next_one_behind_it() {
    for (protocol, request, reply) in exchanges() {
        let first = reply.find("01234").unwrap();
        for capacity in CAPACITIES {
            let slow = hit(Slow { rate: rate(10), first: Size::from_bytes(first as u64) });
            let world = Options::new(protocol, capacity).connect(&slow);
            let begun = Instant::now();
            let backend = async {
                read(&world.backend, &request).await;
                write(&world.backend, reply).await;
            };
            tokio::join!(write(&world.client, &request), backend, read(&world.client, reply));
            let bytes = u32::try_from(reply.len() - first).unwrap();
            let (took, expected) = (begun.elapsed(), Duration::from_millis(100) * bytes);
            assert!(took >= expected && took <= expected.mul_f64(1.02), "{protocol} {capacity}: {took:?} {expected:?}");
            assert_eq!(faults(&world), 1);
            if reply.contains("event-stream") {
                continue;
            }
            // The next call is hit as well.
            let begun = Instant::now();
            world.exchange(&request, &[(&request, reply)], reply).await;
            assert!(begun.elapsed() >= expected, "{protocol} {capacity}");
            assert!(matches!(world.end().await, Outcome::Done), "{protocol} {capacity}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipelined_call_behind_a_slow_one_is_not_slow_itself() {
    let [hit_, b] = ["hit", "b"].map(get);
    for capacity in CAPACITIES {
        let world =
            Options::new(Protocol::Redis, capacity).connect(&hit(Slow { rate: rate(1), first: Size::default() }));
        let begun = Instant::now();
        let client = async {
            read(&world.client, "+hit\r\n").await;
            assert_eq!(begun.elapsed().as_secs(), 6);
            read(&world.client, &("$50\r\n".to_owned() + &"b".repeat(50) + "\r\n")).await;
            assert_eq!(begun.elapsed().as_secs(), 6);
        };
        let value = "$50\r\n".to_owned() + &"b".repeat(50) + "\r\n";
        let exchanges = [(&*hit_, "+hit\r\n"), (&*b, &*value)];
        let pipeline = [&*hit_, &b].concat();
        tokio::join!(write(&world.client, &pipeline), world.backend(&exchanges), client);
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_goes_on_at_once_when_its_handler_is_replaced_or_the_daemon_stops() {
    for stops in [false, true] {
        for (protocol, request, reply) in exchanges() {
            let world = Options::new(protocol, 1024).connect(&hit(Slow { rate: rate(1), first: Size::default() }));
            world.ask(&request, reply).await;
            read(&world.client, &reply[..2]).await;
            let begun = Instant::now();
            if stops {
                world.shutdown.begin();
                world.proxy.plan.release();
            } else {
                world.proxy.plan.replace(|_| Plan::new(&Mix::default(), |_| Arc::default()));
            }
            read(&world.client, &reply[2..]).await;
            assert_eq!(begun.elapsed(), Duration::ZERO, "{protocol}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_bytes_of_the_data_are_corrupt_and_nothing_else() {
    for (protocol, request, reply) in exchanges() {
        for bytes in [1, 4, 100] {
            for capacity in CAPACITIES {
                let capacity =
                    if reply.contains("event-stream") || protocol == Protocol::Tcp { 1024 } else { capacity };
                let world = Options::new(protocol, capacity).connect(&hit(Corrupt { bytes }));
                let get = async {
                    let mut got = vec![0; reply.len()];
                    (&world.client).read_exact(&mut got).await.unwrap();
                    got
                };
                let backend = [(&*request, reply)];
                let (.., got) = tokio::join!(write(&world.client, &request), world.backend(&backend), get);
                let data = reply.find("01234").unwrap();
                let changed: Vec<usize> = (0..got.len()).filter(|at| got[*at] != reply.as_bytes()[*at]).collect();
                assert_eq!(changed.len() as u64, bytes.min(10), "{protocol} {capacity}");
                assert!(changed.iter().all(|at| (data..data + 10).contains(at)), "{protocol}: {changed:?}");
                assert!(changed.iter().all(|at| (got[*at] ^ reply.as_bytes()[*at]).is_power_of_two()));
                assert_eq!(faults(&world), 1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lines_stay_lines_and_what_has_no_data_passes() {
    let world = Options::new(Protocol::Redis, 64).connect(&hit(Corrupt { bytes: 100 }));
    let hit_ = get("hit");
    world.exchange(&hit_, &[(&hit_, ":1234567890\r\n")], ":0325476981\r\n").await;
    assert_eq!(faults(&world), 1);
    world.exchange(&hit_, &[(&hit_, "$-1\r\n")], "$-1\r\n").await;
    assert_eq!(faults(&world), 1);
    assert!(matches!(world.end().await, Outcome::Done));
    let world = Options::new(Protocol::Http, 64).connect(&hit(Corrupt { bytes: 1 }));
    let (head, reply) = ("HEAD /hit HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    world.exchange(head, &[(head, reply)], reply).await;
    assert_eq!(faults(&world), 0);
    assert!(matches!(world.end().await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn with_tcp_what_comes_until_the_next_call_belongs_to_the_reply() {
    let slow = hit(Slow { rate: rate(1), first: Size::default() });
    let world = Options::new(Protocol::Tcp, 1024).connect(&slow);
    let begun = Instant::now();
    world.exchange("a", &[("a", "one")], "one").await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    tokio::join!(write(&world.backend, "two"), read(&world.client, "two"));
    assert_eq!(begun.elapsed().as_secs(), 6);
    // The call does not stay open.
    assert!(matches!(world.end().await, Outcome::Done));
    let cut = hit(Cut { after: amount("5"), how: End::Close });
    let world = Options::new(Protocol::Tcp, 1024).connect(&cut);
    world.exchange("a", &[("a", "one")], "one").await;
    tokio::join!(write(&world.backend, "two"), read(&world.client, "tw"));
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));
}

#[tokio::test(start_paused = true)]
async fn a_large_reply_is_cut_as_well() {
    let value = "x".repeat(600_000);
    let (hit_, reply) = (get("hit"), format!("$600000\r\n{value}\r\n"));
    for end in [End::Close, End::Reset, End::Hang] {
        let world = Options::new(Protocol::Redis, 1 << 20).connect(&hit(Cut { after: amount("50%"), how: end }));
        tokio::join!(world.ask(&hit_, &reply), read(&world.client, &reply[..9 + 300_000]));
        if end == End::Hang {
            world.client.reset();
        }
        let outcome = world.pumps.await.unwrap();
        let is_right = match end {
            End::Close => matches!(outcome, Outcome::Close),
            End::Reset => matches!(outcome, Outcome::Reset),
            End::Hang => matches!(outcome, Outcome::ClientLeft | Outcome::ClientReset(_)),
        };
        assert!(is_right, "{end:?}: {outcome:?}");
        assert_eq!(world.proxy.plan.load().handlers().next().unwrap().counters.faults.get(), 1);
    }
}

/// Slow replies, and answers of our own in place of every second one.
#[derive(Clone)]
struct InTurns;

impl Handler for InTurns {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(if call.number().is_multiple_of(2) { Verdict::Answer(Answer::new("ours")) } else { Verdict::Pass })
    }

    async fn after(&self, _: &mut Call<'_>) -> Result<Verdict> {
        Ok(Verdict::Slow { rate: rate(1), first: Size::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn with_tcp_an_answer_of_our_own_follows_a_slow_reply() {
    let world = Options::new(Protocol::Tcp, 1024).connect(&Mix::of("turns", InTurns));
    for _ in 0..3 {
        world.exchange("a", &[("a", "one")], "one").await;
        world.exchange("b", &[], "ours").await;
    }
    assert!(matches!(world.end().await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn a_released_reply_leaves_the_faults_of_its_direction_alone() {
    let late = ["latency(latency=1s)"];
    let slow = hit(Slow { rate: rate(1), first: Size::default() });
    let world = Options::new(Protocol::Redis, 1024).connect_through(&late, &slow);
    let [hit_, b] = ["hit", "b"].map(get);
    let begun = Instant::now();
    tokio::join!(world.ask(&hit_, "+0123456789\r\n"), read(&world.client, "+"));
    assert_eq!(begun.elapsed().as_secs(), 2);
    world.proxy.plan.replace(|_| Plan::new(&Mix::default(), |_| Arc::default()));
    read(&world.client, "0123456789\r\n").await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    world.exchange(&b, &[(&b, "+b\r\n")], "+b\r\n").await;
    assert_eq!(begun.elapsed().as_secs(), 4);
    assert!(matches!(world.end().await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn what_passes_at_once_is_no_slow_reply() {
    let world = Options::new(Protocol::Redis, 64).connect(&hit(Slow { rate: rate(1), first: Size::from_bytes(6) }));
    let hit_ = get("hit");
    world.exchange(&hit_, &[(&hit_, "+1234567\r\n")], "+1234567\r\n").await;
    assert_eq!(faults(&world), 1);
    world.exchange(&hit_, &[(&hit_, "+ok\r\n")], "+ok\r\n").await;
    assert_eq!(faults(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_a_toxic_cuts_off_is_no_fault_of_its_handler() {
    let cut = hit(Cut { after: amount("1KB"), how: End::Close });
    let mut world = Options::new(Protocol::Redis, 64).connect_through(&["limit_data(bytes=5)"], &cut);
    world.ask(&get("hit"), "$10\r\n0123456789\r\n").await;
    read(&world.client, "$10\r\n").await;
    assert!(matches!((&mut world.pumps).await.unwrap(), Outcome::Close));
    assert_eq!(faults(&world), 0);
}
