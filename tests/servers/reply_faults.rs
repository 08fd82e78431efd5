//! Replies of real servers that are cut off, slow or corrupt, as their usual clients see them.

use std::fs;
use std::time::{Duration, Instant};

use super::tool::{output, output_of, program};
use super::world::client::Ending;
use super::world::servers::{memcached, nginx, redis};
use super::world::{Program, noise};

/// What curl wrote, and its exit code.
fn curl(vaurien: &Program, path: &str) -> (Vec<u8>, Option<i32>) {
    let mut curl = program("curl");
    curl.args(["--silent", "--max-time", "30"]).arg(format!("http://{}{path}", vaurien.address()));
    let output = curl.output().unwrap();
    (output.stdout, output.status.code())
}

/// The exit codes of curl.
const PARTIAL_FILE: Option<i32> = Some(18);
const RECEIVE_ERROR: Option<i32> = Some(56);

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn a_slow_item_of_memcached_takes_its_time_and_those_behind_it_follow_in_order() {
    let memcached = memcached("");
    let values = [3000, 1, 0, 500].map(|len| noise(len as u64, len));
    let mut direct = memcached.connect();
    for (number, value) in values.iter().enumerate() {
        direct.send(format!("set key{number} 0 0 {}\r\n", value.len())).send(value).send("\r\n").expect("STORED\r\n");
    }
    let pipeline = (0..values.len()).map(|number| format!("get key{number}\r\n")).collect::<Vec<_>>().concat();
    let replies = direct.send(pipeline.clone() + "mn\r\n").read_until("END\r\nMN\r\n");
    let replies = &replies[..replies.len() - "MN\r\n".len()];
    let options = "--protocol memcache --handler-slow-rate 4KB/s --handler";
    // All of them are slow.
    let vaurien = Program::start_at(&memcached.address().to_string(), &format!("{options} slow"));
    let begun = Instant::now();
    vaurien.connect().send(&pipeline).expect(replies);
    assert!(begun.elapsed() >= Duration::from_secs(replies.len() as u64) / 4000, "{:?}", begun.elapsed());
    assert_eq!(vaurien.stop().calls("slow"), 4);
    // Some of them are, among others that wait behind them.
    let vaurien = Program::start_at(&memcached.address().to_string(), &format!("{options} 50:slow --seed 1"));
    let mut clients = [(); 8].map(|()| vaurien.connect());
    for client in &mut clients {
        client.send(&pipeline);
    }
    for client in &mut clients {
        client.expect(replies);
    }
    let counts = vaurien.stop();
    assert!(counts.calls("slow") > 0 && counts.calls("dummy") > 0, "{:#?}", counts.lines);
    assert_eq!(counts.calls("slow") + counts.calls("dummy"), 32);
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn a_binary_item_of_memcached_is_corrupt_in_its_value_alone() {
    let memcached = memcached("");
    let value = noise(1, 1000);
    memcached.connect().send("set key 5 0 1000\r\n").send(&value).send("\r\n").expect("STORED\r\n");
    let get_k = [&[0x80, 0x0c, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3][..], &[0; 12], b"key"].concat();
    let noop = [&[0x80, 0x0a][..], &[0; 22]].concat();
    let direct = memcached.connect().send(&get_k).read(24 + 4 + 3 + 1000);
    let vaurien = Program::start_at(
        &memcached.address().to_string(),
        "--protocol memcache --handler corrupt --handler-corrupt-bytes 7",
    );
    let mut client = vaurien.connect();
    client.send([get_k.repeat(3), noop].concat());
    for _ in 0..3 {
        let got = client.read(direct.len());
        assert_eq!(got[..31], direct[..31]);
        assert_eq!((31..got.len()).filter(|at| got[*at] != direct[*at]).count(), 7);
    }
    client.expect([&[0x81, 0x0a][..], &[0; 22]].concat());
    assert_eq!(vaurien.stop().of("opaque"), 0);
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_waits_for_a_slow_response() {
    let nginx = nginx();
    fs::write(nginx.folder().join("files/page"), noise(1, 3000)).unwrap();
    let options = "--protocol http --handler slow --handler-slow-rate 3KB/s --handler-slow-first 500";
    let vaurien = Program::start_at(&nginx.address().to_string(), options);
    let begun = Instant::now();
    assert!(curl(&vaurien, "/page") == (noise(1, 3000), Some(0)));
    assert!(begun.elapsed() >= Duration::from_millis(833), "{:?}", begun.elapsed());
    assert_eq!(vaurien.stop().calls("slow"), 1);
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_gets_a_part_of_a_cut_response() {
    let nginx = nginx();
    let page = noise(1, 300_000);
    fs::write(nginx.folder().join("files/page"), &page).unwrap();
    for (how, code) in [("close", PARTIAL_FILE), ("reset", RECEIVE_ERROR)] {
        for (after, part) in [("50%", 150_000), ("1KB", 1000), ("0%", 0), ("1MB", page.len())] {
            let options = format!("--protocol http --handler cut --handler-cut-after {after} --handler-cut-how {how}");
            let vaurien = Program::start_at(&nginx.address().to_string(), &options);
            let (got, exit) = curl(&vaurien, "/page");
            // A reset may overtake what its reader has not read yet.
            let is_part = if how == "close" { got.len() == part } else { got.len() <= part };
            assert!(is_part && got == page[..got.len()], "{options}: {}", got.len());
            assert_eq!(exit, if part == page.len() { Some(0) } else { code }, "{options}");
            assert_eq!(vaurien.stop().calls("cut"), 1);
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_does_not_notice_a_corrupt_body() {
    let nginx = nginx();
    let page = noise(1, 300_000);
    fs::write(nginx.folder().join("files/page"), &page).unwrap();
    let run = || {
        let options = "--protocol http --handler corrupt --handler-corrupt-bytes 100 --seed 3";
        let vaurien = Program::start_at(&nginx.address().to_string(), options);
        let (got, exit) = curl(&vaurien, "/page");
        assert_eq!((got.len(), exit), (page.len(), Some(0)));
        assert_eq!((0..page.len()).filter(|at| got[*at] != page[*at]).count(), 100);
        got
    };
    assert!(run() == run());
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn redis_cli_stays_in_step_behind_corrupt_replies() {
    let redis = redis("");
    let cli = |address: std::net::SocketAddr| {
        let mut cli = program("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
        cli
    };
    let value = "a".repeat(2000);
    output(cli(redis.address()).args(["SET", "value", &value]));
    let options = "--protocol redis --handler corrupt --handler-corrupt-bytes 3";
    let vaurien = Program::start_at(&redis.address().to_string(), options);
    let commands = "GET value\nGET missing\nLRANGE missing 0 -1\n".repeat(50);
    let said = output_of(&cli(vaurien.address()), commands.into_bytes());
    let got: Vec<&[u8]> = said.split(|byte| *byte == b'\n').collect();
    let differ =
        got.iter().filter(|line| line.len() > 1000).map(|line| line.iter().filter(|byte| **byte != b'a').count());
    assert!(differ.clone().count() <= 50 && differ.clone().all(|count| count <= 3));
    // Pipelines, as its own library reads them.
    let mut benchmark = program("redis-benchmark");
    benchmark.args(["-h", "127.0.0.1", "-p", &vaurien.address().port().to_string()]);
    output_of(benchmark.args(["-q", "-c", "2", "-P", "50", "-n", "1000", "GET", "value"]), Vec::new());
    let counts = vaurien.stop();
    assert!(counts.calls("corrupt") >= 1150, "{:#?}", counts.lines);
    assert_eq!(counts.of("opaque"), 0);
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn redis_replies_before_a_cut_are_complete() {
    let redis = redis("");
    redis.connect().send("SET value 0123456789\r\n").expect("+OK\r\n");
    let vaurien = Program::start_at(&redis.address().to_string(), "--protocol redis --handler 20:cut --seed 5");
    let (got, ending) = vaurien.connect().send("GET value\r\n".repeat(200)).read_to_end();
    let whole = b"$10\r\n0123456789\r\n";
    assert_eq!((got.len() % whole.len(), ending), (10, Ending::Closed));
    assert!(got.chunks(whole.len()).all(|reply| whole.starts_with(reply)));
    assert!(vaurien.stop().calls("cut") >= 1);
}
