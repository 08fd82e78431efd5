//! Directions whose bytes go through toxics.

use tokio::time::Instant;

use super::*;
use crate::fault::Direction;

const MS: Duration = Duration::from_millis(1);

/// Copied, framed, and framed with a handler that sees calls.
fn ways() -> [(Protocol, Mix); 3] {
    [(Protocol::Tcp, Mix::default()), (Protocol::Redis, Mix::default()), (Protocol::Redis, obey())]
}

#[tokio::test(start_paused = true)]
async fn bytes_are_late_by_the_latency_of_their_direction() {
    for (direction, latency) in [(Direction::ToBackend, 100), (Direction::ToClient, 250)] {
        for (protocol, mix) in ways() {
            for capacity in CAPACITIES {
                let late = format!("{}:latency(latency={latency}ms)", crate::toxic::stream(direction));
                let world = Options::new(protocol, capacity).connect_through(&[&late], &mix);
                let (a, begun) = (get("a"), Instant::now());
                let backend = async {
                    read(&world.backend, &a).await;
                    assert_eq!(
                        begun.elapsed(),
                        if direction == Direction::ToBackend { latency * MS } else { Duration::ZERO }
                    );
                    write(&world.backend, "+a\r\n").await;
                };
                tokio::join!(write(&world.client, &a), backend, read(&world.client, "+a\r\n"));
                assert_eq!(begun.elapsed(), latency * MS, "{protocol} {mix} {capacity}");
                assert!(matches!(world.end().await, Outcome::Done));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latency_does_not_throttle_and_an_end_of_file_comes_behind_all_bytes() {
    for (protocol, mix) in [(Protocol::Tcp, Mix::default()), (Protocol::Http, Mix::default())] {
        let late = ["latency(latency=1000ms)"];
        let world = Options::new(protocol, 64 * 1024).connect_through(&late, &mix);
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let reply = "HTTP/1.0 200 OK\r\n\r\n".to_owned() + &"x".repeat(3 << 20);
        let begun = Instant::now();
        let backend = async {
            read(&world.backend, request).await;
            write(&world.backend, &reply).await;
            assert_eq!(begun.elapsed(), Duration::ZERO, "all of it is on its way at once");
            world.backend.end();
        };
        let client = async {
            write(&world.client, request).await;
            assert!(rest(&world.client).await == reply);
            assert_eq!(begun.elapsed(), 1000 * MS);
        };
        tokio::join!(backend, client);
        world.client.end();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Done), "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_direction_holds_no_more_than_it_may() {
    for protocol in [Protocol::Tcp, Protocol::Http] {
        let stalled = ["bandwidth(rate=0)"];
        let options = Options { shape_buffer: 256 * 1024, ..Options::new(protocol, 1024) };
        let world = options.connect_through(&stalled, &Mix::default());
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        tokio::join!(write(&world.client, request), read(&world.backend, request));
        write(&world.backend, "HTTP/1.0 200 OK\r\n\r\n").await;
        let mut sent = 0;
        while timeout(1000 * MS, write(&world.backend, &"x".repeat(1024))).await.is_ok() {
            sent += 1024;
        }
        // Beside what is held, a read and the pipe have some. Small reads weigh more than their bytes.
        assert!((200 * 1024..=300 * 1024).contains(&sent), "{protocol}: {sent}");
        let held = world.proxy.shaped.load(std::sync::atomic::Ordering::Relaxed);
        assert!((256 * 1024..=260 * 1024).contains(&held), "{protocol}: {held}");
        world.client.reset();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::ClientReset(_)));
        assert_eq!(world.proxy.shaped.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_passed_at_the_rate_of_their_direction() {
    for (rate, bytes) in [(1_000_u32, 5_000), (100_000, 300_000), (100_000_000, 50_000_000)] {
        let slow = [&*format!("bandwidth(rate={rate}B/s)")];
        let world = Options::new(Protocol::Tcp, 64 * 1024).connect_through(&slow, &Mix::default());
        let (reply, begun) = ("x".repeat(bytes), Instant::now());
        tokio::join!(write(&world.backend, &reply), read(&world.client, &reply));
        let expected = Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap()) / f64::from(rate));
        let took = begun.elapsed();
        assert!(took >= expected && took <= expected.mul_f64(1.02), "{rate} bytes/s: {took:?}, not {expected:?}");
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn every_other_fault_acts_in_every_way() {
    for (protocol, mix) in ways() {
        let reply = "$10\r\n0123456789\r\n";
        // In pieces, 10 ms apart.
        let sliced = ["slicer(average_size=4, delay=10ms)"];
        let world = Options::new(protocol, 64).connect_through(&sliced, &mix);
        let begun = Instant::now();
        world.exchange(&get("a"), &[(&get("a"), reply)], reply).await;
        assert!(begun.elapsed() >= 30 * MS, "{protocol} {mix}: {:?}", begun.elapsed());
        assert!(matches!(world.end().await, Outcome::Done));

        // One bit of each byte.
        let corrupt = ["corrupt(rate=1)"];
        let world = Options::new(protocol, 64).connect_through(&corrupt, &mix);
        world.ask(&get("a"), reply).await;
        let mut got = vec![0; reply.len()];
        (&world.client).read_exact(&mut got).await.unwrap();
        assert!(got.iter().zip(reply.bytes()).all(|(got, sent)| (got ^ sent).is_power_of_two()), "{protocol} {mix}");
        assert!(matches!(world.end().await, Outcome::Done));

        // Nothing after seven bytes.
        let world = Options::new(protocol, 64).connect_through(&["limit_data(bytes=7)"], &mix);
        world.ask(&get("a"), reply).await;
        read(&world.client, &reply[..7]).await;
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));

        // Nothing at all.
        let begun = Instant::now();
        for (toxic, closes) in [("timeout(timeout=2s)", true), ("reset_peer(timeout=2s)", false)] {
            let world = Options::new(protocol, 64).connect_through(&[toxic], &mix);
            world.ask(&get("a"), reply).await;
            let outcome = world.pumps.await.unwrap();
            assert!(
                matches!(outcome, Outcome::Close if closes) || matches!(outcome, Outcome::Reset if !closes),
                "{toxic}"
            );
        }
        assert_eq!(begun.elapsed(), 4000 * MS);

        // A late end.
        let world = Options::new(protocol, 64).connect_through(&["slow_close(delay=3s)"], &mix);
        let begun = Instant::now();
        world.exchange(&get("a"), &[(&get("a"), reply)], reply).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        world.backend.end();
        rest(&world.client).await;
        assert_eq!(begun.elapsed(), 3000 * MS, "{protocol} {mix}");
        assert!(matches!(world.end().await, Outcome::Done));

        // Each segment is lost, and comes a second later.
        let lossy = ["upstream:loss(rate=1, rto=1s)"];
        let world = Options::new(protocol, 64).connect_through(&lossy, &mix);
        let begun = Instant::now();
        world.exchange(&get("a"), &[(&get("a"), reply)], reply).await;
        assert_eq!(begun.elapsed(), 1000 * MS, "{protocol} {mix}");
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_go_on_while_a_handler_has_a_call_in_hand() {
    let late = ["both:latency(latency=100ms)"];
    for capacity in CAPACITIES {
        let world = Options::new(Protocol::Redis, capacity).connect_through(&late, &obey());
        let [a, sleep] = ["a", "sleep"].map(get);
        let begun = Instant::now();
        let client = async {
            write(&world.client, &[&*a, &sleep].concat()).await;
            read(&world.client, "+a\r\n").await;
            assert_eq!(begun.elapsed(), 200 * MS, "the call that sleeps does not hold back the one before");
            read(&world.client, "+s\r\n").await;
            assert_eq!(begun.elapsed(), 3200 * MS);
        };
        let exchanges = [(&*a, "+a\r\n"), (&*sleep, "+s\r\n")];
        tokio::join!(client, world.backend(&exchanges));
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_our_own_go_the_same_way() {
    for capacity in CAPACITIES {
        let late = ["latency(latency=100ms)"];
        let world = Options::new(Protocol::Redis, capacity).connect_through(&late, &obey());
        let begun = Instant::now();
        world.exchange(&get("answer"), &[], "+ours\r\n").await;
        assert_eq!(begun.elapsed(), 100 * MS);
        // What comes before a close is not lost.
        world.exchange(&[get("a"), get("close")].concat(), &[(&get("a"), "+a\r\n")], "+a\r\n").await;
        assert_eq!(begun.elapsed(), 200 * MS);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close));
    }
}

#[tokio::test(start_paused = true)]
async fn opaque_connections_go_the_same_way() {
    let late = ["latency(latency=100ms)"];
    let world = Options::new(Protocol::Redis, 7).connect_through(&late, &Mix::default());
    let begun = Instant::now();
    world.exchange("nonsense\0\r\n", &[("nonsense\0\r\n", "what?")], "what?").await;
    assert_eq!(begun.elapsed(), 100 * MS);
    world.exchange("more", &[("more", "of it")], "of it").await;
    assert_eq!(begun.elapsed(), 200 * MS);
    assert!(matches!(world.end().await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn a_new_plan_leaves_what_is_on_its_way_alone() {
    let late = ["latency(latency=100ms)"];
    let world = Options::new(Protocol::Tcp, 64).connect_through(&late, &Mix::default());
    let begun = Instant::now();
    world.ask("a", "first").await;
    world.proxy.plan.replace(|_| Plan::new(&obey(), |_| Arc::default()));
    tokio::join!(world.ask("b", "second"), read(&world.client, "firstsecond"));
    assert_eq!(begun.elapsed(), 100 * MS);
    assert!(matches!(world.end().await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_go_on_what_is_on_its_way() {
    for (protocol, mix) in ways() {
        for toxic in ["latency(latency=1h)", "bandwidth(rate=0)"] {
            let world = Options::new(protocol, 64).connect_through(&[toxic], &mix);
            world.ask(&get("a"), "+a\r\n").await;
            let begun = Instant::now();
            world.shutdown.begin();
            world.proxy.toxics.release();
            read(&world.client, "+a\r\n").await;
            assert_eq!(begun.elapsed(), Duration::ZERO, "{toxic}");
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Stopped), "{protocol} {mix}");
        }
        // What has lost bytes cannot go on.
        let world = Options::new(protocol, 64).connect_through(&["timeout(timeout=0)"], &mix);
        world.ask(&get("a"), "+a\r\n").await;
        tokio::task::yield_now().await;
        world.shutdown.begin();
        world.proxy.toxics.release();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Close), "{protocol} {mix}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_what_came_before_the_backends_reset() {
    for (protocol, mix) in ways() {
        let world = Options::new(protocol, 64).connect_through(&["latency(latency=3s)"], &mix);
        let (request, begun) = (get("a"), Instant::now());
        world.ask(&request, "+a\r\n").await;
        timeout(1000 * MS, rest(&world.client)).await.unwrap_err();
        world.backend.reset();
        read(&world.client, "+a\r\n").await;
        assert_eq!(begun.elapsed(), 3000 * MS, "{protocol} {mix}");
        assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendReset(_)), "{protocol} {mix}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_the_connection_at_a_reply_waits_for_those_before() {
    for (key, close) in [("abort", true), ("break", false)] {
        let world = Options::new(Protocol::Redis, 64).connect_through(&["latency(latency=3s)"], &obey());
        let [a, last] = ["a", key].map(get);
        let (pipeline, exchanges) = ([&*a, &*last].concat(), [(&*a, "+a\r\n"), (&*last, "+gone\r\n")]);
        world.exchange(&pipeline, &exchanges, "+a\r\n").await;
        let outcome = world.pumps.await.unwrap();
        assert!(matches!(outcome, Outcome::Close if close) || matches!(outcome, Outcome::Reset if !close), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_client_calls_again_while_a_reply_is_on_its_way() {
    for mix in [Mix::default(), obey()] {
        let options = Options { keep_alive: true, ..Options::new(Protocol::Redis, 64) };
        let world = options.connect_through(&["latency(latency=3s)"], &mix);
        let begun = Instant::now();
        world.ask(&get("a"), "+a\r\n").await;
        world.backend.end();
        timeout(1000 * MS, rest(&world.client)).await.unwrap_err();
        // It is for the next backend.
        write(&world.client, &get("b")).await;
        read(&world.client, "+a\r\n").await;
        assert_eq!(begun.elapsed(), 3000 * MS);
        assert!(matches!(world.pumps.await.unwrap(), Outcome::BackendLeft), "{mix}");
        assert_eq!(rest(&world.backend).await, "", "{mix}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_client_that_has_left_is_dropped() {
    for (protocol, mix) in ways() {
        for toxic in ["latency(latency=1h)", "bandwidth(rate=0)", "slow_close(delay=1h)", "reset_peer(timeout=1h)"] {
            let world = Options::new(protocol, 64).connect_through(&[toxic], &mix);
            let World { client, backend, pumps, .. } = world;
            let asked = get("a");
            tokio::join!(write(&client, &asked), read(&backend, &asked));
            // It has sent its last byte, and waits.
            client.end();
            assert_eq!(rest(&backend).await, "", "{toxic}");
            write(&backend, "+a\r\n").await;
            backend.end();
            let mut pumps = pumps;
            timeout(1000 * MS, &mut pumps).await.unwrap_err();
            let begun = Instant::now();
            drop(client);
            assert!(matches!(pumps.await.unwrap(), Outcome::ClientLeft), "{toxic} {protocol} {mix}");
            assert_eq!(begun.elapsed(), Duration::ZERO, "{toxic}");
        }
        // What it has sent still arrives.
        let world = Options::new(protocol, 64).connect_through(&["upstream:latency(latency=3s)"], &mix);
        let (asked, begun) = (get("a"), Instant::now());
        write(&world.client, &asked).await;
        drop(world.client);
        read(&world.backend, &asked).await;
        assert_eq!(begun.elapsed(), 3000 * MS, "{protocol} {mix}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_noticed_whatever_became_of_the_backend() {
    for (protocol, mix) in ways() {
        for keep_alive in [false, true] {
            let options = Options { keep_alive, ..Options::new(protocol, 64) };
            // It has reset, and the client has noticed nothing yet.
            let world = options.connect_through(&["bandwidth(rate=0)"], &mix);
            world.ask(&get("a"), "+a\r\n").await;
            timeout(1000 * MS, rest(&world.client)).await.unwrap_err();
            world.backend.reset();
            write(&world.client, &get("b")).await;
            timeout(1000 * MS, rest(&world.client)).await.unwrap_err();
            drop(world.client);
            let left = timeout(1000 * MS, world.pumps).await.expect("it is stuck").unwrap();
            assert!(!matches!(left, Outcome::Done), "{left:?}");
            // It has closed, or closes between two calls.
            let world = options.connect_through(&["bandwidth(rate=0)"], &mix);
            world.ask(&get("a"), "+a\r\n").await;
            world.backend.end();
            timeout(1000 * MS, rest(&world.client)).await.unwrap_err();
            drop(world.client);
            timeout(1000 * MS, world.pumps).await.expect("it is stuck").unwrap();
        }
    }
}
