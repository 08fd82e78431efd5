//! `--check` says what would run, or all that is wrong, and leaves everything as it is.

use std::net::TcpListener;

use crate::world::{File, Program};
use crate::{assert_complains, printed, printed_by};

#[test]
fn one_proxy_is_a_line() {
    let lines = printed("--check --backend localhost:6379 --protocol redis --handler 20:delay --seed 42");
    assert_eq!(
        lines,
        "localhost:8000 -> localhost:6379, protocol redis, handler 20:delay\n  delay(sleep=1s, before=true)\nseed 42\n"
    );
    let lines = printed("--check --backend a:1 --handler 20:delay(sleep=250ms),5:cut --handler-cut-how reset --seed 1");
    let settings: Vec<_> = lines.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(settings, ["  delay(sleep=250ms, before=true)", "  cut(after=50%, how=reset)"]);
    let lines = printed("--check --demo");
    let handlers = "20:delay,20:error,10:blackout,5:hang";
    assert_eq!(
        lines,
        format!(
            "localhost:8000 -> a small built-in HTTP server, protocol http, handler {handlers}\n  delay(sleep=250ms, \
             before=true)\n  error(inject=false, warmup=0)\nHTTP API on http://localhost:8080\nseed 2508\n"
        )
    );
}

#[test]
fn tls_is_a_line_for_each_side() {
    let tls = |options: &str| {
        let lines = printed(&format!("--check --backend a:443 --seed 1 {options}"));
        let all: Vec<_> = lines.lines().filter(|line| !line.starts_with("seed ")).map(str::to_owned).collect();
        all
    };
    let signed = "certificates for the names that clients ask for, signed by the authority of --tls auto";
    assert_eq!(
        tls("--tls auto --tls-dir absent --backend-tls"),
        [
            "localhost:8000 (TLS) -> a:443 (TLS), protocol tcp, handler dummy",
            &format!("  TLS with clients: {signed}"),
            "  TLS with the backend: has to be a, by the authorities of the system",
        ]
    );
    let pem = tempfile::NamedTempFile::new().unwrap();
    let (authority, file) = (vaurien::Authority::generate(), pem.path().display());
    std::fs::write(pem.path(), authority.key_pem() + authority.certificate_pem()).unwrap();
    let own = format!("--tls-cert {file} --tls-key {file}");
    let mutual = format!("--backend-ca {file} --backend-name b --backend-cert {file} --backend-key {file}");
    assert_eq!(
        tls(&format!("{own} {mutual}"))[1..],
        [
            format!("  TLS with clients: certificate {file}"),
            format!("  TLS with the backend: has to be b, by the authorities of {file}, is shown {file}"),
        ]
    );
    assert_eq!(tls("--backend-insecure --log-level error")[1..], ["  TLS with the backend: any certificate will do"]);
}

#[test]
fn a_file_is_told_whole() {
    let file = File::new(
        "log_level = 'error'\nevents = '/nowhere/events.jsonl'\n[http]\nhost = '::1'\ntoken = 'hush'\n[statsd]\n\
         [proxies.cache]\nproxy = 'localhost:7379'\nbackend = 'localhost:6379'\nprotocol = 'redis'\nhandler = 'delay'\n\
         [proxies.api]\nbackend = '[::1]:80'\nenabled = false\n",
    );
    let lines = printed(&format!("--check --config {}", file.path().display()));
    assert_eq!(
        lines,
        "cache: localhost:7379 -> localhost:6379, protocol redis, handler delay\n  delay(sleep=1s, before=true)\n\
         api: disabled -> [::1]:80, protocol tcp, handler dummy\n\
         HTTP API on http://[::1]:8080, with a token\n\
         statsd to localhost:8125, prefix vaurien\n\
         events to /nowhere/events.jsonl\n\
         seed drawn at random\n"
    );
}

