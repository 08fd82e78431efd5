//! Which connections to a backend another client may have.

use super::*;

/// Whether the backend is spare after these exchanges, when their client leaves.
async fn is_spare(protocol: Protocol, mix: &Mix, exchanges: &[(&str, &str)]) -> bool {
    let world = Options { reuse_socket: true, ..Options::new(protocol, 7) }.connect(mix);
    for (request, reply) in exchanges {
        world.exchange(request, &[(request, reply)], reply).await;
    }
    drop(world.client);
    assert_eq!(rest(&world.backend).await, "");
    world.backend.end();
    matches!(world.pumps.await.unwrap(), Outcome::Spare)
}

#[tokio::test(start_paused = true)]
async fn a_redis_connection_that_carries_state_is_not_spare() {
    let ok = |request| (request, "+OK\r\n");
    let cases: [(bool, &[(&str, &str)]); 22] = [
        (true, &[ok("SET a b\r\n"), ("*2\r\n$3\r\nGeT\r\n$1\r\na\r\n", "$-1\r\n")]),
        (true, &[ok("MULTI\r\n"), ("GET a\r\n", "+QUEUED\r\n"), ("EXEC\r\n", "*0\r\n")]),
        (true, &[ok("*1\r\n$5\r\nMULTI\r\n"), ok("*1\r\n$7\r\nDISCARD\r\n")]),
        (true, &[ok("WATCH a\r\n"), ok("unwatch\r\n")]),
        (true, &[ok("WATCH a\r\n"), ok("MULTI\r\n"), ("EXEC\r\n", "*0\r\n")]),
        (false, &[ok("MULTI\r\n")]),
        (false, &[ok("*1\r\n$5\r\nmulti\r\n"), ("GET a\r\n", "+QUEUED\r\n")]),
        (false, &[ok("MULTI\r\n"), ("*2\r\n$4\r\nEXEC\r\n$0\r\n\r\n", "-ERR number\r\n")]),
        (false, &[ok("MULTI\r\n"), ok("SELECT 1\r\n"), ("EXEC\r\n", "*1\r\n+OK\r\n")]),
        (false, &[ok("MULTI\r\n"), ("UNWATCH\r\n", "+QUEUED\r\n")]),
        (false, &[ok("WATCH a\r\n")]),
        (false, &[ok("WATCH a\r\n"), ("EXEC\r\n", "-ERR EXEC without MULTI\r\n")]),
        (false, &[ok("SELECT 1\r\n"), ("PING\r\n", "+PONG\r\n")]),
        (false, &[ok("'select' 1\r\n")]),
        (false, &[ok("AUTH x\r\n")]),
        (false, &[("HELLO 3\r\n", "%0\r\n")]),
        (false, &[("HELLO 3\r\n", "%0\r\n"), ("SUBSCRIBE c\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")]),
        (false, &[ok("CLIENT SETNAME a\r\n")]),
        (false, &[ok("client tracking on\r\n")]),
        (false, &[ok("READONLY\r\n")]),
        (false, &[ok("SCRIPT DEBUG YES\r\n")]),
        (false, &[ok("SOMETHING.NEW\r\n")]),
    ];
    for (spare, exchanges) in cases {
        for mix in [Mix::default(), obey()] {
            assert_eq!(is_spare(Protocol::Redis, &mix, exchanges).await, spare, "{mix} {exchanges:?}");
        }
    }
    // The backend learns of the end of a transaction that is answered by ourselves.
    let world = Options { reuse_socket: true, ..Options::new(Protocol::Redis, 7) }.connect(&Mix::of("ours", OurExec));
    world.exchange("MULTI\r\n", &[ok("MULTI\r\n")], "+OK\r\n").await;
    world.exchange("EXEC\r\n", &[ok("*1\r\n$7\r\nDISCARD\r\n")], "ours").await;
    drop(world.client);
    assert!(matches!(world.pumps.await.unwrap(), Outcome::Spare));
}

/// Answers EXEC.
struct OurExec;

impl Handler for OurExec {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        Ok(if call.command() == b"EXEC" { Verdict::Answer(Answer::new("ours")) } else { Verdict::Pass })
    }
}

/// A binary packet without key and value.
fn header(magic: u8, opcode: u8) -> [u8; 24] {
    let mut header = [0; 24];
    (header[0], header[1]) = (magic, opcode);
    header
}

