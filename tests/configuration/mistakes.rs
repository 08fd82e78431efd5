//! What is wrong with flags, variables and how they go together, each with its exact line.

use std::ffi::OsString;

use crate::{KNOWN, MISSING, Start};

#[test]
fn wrong_flags_are_one_line_each() {
    let cases = [
        ("--buffer 0", "--buffer: `0` is too small, a read takes 1 to 262144 bytes"),
        ("--buffer 262145", "--buffer: `262145` is too large, a read takes 1 to 262144 bytes"),
        ("--buffer -1", "--buffer: `-1` is not a whole number of bytes, 0 or more"),
        ("--buffer 1.5", "--buffer: `1.5` is not a whole number of bytes, 0 or more"),
        ("--buffer 2k", "--buffer: `2k` is not a whole number of bytes, 0 or more"),
        ("--pool-size 0", "--pool-size: `0` is too small, a pool keeps 1 to 65536 connections"),
        ("--pool-size 65537", "--pool-size: `65537` is too large, a pool keeps 1 to 65536 connections"),
        ("--max-head 1023", "--max-head: `1023` is too small, the longest head has 1024 to 1048576 bytes"),
        ("--max-head 1048577", "--max-head: `1048577` is too large, the longest head has 1024 to 1048576 bytes"),
        ("--pool-timeout -1", "--pool-timeout: invalid duration `-1`: it is negative, write 0 or more"),
        ("--connect-timeout 0", "--connect-timeout: `0` leaves no time to connect, give more than 0"),
        ("--head-timeout 0", "--head-timeout: `0` leaves no time for a head in two pieces, give more than 0"),
        ("--connect-timeout x", "--connect-timeout: invalid duration `x`: write `10s`, `250ms` or seconds"),
        ("--workers 0", "--workers: `0` threads: give 1 to 256"),
        ("--workers 257", "--workers: `257` threads: give 1 to 256"),
        ("--workers -1", "--workers: `-1` is not a whole number of threads, 1 to 256"),
        ("--workers all", "--workers: `all` is not a whole number of threads, 1 to 256"),
        ("--handler-corrupt-bytes -3", "--handler-corrupt-bytes: `-3` is not a whole number of bytes, 1 to 65536"),
        ("--shape-buffer 64", "--shape-buffer: `64B` is too small: give 256KiB to 512MiB"),
        ("--shape-buffer 1GiB", "--shape-buffer: `1GiB` is too large: give 256KiB to 512MiB"),
        ("--seed 1e3", "--seed: `1e3` is not a whole number, 0 or more"),
        ("--keep-alive yes", "--keep-alive: `yes` is not true or false"),
        ("--reuse-socket 1", "--reuse-socket: `1` is not true or false"),
        ("--rewrite-host 1", "--rewrite-host: `1` is not true or false"),
        ("--rewrite-host", "--rewrite-host: it needs protocol http, this proxy has tcp"),
        ("--rewrite-host --protocol redis", "--rewrite-host: it needs protocol http, this proxy has redis"),
        ("--protocol htp", "--protocol: `htp` is not one of tcp, redis, memcache, http, grpc, did you mean `http`?"),
        ("--protocol h2c", "--protocol: `h2c` is not one of tcp, redis, memcache, http, grpc, did you mean `http`?"),
        ("--protocol smtps", "--protocol: `smtps` is not one of tcp, redis, memcache, http, grpc"),
        ("--log-level inf", "--log-level: `inf` is not one of error, warn, info, debug, trace, did you mean `info`?"),
        ("--log-format xml", "--log-format: `xml` is not one of text, json"),
        ("--proxy localhost", "--proxy: `localhost` has no port, write `localhost:PORT`"),
        ("--proxy ::1:80", "--proxy: `::1:80` is an IPv6 address without brackets, write `[::1]:80`"),
        ("--proxy a:99999", "--proxy: `a:99999` has an invalid port `99999`, a port is 0 to 65535"),
        ("--handler-delay-sleep -1", "--handler-delay-sleep: invalid duration `-1`: it is negative, write 0 or more"),
        (
            "--handler-delay-sleep 1e9",
            "--handler-delay-sleep: invalid duration `1e9`: at most a year (31536000 seconds)",
        ),
        ("--handler-delay-before 0", "--handler-delay-before: `0` is not true or false"),
        ("--handler-error-warmup x", "--handler-error-warmup: `x` is not a whole number of calls, 0 or more"),
    ];
    for (line, message) in cases {
        assert_eq!(Start::with(line).lines(), [message], "{line}");
    }
}

#[test]
fn a_backend_is_an_address_that_can_be_dialled() {
    assert_eq!(Start::default().lines(), [MISSING]);
    for (backend, message) in [
        ("localhost:0", "`localhost:0` has the port 0, a backend's port is 1 to 65535"),
        ("localhost", "`localhost` has no port, write `localhost:PORT`"),
        ("redis://localhost:6379", "`redis://localhost:6379` is a URL, write `localhost:6379`"),
        ("http://localhost:80", "`http://localhost:80` is a URL, write `localhost:80`"),
        (
            "https://api.example.com/x",
            "`https://api.example.com/x` is a URL, write `api.example.com:443` with `--backend-tls`",
        ),
        ("rediss://:secret@db/0", "`rediss://:secret@db/0` is a URL, write `db:6379` with `--backend-tls`"),
    ] {
        assert_eq!(Start::args(&format!("--backend {backend}")).lines(), [format!("--backend: {message}")]);
    }
}

