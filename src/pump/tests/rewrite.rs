//! Requests whose host is replaced.

use proptest::sample::select;

use super::*;

/// An HTTP connection whose backend is called `backend:8080`.
fn options(capacity: usize) -> Options {
    Options { host: Some("backend:8080"), ..Options::new(Protocol::Http, capacity) }
}

/// Does what the path of a call says, and sees the client's host in it.
struct Act;

impl Handler for Act {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let head = str::from_utf8(call.head()).unwrap();
        assert!(head.contains("client") && !head.contains("backend"), "{head}");
        match call.key() {
            b"/sleep" => call.sleep(Duration::from_secs(3)).await?,
            b"/answer" => return Ok(Verdict::Answer(Answer::new(OURS))),
            _ => {}
        }
        Ok(Verdict::Pass)
    }

    async fn after(&self, call: &mut Call<'_>) -> Result<Verdict> {
        assert!(!call.head().windows(7).any(|bytes| bytes == b"backend"));
        Ok(if call.key() == b"/replace" { Verdict::Answer(Answer::new(OURS)) } else { Verdict::Pass })
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OURS: &str = "HTTP/1.1 503 Ours\r\nContent-Length: 0\r\n\r\n";

/// A request, and what the backend gets of it.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: client\r\n\r\n";
const AT_BACKEND: &str = "GET /next HTTP/1.1\r\nHost: backend:8080\r\n\r\n";

/// The request as the backend gets it: there is no other `client` in it than its host.
fn for_backend(request: &str) -> String {
    request.replace("client", "backend:8080")
}

fn mixes() -> [Mix; 2] {
    [Mix::default(), Mix::of("act", Act)]
}

/// What a client sends for one call, perhaps behind a blank line.
fn request() -> impl Strategy<Value = String> {
    let path = select(vec!["/", "/a?b=http://c/", "/sleep", "/answer", "/replace"]);
    let head = select(vec![
        "GET PATH HTTP/1.1\r\nHost: client\r\n",
        "\r\nGET PATH HTTP/1.1\nX: y\nhOST:client\t\n",
        "GET http://clientPATH HTTP/1.1\r\nHost: client\r\n",
        "GET PATH HTTP/1.0\r\nHost: client\r\nConnection: keep-alive\r\n",
    ]);
    let body = prop_oneof![
        Just("\r\n".to_owned()),
        "[a-d: \r\n]{0,99}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        "[a-d: \r\n]{1,99}".prop_map(|body| format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x};a\r\n{body}\r\n0\r\nHost: t\r\n\r\n",
            body.len()
        )),
    ];
    (head, path, body).prop_map(|(head, path, body)| {
        // A body in chunks needs HTTP/1.1.
        let version = if body.starts_with("Transfer") { "HTTP/1.1" } else { "HTTP/1.0" };
        head.replace("PATH", path).replace("HTTP/1.0", version) + &body
    })
}

/// A connection on which a client sends all of these at once.
async fn pipeline(requests: &[String], mix: &Mix, capacity: usize, through: &[&str]) {
    let acts = mix.to_string() != "dummy";
    let world = options(capacity).connect_through(through, mix);
    let calls = requests.iter().map(|request| match acts {
        // The blank line before it belongs to no call.
        true if request.contains("/answer") => (request[..request.find('G').unwrap()].to_owned(), "", OURS),
        true if request.contains("/replace") => (for_backend(request), OK, OURS),
        _ => (for_backend(request), OK, OK),
    });
    let calls: Vec<(String, &str, &str)> = calls.collect();
    let exchanges: Vec<(&str, &str)> = calls.iter().map(|(passed, reply, _)| (&**passed, *reply)).collect();
    let replies: String = calls.iter().map(|(.., reply)| *reply).collect();
    world.exchange(&requests.concat(), &exchanges, &replies).await;
    assert_eq!(world.proxy.plan.load().handlers().next().unwrap().counters.calls.get(), requests.len() as u64);
    assert_eq!(world.proxy.counters.opaque.get(), 0);
    assert!(matches!(world.end().await, Outcome::Done));
}

const THROUGH: [&[&str]; 3] =
    [&[], &["upstream:slicer(average_size=5, size_variation=2)"], &["both:latency(latency=1s)"]];

