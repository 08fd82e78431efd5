//! Redis with redis-cli and redis-benchmark.

use std::net::SocketAddr;
use std::process::Command;

use super::redis::info;
use super::tool::{Running, output, output_of, program};
use super::world::servers::redis;
use super::world::{Program, eventually, noise};

/// Commands whose output is always the same.
pub(super) const SCRIPT: &str = "\
FLUSHALL
PING
SET text one
GET text
GET nothing
RPUSH list 1 2 3
LRANGE list 0 -1
HSET hash field value
HGETALL hash
ZADD scores 2.5 two
ZRANGE scores 0 -1 WITHSCORES
WRONG
MULTI
INCR number
HGETALL hash
WRONG
EXEC
MULTI
INCR number
HGETALL hash
EXEC
BLPOP list 0
EVAL \"return {1, {'two', redis.call('get', KEYS[1])}, false}\" 1 text
EVAL \"return redis.error_reply('MINE it is')\" 0
SCRIPT LOAD \"return 1\"
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
CLIENT TRACKING ON
GET text
CLIENT TRACKING OFF
XADD stream 1-1 field value
XRANGE stream - +
";

/// Requests for each test of redis-benchmark: a multiple of every pipeline length below, so that no pipeline is cut
/// short.
const REQUESTS: u64 = 1920;

/// A redis-cli command for `address`. Options and command are split at blanks.
fn redis_cli(address: SocketAddr, arguments: &str) -> Command {
    let mut command = program("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]).args(arguments.split_ascii_whitespace());
    command
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_prints_the_same() {
    let redis = redis("");
    for arguments in ["--no-raw", "--no-raw -3", "--csv -3"] {
        let print = |address| output_of(&redis_cli(address, arguments), SCRIPT.into());
        let direct = String::from_utf8(print(redis.address())).unwrap();
        for protocol in ["redis", "tcp"] {
            let vaurien = Program::start_at(&redis.address().to_string(), &format!("--protocol {protocol}"));
            assert_eq!(String::from_utf8(print(vaurien.address())).unwrap(), direct);
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_stores_and_reads_a_big_value() {
    let redis = redis("");
    let value = noise(1, 32 << 20);
    for protocol in ["redis", "tcp"] {
        let vaurien = Program::start_at(&redis.address().to_string(), &format!("--protocol {protocol}"));
        assert_eq!(output_of(&redis_cli(vaurien.address(), "-x SET value"), value.clone()), b"OK\n");
        let read = output_of(&redis_cli(vaurien.address(), "GET value"), Vec::new());
        assert!(read.strip_suffix(b"\n") == Some(&value));
        let counts = vaurien.stop();
        assert_eq!((counts.calls("dummy"), counts.of("opaque")), (2, 0));
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_receives_published_messages() {
    let redis = redis("");
    for version in ["", "-3"] {
        let hear = |address: SocketAddr| {
            let mut listener = Running::start(&mut redis_cli(address, &format!("{version} SUBSCRIBE news")));
            let mut lines = listener.lines_until("1");
            assert_eq!(output(&redis_cli(address, "PUBLISH news hello")), "1\n");
            lines.extend(listener.lines_until("hello"));
            lines
        };
        let vaurien = Program::start_at(&redis.address().to_string(), "--protocol redis");
        assert_eq!(hear(vaurien.address()), hear(redis.address()));
        // In RESP3 messages are pushes; in RESP2 they cannot be told from replies.
        assert_eq!(vaurien.stop().of("opaque"), u64::from(version.is_empty()));
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_monitors() {
    let redis = redis("");
    for version in ["", "-3"] {
        let vaurien = Program::start_at(&redis.address().to_string(), "--protocol redis");
        let mut monitor = Running::start(&mut redis_cli(vaurien.address(), &format!("{version} MONITOR")));
        assert_eq!(monitor.lines_until("OK"), ["OK"]);
        output(&redis_cli(vaurien.address(), "SET seen yes"));
        assert_eq!(monitor.lines_until(r#""SET" "seen" "yes""#).len(), 1);
        drop(monitor);
        assert_eq!(vaurien.stop().of("opaque"), 1);
    }
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_waits_until_it_is_woken() {
    let redis = redis("");
    let vaurien = Program::start_at(&redis.address().to_string(), "--protocol redis");
    let mut blocked = Running::start(&mut redis_cli(vaurien.address(), "BLPOP queue 0"));
    eventually("redis-cli is blocked", || info(&redis, "blocked_clients") == 1);
    assert_eq!(output(&redis_cli(vaurien.address(), "RPUSH queue job")), "1\n");
    assert_eq!(blocked.lines_until("job"), ["queue", "job"]);
    let counts = vaurien.stop();
    assert_eq!((counts.calls("dummy"), counts.of("opaque")), (2, 0));
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_benchmark_runs_all_of_its_tests() {
    let redis = redis("");
    for (protocol, pipeline) in [("redis", 1), ("redis", 64), ("tcp", 1), ("tcp", 64)] {
        let vaurien = Program::start_at(&redis.address().to_string(), &format!("--protocol {protocol}"));
        let before = info(&redis, "total_commands_processed");
        let mut benchmark = program("redis-benchmark");
        benchmark.args(["-h", "127.0.0.1", "-p", &vaurien.address().port().to_string(), "-c", "50", "--csv"]);
        benchmark.args(["-n", &REQUESTS.to_string(), "-P", &pipeline.to_string()]);
        let printed = output(&benchmark);
        let rates = printed.lines().filter(|line| line.starts_with('"') && !line.contains("\"rps\"")).count() as u64;
        assert!(rates >= 18 && !printed.to_lowercase().contains("err"), "{printed}");
        // INFO takes two commands, which are counted themselves.
        let commands = info(&redis, "total_commands_processed") - before - 2;
        assert!(commands >= rates * REQUESTS, "{commands}");
        let counts = vaurien.stop();
        assert_eq!(counts.of("opaque"), 0);
        let calls = counts.calls("dummy");
        if protocol == "redis" {
            assert_eq!(calls, commands, "-P {pipeline}");
        } else {
            assert!(calls >= rates * REQUESTS / pipeline && calls <= commands, "{calls} turns of {commands} commands");
        }
    }
}
