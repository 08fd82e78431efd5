//! Unix sockets with the servers and clients that people use over them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::http::{ASKED, assert_same, curl};
use super::redis_cli::SCRIPT;
use super::tool::{output, output_of, program};
use super::world::servers::{Postgres, SOCKET, haproxy, nginx, redis};
use super::world::{Program, Server, noise};

/// A folder with the proxy's socket, and a `vaurien` that listens on it.
fn start(name: &str, backend: &str, options: &str) -> (TempDir, Program) {
    let folder = tempfile::tempdir().unwrap();
    let command = format!("--proxy unix:{}/{name} --backend {backend} {options}", folder.path().display());
    (folder, Program::spawn(&mut Program::command(&command)))
}

/// The Unix socket of a server, as an address.
fn socket(server: &Server) -> String {
    format!("unix:{}/{SOCKET}", server.folder().display())
}

fn redis_cli(socket: &Path, arguments: &str) -> Command {
    let mut command = program("redis-cli");
    command.arg("-s").arg(socket).args(arguments.split_ascii_whitespace());
    command
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_prints_the_same() {
    let redis = redis("");
    let direct = output_of(&redis_cli(&redis.folder().join(SOCKET), "--no-raw -3"), SCRIPT.into());
    let direct = String::from_utf8(direct).unwrap();
    for backend in [socket(&redis), redis.address().to_string()] {
        for protocol in ["redis", "tcp"] {
            let (folder, vaurien) = start("redis", &backend, &format!("--protocol {protocol}"));
            let ours = output_of(&redis_cli(&folder.path().join("redis"), "--no-raw -3"), SCRIPT.into());
            assert_eq!(String::from_utf8(ours).unwrap(), direct, "{backend} {protocol}");
            assert_eq!(vaurien.stop().of("opaque"), 0);
        }
    }
    // A client of TCP reaches a server on a Unix socket.
    let vaurien = Program::start_at(&socket(&redis), "--protocol redis");
    let mut command = program("redis-cli");
    command.args(["-p", &vaurien.address().port().to_string(), "--no-raw", "-3"]);
    assert_eq!(String::from_utf8(output_of(&command, SCRIPT.into())).unwrap(), direct);
}

#[test]
#[ignore = "needs redis-server and redis-tools; tests/run.sh installs them"]
fn redis_cli_gets_errors_in_a_pipeline() {
    let redis = redis("");
    let (folder, vaurien) =
        start("redis", &socket(&redis), "--protocol redis --handler dummy --rule GET=>error(kind=oom,message=full)");
    let sent = "SET a 1\nGET a\nECHO b\nGET a\nPING\n";
    let got = output_of(&redis_cli(&folder.path().join("redis"), "--no-raw"), sent.into());
    assert_eq!(String::from_utf8(got).unwrap(), "OK\n(error) OOM full\n\"b\"\n(error) OOM full\nPONG\n");
    let mut benchmark = program("redis-benchmark");
    benchmark.arg("-s").arg(folder.path().join("redis")).args(["-n", "1600", "-P", "16", "-c", "4", "-q", "-t", "set"]);
    assert!(output(&benchmark).contains("SET: "));
    let counts = vaurien.stop();
    assert_eq!((counts.faults("rule-1.error"), counts.of("opaque")), (2, 0));
    assert!(counts.calls("dummy") >= 1600, "{counts:?}");
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_receives_the_same() {
    let nginx = nginx();
    let body = noise(1, 200_000);
    let ask_all = |over: &str| {
        ASKED.map(|(options, paths)| {
            output_of(&curl(nginx.address(), &format!("{over} --include {options}"), paths), body.clone())
        })
    };
    let over = |socket: &Path| format!("--unix-socket {}", socket.display());
    // nginx answers with its port where it has one.
    let direct = [ask_all(&over(&nginx.folder().join(SOCKET))), ask_all("")];
    for (backend, direct) in [socket(&nginx), nginx.address().to_string()].iter().zip(direct) {
        for protocol in ["http", "tcp"] {
            let (folder, vaurien) = start("nginx", backend, &format!("--protocol {protocol}"));
            let ours = ask_all(&over(&folder.path().join("nginx")));
            for (((options, _), ours), direct) in ASKED.iter().zip(&ours).zip(&direct) {
                assert_same(ours, direct, options);
            }
            assert_eq!(vaurien.stop().of("opaque"), 0, "{backend} {protocol}");
        }
    }
}

#[test]
#[ignore = "needs nginx and curl; tests/run.sh installs them"]
fn curl_understands_an_error() {
    let nginx = nginx();
    let (folder, vaurien) = start("nginx", &socket(&nginx), "--protocol http --handler error(status=503)");
    let options = format!(
        "--unix-socket {} --output /dev/null --write-out %{{http_code}}",
        folder.path().join("nginx").display()
    );
    assert_eq!(output(&curl(nginx.address(), &options, &["/small"])), "503");
    assert_eq!(vaurien.stop().faults("error"), 1);
}

#[test]
#[ignore = "needs postgresql and psql; tests/run.sh installs them"]
fn psql_finds_the_socket_in_its_directory() {
    let postgres = Postgres::start();
    for backend in [format!("unix:{}", postgres.socket().display()), postgres.address().to_string()] {
        let (folder, vaurien) = start(".s.PGSQL.5432", &backend, "");
        let mut psql = program("psql");
        psql.arg("-h").arg(folder.path()).args(["-U", "postgres", "-tAc"]);
        psql.arg(
            "select sum(n) || ' ' || coalesce(inet_client_addr()::text, 'unix') from generate_series(1, 100000) n",
        );
        let over = if backend.starts_with("unix:") { "unix" } else { "127.0.0.1/32" };
        assert_eq!(output(&psql), format!("5000050000 {over}\n"));
        assert_eq!(vaurien.stop().of("connection"), 1);
    }
    // From TCP to its Unix socket.
    let vaurien = Program::start_at(&format!("unix:{}", postgres.socket().display()), "");
    let mut psql = program("psql");
    psql.args(["-h", "127.0.0.1", "-p", &vaurien.address().port().to_string(), "-U", "postgres", "-tAc", "select 1"]);
    assert_eq!(output(&psql), "1\n");
}

#[test]
#[ignore = "needs redis-server, redis-tools and haproxy; tests/run.sh installs them"]
fn haproxy_is_before_it_and_behind_it() {
    let redis = redis("");
    let haproxy = haproxy(redis.address());
    let folder = haproxy.folder().display();
    let command = format!("--proxy unix:{folder}/proxy --backend unix:{folder}/back --protocol redis");
    let vaurien = Program::spawn(&mut Program::command(&command));
    let mut client = program("redis-cli");
    client.args(["-p", &haproxy.address().port().to_string(), "--no-raw", "-3"]);
    let mut direct = program("redis-cli");
    direct.args(["-p", &redis.address().port().to_string(), "--no-raw", "-3"]);
    let [ours, direct] = [client, direct].map(|command| String::from_utf8(output_of(&command, SCRIPT.into())).unwrap());
    assert_eq!(ours, direct);
    let counts = vaurien.stop();
    assert_eq!((counts.of("opaque"), counts.of("dial failure")), (0, 0));
    assert!(counts.calls("dummy") > 20, "{counts:?}");
}