#[test]
fn a_proxy_is_not_its_own_backend() {
    let itself = "`localhost:8000` is both `backend` and `proxy`, listen somewhere else: `--proxy HOST:PORT`";
    assert_eq!(Start::args("--backend localhost:8000").lines(), [itself]);
    assert!(Start::args("--backend db:8000").run().is_ok());
}

#[test]
fn wrong_mixes_are_one_line_each_mistake() {
    let delya = format!("unknown handler `delya` {KNOWN}, did you mean `delay`?");
    let cases = [
        ("delya", vec![delya.as_str()]),
        ("20:delya", vec![&delya]),
        ("20:error,delya", vec![&delya]),
        ("120:delay", vec!["the percentages add up to 120, at most 100 is possible"]),
        ("60:delay,50.5:error", vec!["the percentages add up to 110.5, at most 100 is possible"]),
        ("-5:error", vec!["`-5` is negative, a percentage is 0 to 100"]),
        ("NaN:error", vec!["`NaN` is not a percentage, write `20:delay`"]),
        ("inf:error", vec!["`inf` is not a percentage, write `20:delay`"]),
        ("lots:error", vec!["`lots` is not a percentage, write `20:delay`"]),
        ("5:error,5:error", vec!["`error` is given twice, give one of them a name of its own: `NAME=error`"]),
        ("5:error,,5:delay", vec!["`5:error,,5:delay` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("5:error,", vec!["`5:error,` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("", vec!["`` has an empty entry, write `delay` or `20:delay,5:error`"]),
        ("5:", vec!["`5:` names no handler, write `20:delay`"]),
        ("5", vec!["`5` names no handler, write `20:delay`"]),
        (":error", vec!["`:error` has no percentage, write `20:error`"]),
        ("5:delay,error", vec!["`error` has no percentage, write `20:error`"]),
        ("delay:20", vec!["`delay:20` is the wrong way round, write `20:delay`"]),
        (
            "-1:delya,200:error",
            vec![
                "`-1` is negative, a percentage is 0 to 100",
                &delya,
                "the percentages add up to 200, at most 100 is possible",
            ],
        ),
    ];
    for (mix, messages) in cases {
        let lines: Vec<_> = messages.iter().map(|message| format!("--handler: {message}")).collect();
        assert_eq!(Start::with(&format!("--handler={mix}")).lines(), lines, "{mix}");
        // The same in the file, where the line is enough of a place.
        let lines: Vec<_> = messages.iter().map(|message| format!("vaurien.toml:2: {message}")).collect();
        assert_eq!(Start::file(&format!("backend = 'a:1'\nhandler = '{mix}'")).lines(), lines, "{mix}");
    }
}

#[test]
fn values_of_handlers_say_what_would_be_right() {
    for (key, value, message) in [
        ("cut.after", "0.5", "invalid amount `0.5`: write `1000`, `1KB` or `50%`"),
        ("cut.after", "'101%'", "invalid percentage `101%`: write 0% to 100%"),
        ("cut.after", "true", "write a number of bytes, or a text such as `1KB` or `50%`"),
        ("cut.how", "'rst'", "`rst` is not one of close, reset, hang"),
        ("slow.rate", "0", "invalid rate `0`: write more than 0"),
        ("slow.rate", "'10Mbit/s'", "invalid rate `10Mbit/s`: write `64KB/s`"),
        ("slow.first", "-1", "invalid size `-1`: it is negative, write 0 or more"),
        ("corrupt.bytes", "0", "`0` bytes: give 1 to 65536"),
        ("corrupt.bytes", "'1KB'", "`1KB` is not a whole number of bytes, 1 to 65536"),
    ] {
        let file = format!("backend = 'a:1'\nhandler = '10:cut,10:slow,10:corrupt'\nhandlers.{key} = {value}");
        assert_eq!(Start::file(&file).lines(), [format!("vaurien.toml:3: handlers.{key}: {message}")]);
    }
}

#[test]
fn a_command_line_that_cannot_be_read_is_one_line() {
    for (line, message) in [
        ("--bakend a:1", "unknown option `--bakend`, did you mean `--backend`?"),
        ("--bakend=a:1", "unknown option `--bakend`, did you mean `--backend`?"),
        (
            "--handler-delay-slep 1",
            "unknown option `--handler-delay-slep` (known: --handler-delay-sleep, --handler-delay-before), did you mean \
             `--handler-delay-sleep`?",
        ),
        ("--behavior-cut-at 1", "unknown option `--behavior-cut-at` (known: --handler-cut-after, --handler-cut-how)"),
        ("--handler-hang-protocol tcp", "unknown option `--handler-hang-protocol` (known: --handler-hang-for)"),
        (
            "--handler-blackout-sleep 1",
            "unknown option `--handler-blackout-sleep`, `blackout` has no options of its own",
        ),
        ("--frobnicate", "unknown option `--frobnicate`, see --help"),
        ("-x", "unknown option `-x`, see --help"),
        ("-", "unknown option `-`, see --help"),
        (
            "--handler -5:error",
            "`--handler` needs a value, write one that begins with `-` after `=`: `--handler=-5:error`",
        ),
        ("--behavior -x", "`--behavior` needs a value, write one that begins with `-` after `=`: `--behavior=-x`"),
        (
            "--handler-delay-sleep -250ms",
            "`--handler-delay-sleep` needs a value, write one that begins with `-` after `=`: \
             `--handler-delay-sleep=-250ms`",
        ),
        ("--keep-alive -x", "unknown option `-x`, see --help"),
        ("--backend --prxy", "unknown option `--prxy`, did you mean `--proxy`?"),
        ("localhost:6379", "unexpected argument `localhost:6379`, a command goes after `--`"),
        ("--backend", "`--backend` needs a value, see --help"),
        ("--backend --proxy a:1", "`--backend` needs a value, see --help"),
        ("--proxy a:1 --proxy b:1", "`--proxy` is given twice, give it once"),
        ("--handler delay --behavior error", "`--handler` is given twice, give it once"),
        ("--port 80", "unknown option `--port`, did you mean `--proxy HOST:PORT`?"),
        ("--host x", "unknown option `--host`, did you mean `--proxy HOST:PORT`?"),
        ("--listen=:80", "unknown option `--listen`, did you mean `--proxy HOST:PORT`?"),
        ("--upstream a:1", "unknown option `--upstream`, did you mean `--backend HOST:PORT`?"),
        ("--target a:1", "unknown option `--target`, did you mean `--backend HOST:PORT`?"),
        ("--latency 5", "unknown option `--latency`, did you mean `--handler delay --handler-delay-sleep 250ms`?"),
        ("--ssl", "unknown option `--ssl`, did you mean `--tls auto`, or `--backend-tls` towards the backend?"),
        ("--cacert a.pem", "unknown option `--cacert`, did you mean `--backend-ca FILE`?"),
        ("-k", "unknown option `-k`, did you mean `--backend-insecure`?"),
        ("--check --tls-ca", "`--check` and `--tls-ca` cannot be combined, give one of them"),
        ("-v", "unknown option `-v`, did you mean `--log-level`?"),
        ("--error 5", "unknown option `--error`, did you mean `--handler error`?"),
        ("--demo=yes", "`--demo` takes no value"),
    ] {
        assert_eq!(Start::args(line).lines(), [message], "{line}");
    }
}

#[test]
fn a_demo_has_its_own_backend() {
    let line = "--demo: the demo has a built-in backend, leave out `--backend`";
    assert_eq!(Start::args("--demo --backend a:1").lines(), [line]);
    assert!(Start::args("--demo").and_env("VAURIEN_BACKEND", "a:1").config().demo, "a flag alone asks for it here");
}

#[cfg(unix)]
#[test]
fn a_command_line_that_is_no_text_is_one_line() {
    use std::os::unix::ffi::OsStringExt as _;
    let start = Start { args: vec!["--backend".into(), OsString::from_vec(vec![0xff])], ..Start::default() };
    assert_eq!(start.lines(), ["the command line is not UTF-8"]);
}

#[test]
fn a_wrong_variable_is_named() {
    let start = Start::with("").and_env("VAURIEN_BUFFER", "0").and_env("VAURIEN_HANDLER_DELAY_SLEEP", "-1");
    assert_eq!(
        start.lines(),
        [
            "VAURIEN_BUFFER: `0` is too small, a read takes 1 to 262144 bytes",
            "VAURIEN_HANDLER_DELAY_SLEEP: invalid duration `-1`: it is negative, write 0 or more",
        ]
    );
    let start = Start::with("").and_env("VAURIEN_HANDLER", "delya");
    assert_eq!(start.lines(), [format!("VAURIEN_HANDLER: unknown handler `delya` {KNOWN}, did you mean `delay`?")]);
}

#[test]
fn handlers_that_disagree_are_named() {
    let line = "--handler 20:delay,5:error --handler-delay-buffer 10 --handler-error-buffer 20";
    assert_eq!(
        Start::with(line).lines(),
        ["--handler-error-buffer: `error` has buffer `20`, `delay` has `10` (--handler-delay-buffer); \
          handlers of one proxy share it"]
    );
    let file = "backend = 'a:1'\nhandler = '20:delay,5:error'\n[handlers.delay]\nprotocol = 'http'\nkeep_alive = true\n\
                [handlers.error]\nkeep_alive = false\n[handlers.dummy]\nprotocol = 'redis'\n";
    assert_eq!(
        Start::file(file).lines().iter().map(|line| line.split(" (").next().unwrap()).collect::<Vec<_>>(),
        [
            "vaurien.toml:9: handlers.dummy.protocol: `dummy` has protocol `redis`, `delay` has `http`",
            "vaurien.toml:7: handlers.error.keep_alive: `error` has keep_alive `false`, `delay` has `true`",
        ]
    );
}
