//! Heads that never end, to servers that do not wait for the end.

use super::world::Program;
use super::world::client::{Client, Ending};
use super::world::server::Server;
use super::world::servers::{memcached, nginx, redis};

/// What a server says to an incomplete head, and how it ends: the first line, without the rest that changes.
fn refusal(client: &mut Client, head: &str) -> (String, Ending) {
    let (bytes, ending) = client.send(head).read_to_end();
    (String::from_utf8(bytes).unwrap().lines().next().unwrap_or_default().to_owned(), ending)
}

#[test]
#[ignore = "needs memcached, nginx and redis-server; tests/run.sh installs them"]
fn a_server_refuses_an_incomplete_head_as_without_the_proxy() {
    let redis = redis("");
    redis.connect().send("CONFIG SET requirepass secret\r\n").expect("+OK\r\n");
    let cases: [(Server, &str, &[String]); 3] = [
        (memcached(""), "memcache", &["a".repeat(3000)]),
        (
            nginx(),
            "http",
            &[
                format!("GET /{}", "a".repeat(10_000)),
                "get /\r\n".to_owned(),
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n".to_owned(),
            ],
        ),
        (redis, "redis", &["*100\r\n".to_owned()]),
    ];
    for (server, protocol, heads) in cases {
        let backend = server.address().to_string();
        for options in ["", "--handler delay --handler-delay-sleep 0 --head-timeout 200ms"] {
            let vaurien = Program::start_at(&backend, &format!("--protocol {protocol} {options}"));
            for head in heads {
                let direct = refusal(&mut server.connect(), head);
                assert_eq!(refusal(&mut vaurien.connect(), head), direct, "{protocol} {options} {head:.30}");
            }
        }
    }
}
