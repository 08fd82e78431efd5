//! Heads that are not complete, and the header of the PROXY protocol.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_head_that_no_handler_sees_passes_as_it_comes() {
    for (protocol, request, reply) in CUT {
        for capacity in CAPACITIES {
            let world = Options::new(protocol, capacity).connect(&Mix::default());
            for _ in 0..2 {
                for part in request {
                    tokio::join!(write(&world.client, part), read(&world.backend, part));
                }
                for part in reply {
                    tokio::join!(write(&world.backend, part), read(&world.client, part));
                }
            }
            assert_eq!(world.proxy.plan.load().handlers().next().unwrap().counters.calls.get(), 2);
            assert_eq!(world.proxy.counters.opaque.get(), 0, "{request:?}");
            assert!(matches!(world.end().await, Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_a_handler_sees_is_held_for_a_while() {
    for (protocol, request, reply) in CUT {
        for (held_in_reply, capacity) in [(false, 1), (false, 64), (true, 1), (true, 64)] {
            if held_in_reply && protocol == Protocol::Redis {
                continue; // A reply of Redis has begun with its first byte.
            }
            let world = Options::new(protocol, capacity).connect(&obey());
            let (mut from, mut to, mut head) = (&world.client, &world.backend, request[0]);
            if held_in_reply {
                let request = request.concat();
                tokio::join!(write(&world.client, &request), read(&world.backend, &request));
                (from, to, head) = (&world.backend, &world.client, reply[0]);
            }
            let begun = tokio::time::Instant::now();
            // The time is that of the head, however its bytes drip.
            let (first, rest) = head.split_at(1);
            let drip = async {
                write(from, first).await;
                tokio::time::sleep(Duration::from_secs(4)).await;
                write(from, rest).await;
            };
            tokio::join!(drip, read(to, head));
            assert_eq!(begun.elapsed().as_secs(), 5, "{head:?}");
            assert_eq!(world.proxy.counters.opaque.get(), 1);
            for text in ["anything", "at all\r\n"] {
                tokio::join!(write(&world.client, text), read(&world.backend, text));
                tokio::join!(write(&world.backend, text), read(&world.client, text));
            }
            assert!(matches!(world.end().await, Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_in_pieces_is_whole_for_its_handler() {
    for (protocol, request, reply) in CUT {
        let world = Options::new(protocol, 7).connect(&obey());
        for _ in 0..3 {
            let (client, backend) = (
                async {
                    for part in request {
                        write(&world.client, part).await;
                        tokio::time::sleep(Duration::from_secs(4)).await;
                    }
                },
                async {
                    for part in reply {
                        write(&world.backend, part).await;
                        tokio::time::sleep(Duration::from_secs(4)).await;
                    }
                },
            );
            let (request, reply) = (request.concat(), reply.concat());
            tokio::join!(client, read(&world.backend, &request));
            tokio::join!(backend, read(&world.client, &reply));
        }
        assert_eq!(world.proxy.counters.opaque.get(), 0);
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_protocol_header_is_no_call() {
    let v2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c";
    for header in ["PROXY TCP4 10.1.2.3 10.1.2.4 40000 6379\r\n", v2] {
        for (protocol, request, reply) in CUT {
            for (mix, capacity) in
                CAPACITIES.into_iter().flat_map(|capacity| [(obey(), capacity), (Mix::default(), capacity)])
            {
                let world = Options::new(protocol, capacity).connect(&mix);
                let (request, reply) = (request.concat(), reply.concat());
                let first = format!("{header}{request}");
                world.exchange(&first, &[(&first, &reply)], &reply).await;
                world.exchange(&request, &[(&request, &reply)], &reply).await;
                let plan = world.proxy.plan.load_full();
                assert_eq!(plan.handlers().next().unwrap().counters.calls.get(), 2, "{protocol} {mix} {capacity}");
                assert_eq!(world.proxy.counters.opaque.get(), 0);
                assert!(matches!(world.end().await, Outcome::Done));
            }
        }
    }
    // Copied, it has passed when the backend speaks first. What only looks like the beginning of one is a call.
    for (begin, calls) in [("PROXY TCP4 10.1.2.3 10.1.2.4 40000 6379\r\n", 0), (v2, 0), ("PROX", 1), ("\r\n", 1)] {
        for capacity in CAPACITIES {
            let world = Options::new(Protocol::Tcp, capacity).connect(&Mix::default());
            world.exchange(begin, &[(begin, "welcome")], "welcome").await;
            world.exchange("request", &[("request", "reply")], "reply").await;
            let plan = world.proxy.plan.load_full();
            assert_eq!(plan.handlers().next().unwrap().counters.calls.get(), calls + 1, "{begin:?} {capacity}");
            assert!(matches!(world.end().await, Outcome::Done));
        }
    }
    // What only looks like the beginning of one is held for a while.
    for (protocol, bytes) in [(Protocol::Redis, "PRO"), (Protocol::Tcp, "\r\n"), (Protocol::Http, "\r\n")] {
        let world = Options::new(protocol, 7).connect(&obey());
        let begun = tokio::time::Instant::now();
        write(&world.client, bytes).await;
        if protocol == Protocol::Redis {
            world.client.end();
        }
        read(&world.backend, bytes).await;
        assert!(begun.elapsed() <= Duration::from_millis(101), "{protocol}");
        assert_eq!(world.proxy.counters.opaque.get(), 0);
    }
}