#[tokio::test(start_paused = true)]
async fn a_memcache_connection_that_carries_state_is_not_spare() {
    let stored = ("set a 0 0 1\r\na\r\n", "STORED\r\n");
    let cases: [(bool, &[(&str, &str)]); 11] = [
        (true, &[("get a\r\n", "END\r\n"), stored]),
        (true, &[("mg a v q\r\nmn\r\n", "MN\r\n")]),
        (true, &[("get a\r\n", "END\r\n"), ("delete a noreply\r\nversion\r\n", "VERSION 1\r\n")]),
        (false, &[("get a\r\n", "END\r\n"), ("mg a v q\r\n", "")]),
        // An error may come in spite of `noreply`.
        (false, &[("get a\r\n", "END\r\n"), ("delete a noreply\r\n", "")]),
        (false, &[("verbosity 1\r\n", "OK\r\n")]),
        (false, &[("something new\r\n", "OK\r\n")]),
        // Where memcached asks for a password, the first `set` is a login.
        (false, &[stored, ("get a\r\n", "END\r\n")]),
        (false, &[("set a 0 0 7\r\nme pass\r\n", "STORED\r\n")]),
        (false, &[("watch fetchers\r\n", "OK\r\n")]),
        (false, &[("shutdown\r\n", "ERROR: shutdown not enabled\r\n")]),
    ];
    for (spare, exchanges) in cases {
        for mix in [Mix::default(), obey()] {
            assert_eq!(is_spare(Protocol::Memcache, &mix, exchanges).await, spare, "{mix} {exchanges:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_binary_memcache_connection_that_carries_state_is_not_spare() {
    // noop, sasl_list_mechs, sasl_auth, sasl_step, hello
    for (opcode, spare) in [(0x0a, true), (0x20, false), (0x21, false), (0x22, false), (0x1f, false)] {
        let world = Options { reuse_socket: true, ..Options::new(Protocol::Memcache, 7) }.connect(&Mix::default());
        let (request, reply) = (header(0x80, opcode), header(0x81, opcode));
        let mut got = ([0; 24], [0; 24]);
        let (mut client, mut backend) = ((&world.client), (&world.backend));
        let _ = tokio::join!(client.write_all(&request), backend.read_exact(&mut got.0));
        let (mut client, mut backend) = ((&world.client), (&world.backend));
        let _ = tokio::join!(backend.write_all(&reply), client.read_exact(&mut got.1));
        assert_eq!(got, (request, reply));
        drop(world.client);
        assert_eq!(rest(&world.backend).await, "");
        world.backend.end();
        assert_eq!(matches!(world.pumps.await.unwrap(), Outcome::Spare), spare, "{opcode:#x}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_connection_that_carries_state_is_not_spare() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for (spare, request, reply) in [
        (true, get(""), OK),
        (true, get("Authorization: Basic YTpi\r\n"), OK),
        (true, get("authorization: bearer t\r\nConnection: keep-alive\r\n"), OK),
        (
            true,
            get("Connection: keep-alive\r\n").replace("1.1", "1.0"),
            &OK.replace("OK\r\n", "OK\r\nConnection: keep-alive\r\n").replace("1.1", "1.0"),
        ),
        (false, get("").replace("1.1", "1.0"), OK),
        (false, get(""), &OK.replace("1.1", "1.0")),
        (false, get("Connection: close\r\n"), OK),
        (false, get(""), &OK.replace("OK\r\n", "OK\r\nConnection: x, Close\r\n")),
        (false, get("Authorization: NTLM TlRM\r\n"), OK),
        (false, get("Authorization: Negotiate YII=\r\n"), "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
        (false, get("Proxy-Authorization: ntlm TlRM\r\n"), OK),
        (false, get("Authorization: Something new\r\n"), OK),
        (false, get("Connection: upgrade\r\nUpgrade: websocket\r\n"), OK),
        (false, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"),
    ] {
        for mix in [Mix::default(), obey()] {
            let exchanges = [(&*request, reply), (&*get(""), OK)];
            let exchanges = if spare { &exchanges[..] } else { &exchanges[..1] };
            assert_eq!(is_spare(Protocol::Http, &mix, exchanges).await, spare, "{mix} {request} {reply}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_byte_of_a_client_reaches_a_backend_that_might_have_been_spare() {
    let get = get("a");
    let cases: [(Protocol, &str, &str); 6] = [
        (Protocol::Tcp, "a", ""),
        (Protocol::Tcp, "a", "b"),
        (Protocol::Redis, &get, ""),
        (Protocol::Memcache, "mg a v q\r\n", ""),
        (Protocol::Memcache, "delete a noreply\r\n", ""),
        (Protocol::Http, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    ];
    for (protocol, request, reply) in cases {
        for mix in [Mix::default(), obey()] {
            let world = Options { reuse_socket: true, ..Options::new(protocol, 7) }.connect(&mix);
            world.exchange(request, &[(request, reply)], reply).await;
            // The clock runs dry where nothing moves any more.
            let ended = tokio::time::timeout(Duration::from_secs(3600), world.end()).await;
            assert!(matches!(ended.expect("it is stuck"), Outcome::Done), "{protocol} {mix} {request}");
        }
    }
}
