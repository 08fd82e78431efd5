//! Answers of our own beside those of real servers: each in its place, and each as the server would tell it.

use super::redis::info;
use super::world::servers::{memcached, redis};
use super::world::{Client, Program, Server};

const READONLY: &str = "-READONLY You can't write against a read only replica.";
const EXECABORT: &str = "-EXECABORT Transaction discarded because of previous errors.";

fn line(client: &mut Client) -> String {
    String::from_utf8(client.read_until("\r\n")).unwrap().trim_end().to_owned()
}

/// The next reply of Redis: a string as it is, an array in brackets.
fn reply(client: &mut Client) -> String {
    let first = line(client);
    match (first.as_bytes()[0], first[1..].parse::<usize>()) {
        (b'$', Ok(len)) => String::from_utf8(client.read(len + 2)).unwrap().trim_end().to_owned(),
        (b'%', Ok(len)) => format!("{{{}}}", (0..2 * len).map(|_| reply(client)).collect::<Vec<_>>().join(" ")),
        (b'*', Ok(len)) => format!("[{}]", (0..len).map(|_| reply(client)).collect::<Vec<_>>().join(" ")),
        _ => first,
    }
}

/// The replies of Redis to these commands, sent at once.
fn replies(client: &mut Client, commands: &[String]) -> Vec<String> {
    client.send(commands.join("\r\n") + "\r\n");
    commands.iter().map(|_| reply(client)).collect()
}