proptest! {
    /// Whatever the pipeline and however it is cut, the backend gets the requests in order, each with its host and otherwise as
    /// it was sent.
    #[test]
    fn any_pipeline_reaches_the_backend_under_its_name(
        requests in prop::collection::vec(request(), 1..20),
        capacity in 1_usize..400,
        through in select(&THROUGH[..]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        for mix in mixes() {
            // The clock runs dry when nothing moves any more.
            let all = async { timeout(Duration::from_secs(3600), pipeline(&requests, &mix, capacity, through)).await };
            runtime.block_on(all).expect("it is stuck");
        }
    }
}

/// Both mixes with pipes of each size.
fn cases() -> impl Iterator<Item = (Mix, usize)> {
    mixes().into_iter().flat_map(|mix| CAPACITIES.map(|capacity| (mix.clone(), capacity)))
}

#[tokio::test(start_paused = true)]
async fn a_head_is_held_until_it_is_complete() {
    for (mix, capacity) in cases() {
        let (start, more) = NEXT.split_at(30);
        let world = options(capacity).connect(&mix);
        for _ in 0..2 {
            let begun = tokio::time::Instant::now();
            let drip = async {
                write(&world.client, start).await;
                tokio::time::sleep(Duration::from_secs(4)).await;
                write(&world.client, more).await;
            };
            let exchange = [(AT_BACKEND, OK)];
            tokio::join!(drip, world.backend(&exchange), read(&world.client, OK));
            assert_eq!(begun.elapsed().as_secs(), 4);
        }
        assert_eq!(world.proxy.counters.opaque.get(), 0);
        // It does not end in time.
        let begun = tokio::time::Instant::now();
        tokio::join!(write(&world.client, start), read(&world.backend, start));
        assert_eq!((begun.elapsed().as_secs(), world.proxy.counters.opaque.get()), (5, 1), "{mix}");
        tokio::join!(write(&world.client, more), read(&world.backend, more));
        assert!(matches!(world.end().await, Outcome::Done));

        // The client ends within it.
        let world = options(capacity).connect(&mix);
        let sent = format!("{NEXT}{start}");
        tokio::join!(write(&world.client, &sent), read(&world.backend, AT_BACKEND));
        world.client.end();
        assert_eq!(rest(&world.backend).await, start);
        tokio::join!(write(&world.backend, OK), read(&world.client, OK));
        world.backend.end();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_head_than_may_be_passes_as_it_is() {
    for mix in mixes() {
        let world = Options { max_head: 1024, ..options(64) }.connect(&mix);
        let long = NEXT.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(1024)));
        tokio::join!(write(&world.client, &long), read(&world.backend, &long));
        assert_eq!(world.proxy.counters.opaque.get(), 1);
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_behind_an_upgrade_request_wait_for_the_reply() {
    let upgrade = "GET / HTTP/1.1\r\nHost: client\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    let connect = "CONNECT client:1 HTTP/1.1\r\nHost: client:1\r\n\r\n";
    let upgrade_at_backend = for_backend(upgrade);
    for (mix, capacity) in cases() {
        for (request, passed, agreed) in [
            (upgrade, &*upgrade_at_backend, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            (connect, connect, "HTTP/1.1 200 OK\r\n\r\n"),
        ] {
            // They are no request, whatever they look like.
            let world = options(capacity).connect(&mix);
            let sent = format!("{request}{NEXT}");
            world.exchange(&sent, &[(passed, agreed), (NEXT, "raw")], &format!("{agreed}raw")).await;
            tokio::join!(write(&world.client, NEXT), read(&world.backend, NEXT));
            assert!(matches!(world.end().await, Outcome::Done));

            // The backend stays with HTTP, so they are one.
            let world = options(capacity).connect(&mix);
            let refused = OK.replace("200", "404");
            world.exchange(&sent, &[(passed, &refused), (AT_BACKEND, OK)], &format!("{refused}{OK}")).await;
            assert_eq!(world.proxy.plan.load().handlers().next().unwrap().counters.calls.get(), 2);
            assert_eq!(world.proxy.counters.opaque.get(), 0);
            assert!(matches!(world.end().await, Outcome::Done));
        }
        // A client that has half-closed gets both replies.
        let world = options(capacity).connect(&mix);
        let send = async {
            write(&world.client, &format!("{upgrade}{NEXT}")).await;
            world.client.end();
        };
        let (exchanges, replies) = ([(&*upgrade_at_backend, OK), (AT_BACKEND, OK)], OK.repeat(2));
        tokio::join!(send, world.backend(&exchanges), read(&world.client, &replies));
        assert_eq!(rest(&world.backend).await, "");
        world.backend.end();
        assert!(matches!(world.pumps.await.unwrap(), Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_held_while_the_connection_turns_opaque_still_names_the_backend() {
    for capacity in CAPACITIES {
        let world = options(capacity).connect(&Mix::of("act", Act));
        let held = NEXT.replace("next", "sleep");
        let sent = format!("{NEXT}{held}");
        tokio::join!(write(&world.client, &sent), read(&world.backend, AT_BACKEND));
        // Its handler has the second request by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::join!(write(&world.backend, "nonsense\r\n"), read(&world.client, "nonsense\r\n"));
        assert_eq!(world.proxy.counters.opaque.get(), 1);
        let passed = for_backend(&held) + "more";
        tokio::join!(write(&world.client, "more"), read(&world.backend, &passed));
        assert!(matches!(world.end().await, Outcome::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_of_the_proxy_protocol_stays() {
    let (start, more) = "PROXY TCP4 10.1.2.3 10.1.2.4 40000 80\r\n".split_at(20);
    for (mix, capacity) in cases() {
        for pause in [0, 1] {
            let world = options(capacity).connect(&mix);
            let send = async {
                write(&world.client, start).await;
                tokio::time::sleep(Duration::from_secs(pause)).await;
                write(&world.client, &format!("{more}{NEXT}")).await;
            };
            let passed = format!("{start}{more}{AT_BACKEND}");
            let exchange = [(&*passed, OK)];
            tokio::join!(send, world.backend(&exchange), read(&world.client, OK));
            assert_eq!(world.proxy.counters.opaque.get(), 0);
            assert!(matches!(world.end().await, Outcome::Done));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_spare_once_it_has_the_whole_request() {
    for (mix, capacity) in cases() {
        let whole = NEXT.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nwhole");
        for (sent, is_spare) in [(&*whole, true), (&whole[..whole.len() - 1], false)] {
            let world = Options { reuse_socket: true, ..options(capacity) }.connect(&mix);
            // The reply does not wait for the rest.
            world.exchange(sent, &[(&for_backend(sent), OK)], OK).await;
            drop(world.client);
            assert_eq!(rest(&world.backend).await, "");
            world.backend.end();
            assert_eq!(matches!(world.pumps.await.unwrap(), Outcome::Spare), is_spare, "{mix} {capacity}");
        }
    }
}