#[test]
fn what_happens_around_the_proxies_is_told_in_its_order() {
    let mut command = Program::command(
        "--check --backend a:1 --handler error --seed 1 --wait-backend 30 --ready-file /nowhere/ready --repeat 20 \
         --timeout 10m --expect error>=1,calls>0 --report /nowhere/a.xml,/nowhere/b.html",
    );
    let lines = printed_by(command.args(["--", "sh", "-c", "echo $VAURIEN_PROXY 'as is'", ""]));
    assert_eq!(
        lines,
        "localhost:0 -> a:1, protocol tcp, handler error\n  error(inject=false, warmup=0)\n\
         seed 1\n\
         waits for the backend, 30s at most\n\
         ready file /nowhere/ready\n\
         runs 20 times sh -c 'echo $VAURIEN_PROXY '\"'as is'\" ''\n\
         ends it after 10m\n\
         expects error>=1\n\
         expects calls>0\n\
         report to /nowhere/a.xml\n\
         report to /nowhere/b.html\n"
    );
    // As one could have typed it.
    let pasted = lines.lines().find_map(|line| line.strip_prefix("runs 20 times ")).unwrap();
    assert_eq!(shlex::split(pasted).unwrap(), ["sh", "-c", "echo $VAURIEN_PROXY 'as is'", ""]);
    let lines = printed("--check --backend a:1 --seed 1 -- pytest -x");
    assert!(lines.ends_with("\nseed 1\nruns pytest -x\n"), "{lines}");
}

#[test]
fn nothing_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    let (taken, path) = (taken.local_addr().unwrap(), events.display());
    printed(&format!("--check --backend nobody.invalid:1 --proxy {taken} --events {path}"));
    assert!(!events.exists());
}

#[test]
fn warnings_are_those_of_a_start() {
    let ended = Program::run(&mut Program::command("--check --backend a:1 --http-port 1"));
    assert_eq!((ended.code, ended.lines.len()), (Some(0), 1), "{:?}", ended.lines);
    assert!(ended.lines[0].ends_with("WARN `--http-port` has no effect without `--http`"), "{:?}", ended.lines);
    let mut command = Program::command("--check --backend a:1 --handler error --handler-delay-sleep 100");
    let ended =
        Program::run(command.env("VAURIEN_HANDLER_EROR_INJECT", "true").env("VAURIEN_HANDLER_CUT_HOW", "reset"));
    let warnings: Vec<_> = ended.lines.iter().filter_map(|line| Some(line.split_once(" WARN ")?.1)).collect();
    let expected = [
        "`VAURIEN_HANDLER_EROR_INJECT` is no variable of vaurien, did you mean `VAURIEN_HANDLER_ERROR_INJECT`?",
        "`VAURIEN_HANDLER_CUT_HOW` has no effect: `cut` is not in the mix `error`",
        "`--handler-delay-sleep` has no effect: `delay` is not in the mix `error`",
        "--handler-delay-sleep: `100` is in seconds, write `100ms` for milliseconds, or `100s` if it is right",
    ];
    assert_eq!((ended.code, warnings), (Some(0), expected.to_vec()));
}

#[test]
fn all_that_is_wrong_is_told() {
    let lines = [
        "--handler: unknown handler `dely` (known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, miss, reply, reset, slow, tls, transient), did you mean `delay`?",
        "--buffer: `0` is too small, a read takes 1 to 262144 bytes",
    ];
    assert_complains("--check --backend a:1 --handler dely --buffer 0", 2, &lines);
}

#[test]
fn what_may_be_meant_is_no_warning() {
    let quiet = |command: &mut std::process::Command| {
        let ended = Program::run(command);
        assert_eq!((ended.code, ended.lines), (Some(0), Vec::<String>::new()));
    };
    // The API may ask for the handler later.
    quiet(&mut Program::command("--check --backend a:1 --http --handler-delay-sleep 1m"));
    // A file may have tables for handlers that other mixes need.
    let file = File::new("backend = 'a:1'\n[handlers.delay]\nsleep = '2m'\n");
    quiet(&mut Program::command(&format!("--check --handler error --config {}", file.path().display())));
    let file = File::new("backend = 'a:1'\nhandler = 'delay(sleep=90)'\n");
    let ended = Program::run(&mut Program::command(&format!("--check --config {}", file.path().display())));
    assert!(ended.lines[0].contains(".toml:2: handler: `90` is in seconds"), "{:?}", ended.lines);
}