/// Before a Redis, with these rules.
fn with_rules(redis: &Server, rules: &[&str]) -> Program {
    let mut command = Program::command("--proxy 127.0.0.1:0 --protocol redis");
    command.args(["--backend", &redis.address().to_string()]);
    for rule in rules {
        command.args(["--rule", rule]);
    }
    Program::spawn(&mut command)
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn errors_in_a_pipeline_leave_every_other_reply_in_its_place() {
    let redis = redis("");
    let options = "--protocol redis --seed 5 --handler 20:error(kind=readonly),10:miss";
    let vaurien = Program::start_at(&redis.address().to_string(), options);
    let mut client = vaurien.connect();
    let (mut errors, mut misses) = (0, 0);
    for round in 0..10 {
        let set: Vec<_> = (0..64).map(|number| format!("SET key-{number} {round}-{number}")).collect();
        redis.connect().send(set.join("\r\n") + "\r\nECHO done\r\n").read_until("done\r\n");
        let get: Vec<_> = (0..64).map(|number| format!("GET key-{number}")).collect();
        for (number, reply) in replies(&mut client, &get).into_iter().enumerate() {
            match reply.as_str() {
                READONLY => errors += 1,
                "$-1" => misses += 1,
                value => assert_eq!(value, format!("{round}-{number}")),
            }
        }
    }
    let counts = vaurien.stop();
    assert_eq!((counts.faults("error"), counts.faults("miss")), (errors, misses));
    assert!(errors > 60 && misses > 20, "{errors} {misses}");
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn a_command_that_is_refused_within_a_transaction_aborts_it() {
    let redis = redis("");
    let options = "--protocol redis --seed 7 --handler 8:error(kind=oom)";
    let vaurien = Program::start_at(&redis.address().to_string(), options);
    let mut client = vaurien.connect();
    let oom = |reply: &String| reply.starts_with("-OOM ");
    let (mut done, mut aborted, mut exec_refused, mut multi_refused) = (0_u64, 0, 0, 0);
    for _ in 0..200 {
        let commands = ["MULTI", "INCR n", "INCR n", "INCR n", "EXEC", "ECHO end"].map(str::to_owned);
        let got = replies(&mut client, &commands);
        assert!(oom(&got[5]) || got[5] == "end", "{got:?}");
        if oom(&got[0]) {
            // Without a transaction each command counts, and EXEC has nothing to execute.
            multi_refused += 1;
            done += got[1..4].iter().filter(|reply| reply.starts_with(':')).count() as u64;
            assert!(oom(&got[4]) || got[4] == "-ERR EXEC without MULTI", "{got:?}");
            continue;
        }
        assert!(got[1..4].iter().all(|reply| oom(reply) || reply == "+QUEUED"), "{got:?}");
        match (got[1..4].iter().any(oom), oom(&got[4])) {
            // Nothing of it is done, and the next command is not within it.
            (_, true) => exec_refused += 1,
            (true, false) => {
                assert_eq!(got[4], EXECABORT, "{got:?}");
                aborted += 1;
            }
            (false, false) => {
                assert_eq!(got[4], format!("[:{} :{} :{}]", done + 1, done + 2, done + 3));
                done += 3;
            }
        }
    }
    assert_eq!(
        redis.connect().send("GET n\r\n").read_until("\r\n"),
        format!("${}\r\n", done.to_string().len()).as_bytes()
    );
    assert!(aborted > 10 && exec_refused > 5 && multi_refused > 5, "{aborted} {exec_refused} {multi_refused}");
    assert_eq!(vaurien.stop().of("opaque"), 0);
    assert!(info(&redis, "total_commands_processed") > done);
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn a_command_that_redis_has_not_queued_aborts_its_transaction() {
    let redis = redis("");
    let vaurien = with_rules(&redis, &[r#"SET => reply(bytes="+QUEUED\r\n")"#]);
    let run = |commands: &[&str]| {
        replies(&mut vaurien.connect(), &commands.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(run(&["MULTI", "SET a 1", "INCR n", "EXEC", "INCR n"])[3..], [EXECABORT, ":1"]);
    let refused = run(&["MULTI x", "SET a 1", "INCR n", "EXEC"]);
    assert_eq!(refused[1..], ["+QUEUED", ":2", "-ERR EXEC without MULTI"], "it has begun no transaction");
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn an_answer_is_in_the_version_that_redis_has_granted() {
    let redis = redis("");
    let vaurien = with_rules(&redis, &["HELLO times=1 => error(kind=err)", "GET => miss"]);
    let commands = [
        "HELLO 3",
        "GET a",
        "HELLO 3 AUTH nobody no",
        "GET a",
        "HELLO 3",
        "GET a",
        "HELLO 9",
        "GET a",
        "RESET",
        "GET a",
    ];
    // At once: the answers are there before the replies that decide about them.
    let got = replies(&mut vaurien.connect(), &commands.map(str::to_owned));
    let nils: Vec<&str> = got.iter().skip(1).step_by(2).map(String::as_str).collect();
    assert_eq!(nils, ["$-1", "$-1", "_", "_", "$-1"], "{got:?}");
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn redirections_have_the_slot_that_redis_computes() {
    let redis = redis("--cluster-enabled yes");
    let rules = ["* user:* => error(kind=moved,to=10.0.0.7:7)", "PING => error(kind=ask,to=b:1)"];
    let vaurien = with_rules(&redis, &rules);
    let mut client = vaurien.connect();
    let slot = reply(redis.connect().send("CLUSTER KEYSLOT user:1\r\n"));
    for command in [
        "GET user:1",
        "EVAL script 1 user:1",
        "XREAD STREAMS user:1 0",
        "OBJECT ENCODING user:1",
        "LMPOP 1 user:1 LEFT",
    ] {
        let moved = format!("-MOVED {} 10.0.0.7:7", &slot[1..]);
        assert_eq!(replies(&mut client, &[command.to_owned()]), [moved], "{command}");
    }
    assert_eq!(replies(&mut client, &["PING".to_owned()]), ["+PONG"], "it has no key");
    assert_eq!(vaurien.stop().faults("rule-1.error"), 5);
}

#[test]
#[ignore = "needs redis-server; tests/run.sh installs it"]
fn a_miss_is_the_reply_of_an_empty_redis() {
    let (full, empty) = (redis(""), redis(""));
    let vaurien = Program::start_at(&full.address().to_string(), "--protocol redis --handler miss");
    let reads = [
        "GET s",
        "MGET s t",
        "HGET h f",
        "HMGET h f g",
        "HGETALL h",
        "HKEYS h",
        "HVALS h",
        "HRANDFIELD h",
        "HRANDFIELD h 2",
        "LRANGE l 0 -1",
        "LINDEX l 0",
        "LPOP l",
        "LPOP l 2",
        "RPOP l",
        "SMEMBERS t",
        "SPOP t",
        "SPOP t 2",
        "SRANDMEMBER t",
        "SRANDMEMBER t 2",
        "SINTER t t",
        "ZSCORE z m",
        "ZMSCORE z m n",
        "ZRANK z m",
        "ZRANGE z 0 -1",
        "ZRANGEBYSCORE z 0 1",
        "ZPOPMIN z",
        "XRANGE x - +",
        "KEYS *",
        "GETDEL s",
        "GETEX s",
        "DUMP s",
        "SORT l",
        "LMOVE l m LEFT LEFT",
        "RPOPLPUSH l m",
        "GEODIST g a b",
        "GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 km",
        "BLPOP l 0.01",
        "BRPOP l 0.01",
        "BZPOPMIN z 0.01",
        "BLMOVE l m LEFT LEFT 0.01",
        "XREAD STREAMS x 0",
        "LMPOP 1 l LEFT",
        "ZMPOP 1 z MIN",
        "ZREVRANK z m",
        "ZRANDMEMBER z",
        "ZRANDMEMBER z 2",
        "SUNION t",
        "SDIFF t",
        "ZREVRANGE z 0 -1",
        "XREVRANGE x + -",
        "SORT_RO l",
    ];
    for version in ["2", "3"] {
        let script = format!("HELLO {version}\r\n{}\r\nECHO that-is-all\r\n", reads.join("\r\n"));
        let read = |client: &mut Client| {
            let got = String::from_utf8(client.send(&script).read_until("that-is-all\r\n")).unwrap();
            // HELLO tells who the server is; what follows is the same for both.
            let hello = got.find("modules\r\n*0\r\n").unwrap() + "modules\r\n*0\r\n".len();
            got[hello..].to_owned()
        };
        let (ours, theirs) = (read(&mut vaurien.connect()), read(&mut empty.connect()));
        let differs = ours.lines().zip(theirs.lines()).enumerate().find(|(_, (ours, theirs))| ours != theirs);
        assert_eq!(ours, theirs, "RESP{version}: {differs:?} differs first");
    }
    let counts = vaurien.stop();
    // HELLO and ECHO have no miss.
    assert_eq!(counts.faults("miss"), 2 * reads.len() as u64);
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn answers_of_memcache_are_those_of_an_empty_one() {
    let (full, empty) = (memcached(""), memcached(""));
    let vaurien = Program::start_at(&full.address().to_string(), "--protocol memcache --handler miss");
    let script = "get a\r\ngets a b\r\ngat 5 a\r\nincr a 1\r\ndecr a 1\r\ntouch a 5\r\ndelete a\r\nmg a v\r\nmg a v k O77\r\nmg a v q\r\n\
        md a\r\nmd a q O5\r\nma a\r\nma a k\r\nincr a 1 noreply\r\nmn\r\nversion\r\n";
    let read = |client: &mut Client| String::from_utf8(client.send(script).read_until("VERSION ")).unwrap();
    assert_eq!(read(&mut vaurien.connect()), read(&mut empty.connect()));
}

#[test]
#[ignore = "needs memcached; tests/run.sh installs it"]
fn an_error_in_place_of_a_set_drops_its_data() {
    let memcached = memcached("");
    let options = "--protocol memcache --handler transient(kind=oom)";
    let vaurien = Program::start_at(&memcached.address().to_string(), options);
    let mut client = vaurien.connect();
    client.send("set a 0 0 5\r\nget a\r\n\r\nset a 0 0 1 noreply\r\nb\r\nget a\r\n".replace("\r\n\r\n", "\r\n"));
    client.expect("SERVER_ERROR out of memory storing object\r\nVALUE a 0 1\r\nb\r\nEND\r\n");
}
