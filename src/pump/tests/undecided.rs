//! Bytes behind a request of which the reply decides whether they are requests.

use super::*;

#[tokio::test(start_paused = true)]
async fn bytes_behind_an_upgrade_request_do_not_wait_for_the_reply() {
    let upgrade = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let connect = "CONNECT a:1 HTTP/1.1\r\n\r\n";
    let next = "GET /next HTTP/1.1\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (mix, capacity) in CAPACITIES.into_iter().flat_map(|capacity| [(obey(), capacity), (Mix::default(), capacity)])
    {
        let calls = |world: &World| world.proxy.plan.load().handlers().next().unwrap().counters.calls.get();
        for (request, agreed) in
            [(upgrade, "HTTP/1.1 101 Switching Protocols\r\n\r\n"), (connect, "HTTP/1.1 200 OK\r\n\r\n")]
        {
            let world = Options::new(Protocol::Http, capacity).connect(&mix);
            let sent = format!("{request}\0\x01raw");
            tokio::join!(write(&world.client, &sent), read(&world.backend, &sent));
            world.client.end();
            assert_eq!(rest(&world.backend).await, "", "the end passes as well");
            let replied = format!("{agreed}raw");
            tokio::join!(write(&world.backend, &replied), read(&world.client, &replied));
            world.backend.end();
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));

            // The backend stays with HTTP, so the bytes were a request.
            let world = Options::new(Protocol::Http, capacity).connect(&mix);
            let sent = format!("{request}{next}");
            tokio::join!(write(&world.client, &sent), read(&world.backend, &sent));
            let refused = ok.replace("200", "404");
            world.exchange("", &[("", &refused), ("", ok)], &[&refused, ok].concat()).await;
            // It had passed before a handler could see it.
            let (counted, opaque) = if mix.to_string() == "dummy" { (2, 0) } else { (1, 1) };
            assert_eq!((calls(&world), world.proxy.counters.opaque.get()), (counted, opaque), "{mix} {capacity}");
            world.exchange(next, &[(next, ok)], ok).await;
            assert_eq!((calls(&world), world.proxy.counters.opaque.get()), (3 - 2 * opaque, opaque));
            assert!(matches!(world.end().await, Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_send_while_a_reply_lasts_until_the_connection_closes() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    for (mix, capacity) in CAPACITIES.into_iter().flat_map(|capacity| [(obey(), capacity), (Mix::default(), capacity)])
    {
        for more in ["GET / HTTP/1.1\r\n\r\n", "GET", "\0raw"] {
            let world = Options::new(Protocol::Http, capacity).connect(&mix);
            let endless = "HTTP/1.1 200 OK\r\n\r\nattached";
            world.exchange(post, &[(post, endless)], endless).await;
            tokio::join!(write(&world.client, more), read(&world.backend, more));
            world.client.end();
            assert_eq!(rest(&world.backend).await, "", "the end passes as well");
            tokio::join!(write(&world.backend, "bye"), read(&world.client, "bye"));
            world.backend.end();
            assert_eq!(world.proxy.plan.load().handlers().next().unwrap().counters.calls.get(), 1, "{more:?}");
            assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
        }
    }
}
