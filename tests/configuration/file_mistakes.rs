//! What is wrong in a file, each with its exact line.

use crate::{KNOWN, MISSING, Start};

#[test]
fn all_mistakes_of_a_file_are_shown_together() {
    let file = "\
bakend = 'localhost:6379'
proxy = 'localhost'
protocol = 'htp'
handler = '20:delya'
keep-alive = true
xyzzy = 1
buffer = '12'
pool_size = -1
seed = 'abc'

[handlers.delay]
sleep = -1
before = 'yes'
slep = 1

[handlers.delya]
sleep = 1

[handlers.blackout]
protocol = 'tcp'
";
    let known = "proxy, backend, handler, rules, toxics, profile, protocol, buffer, keep_alive, reuse_socket, pool_size, pool_timeout, \
                 connect_timeout, head_timeout, max_head, rewrite_host, shape_buffer, enabled, seed, workers, tls_dir, toxiproxy, log_level, log_format, events, handlers, tls, backend_tls, proxies, run, http, statsd";
    assert_eq!(
        Start::args("--log-level loud").and_file(file).and_env("VAURIEN_POOL_SIZE", "0").lines(),
        [
            "vaurien.toml:1: unknown key `bakend`, did you mean `backend`?".to_owned(),
            "vaurien.toml:2: proxy: `localhost` has no port, write `localhost:PORT`".to_owned(),
            "vaurien.toml:3: protocol: `htp` is not one of tcp, redis, memcache, http, grpc, did you mean `http`?"
                .to_owned(),
            format!("vaurien.toml:4: unknown handler `delya` {KNOWN}, did you mean `delay`?"),
            "vaurien.toml:5: unknown key `keep-alive`, did you mean `keep_alive`?".to_owned(),
            format!("vaurien.toml:6: unknown key `xyzzy` (known: {known})"),
            "vaurien.toml:7: buffer: `\"12\"` is a text, write `12` without quotes".to_owned(),
            "vaurien.toml:8: pool_size: `-1` is not a whole number of connections, 0 or more".to_owned(),
            "vaurien.toml:9: seed: `abc` is not a whole number, 0 or more".to_owned(),
            "vaurien.toml:12: handlers.delay.sleep: invalid duration `-1`: it is negative, write 0 or more".to_owned(),
            "vaurien.toml:13: handlers.delay.before: `yes` is not true or false".to_owned(),
            "vaurien.toml:14: unknown key `slep` in `[handlers.delay]`, did you mean `sleep`?".to_owned(),
            format!("vaurien.toml:16: unknown handler `delya` {KNOWN}, did you mean `delay`?"),
            "vaurien.toml:20: unknown key `protocol` in `[handlers.blackout]` (it has no keys)".to_owned(),
            "VAURIEN_POOL_SIZE: `0` is too small, a pool keeps 1 to 65536 connections".to_owned(),
            "--log-level: `loud` is not one of error, warn, info, debug, trace".to_owned(),
            MISSING.to_owned(),
        ]
    );
}

#[test]
fn a_value_of_the_wrong_type_says_which_is_right() {
    for (text, message) in [
        ("backend = 6379", "backend: `6379` is not text, put it in quotes"),
        ("handler = 20", "handler: `20` is not text, put it in quotes"),
        ("keep_alive = 'true'", "keep_alive: `\"true\"` is a text, write `true` without quotes"),
        ("keep_alive = 'yes'", "keep_alive: `yes` is not true or false"),
        ("buffer = nan", "buffer: `nan` is not a whole number of bytes, 0 or more"),
        ("seed = 99999999999999999999", "seed: `99999999999999999999` is not a whole number, 0 or more"),
        ("pool_timeout = true", "pool_timeout: `true` is not a number of seconds"),
        ("pool_timeout = inf", "pool_timeout: invalid duration `inf`: at most a year (31536000 seconds)"),
        ("pool_timeout = 2020-01-01", "pool_timeout: invalid duration `2020-01-01`: write `10s`, `250ms` or seconds"),
        ("protocol = ['http']", "protocol: `[\"http\"]` is not one of tcp, redis, memcache, http, grpc"),
        ("handlers = 5", "`handlers` is `5`, write a table, `[handlers.delay]`"),
        ("handlers = '20:delay'", "`handlers` holds a table for each handler, did you mean `handler = \"20:delay\"`?"),
        ("listen = 'a:1'", "unknown key `listen`, did you mean `proxy`?"),
        ("upstream = 'a:1'", "unknown key `upstream`, did you mean `backend`?"),
        ("latency = 5", "unknown key `latency`, did you mean the handler `delay` and its `sleep`?"),
        ("port = 80", "unknown key `port`, did you mean `proxy`? (`[http]` has a `port` as well)"),
        ("repeat = 2", "`repeat` belongs to `[run]`, write it there"),
        ("tls.cert = 'a.pem'", "tls.cert: its private key is missing, give `tls.key`"),
        ("tls = 'auto'", "`tls` is `auto`, and has options of its own: `tls.auto = true`"),
        ("backend_tls = true", "`backend_tls` is `true`, and has options of its own: `backend_tls.enabled = true`"),
        ("[tls]", "`[tls]` is empty, write `auto = true`, or `cert` and `key`"),
        ("tls.ca = 'a.pem'", "unknown key `ca` in `[tls]` (known: auto, cert, key)"),
        ("tls_cert = 'a.pem'", "unknown key `tls_cert`, did you mean `tls.cert`?"),
        ("backend_insecure = true", "unknown key `backend_insecure`, did you mean `backend_tls.insecure`?"),
        ("handler_delay_sleep = 1", "unknown key `handler_delay_sleep`, did you mean `handlers.delay.sleep`?"),
        ("http_port = 1", "unknown key `http_port`, did you mean `http.port`?"),
        ("ssl = true", "unknown key `ssl`, did you mean `tls`, or `backend_tls` towards the backend?"),
        ("cert = 'a.pem'", "unknown key `cert`, did you mean `tls.cert`, or `backend_tls.cert` towards the backend?"),
        ("backend = 'https://a/b'", "backend: `https://a/b` is a URL, write `a:443` with `backend_tls.enabled`"),
        ("proxy = 'https://a:1'", "proxy: `https://a:1` is a URL, write `a:1` with `tls.auto`"),
        ("timeout = 5", "`timeout` belongs to `[run]`, write it there"),
        ("handlers.delay = 5", "`handlers.delay` is `5`, write a table, `[handlers.delay]`"),
        ("handler.delay.sleep = 5", "`handler` is a name or a mix, settings are in `[handlers.delay]`"),
        ("delay.sleep = 5", "unknown key `delay`, did you mean `handlers.delay`?"),
    ] {
        assert_eq!(Start::with("").and_file(text).lines(), [format!("vaurien.toml:1: {message}")], "{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    for (text, lines) in [
        ("handlers = [\n", vec!["vaurien.toml:1: unclosed array, expected `]`"]),
        ("backend = 'a:1'\nhandler = 'delay\n", vec!["vaurien.toml:2: invalid literal string, expected `'`"]),
        ("backend = 'a:1'\nbackend = 'b:1'\n", vec!["vaurien.toml:2: duplicate key `backend`, give it once"]),
        (
            "[a\nb = 1\n\n[c]]\n",
            vec![
                "vaurien.toml:1: unclosed table, expected `]`",
                "vaurien.toml:4: unexpected key or value, expected newline, `#`",
            ],
        ),
        (
            "a = 1\na = 2\n[c]]\n",
            vec![
                "vaurien.toml:2: duplicate key `a`, give it once",
                "vaurien.toml:3: unexpected key or value, expected newline, `#`",
            ],
        ),
    ] {
        assert_eq!(Start::file(text).lines(), lines, "{text}");
    }
}

#[test]
fn all_mistakes_of_a_list_of_toxics_are_shown_together() {
    let types = "latency, bandwidth, slow_close, timeout, reset_peer, slicer, limit_data, loss, corrupt, noop";
    let file = "\
backend = 'localhost:6379'
profile = '3g'
toxics = [
  5,
  'noop',
  { type = 'noop' },
  'latenci',
  'noop',
  'bandwidth(rate=5)',
]
";
    assert_eq!(
        Start::file(file).lines(),
        [
            "vaurien.toml:4: `5` is no text, write `\"latency(latency=100ms)\"`".to_owned(),
            "vaurien.toml:6: `{\"type\":\"noop\"}` is no text, write `\"latency(latency=100ms)\"`".to_owned(),
            format!("vaurien.toml:7: `latenci`: unknown toxic `latenci` (known: {types}), did you mean `latency`?"),
            "vaurien.toml:9: `bandwidth(rate=5)`: `rate`: `5` has no unit, write `5KB/s`".to_owned(),
            "vaurien.toml:3: `noop`: another toxic is called `noop_downstream`, write `NAME=noop`".to_owned(),
        ]
    );
}

#[test]
fn json_is_told_from_toml() {
    let what = "vaurien.toml: this is JSON, the configuration file is TOML: write `backend = \"HOST:PORT\"`, or a table \
                `[proxies.NAME]` for each proxy";
    let toxiproxy = "[\n  {\"name\": \"web\", \"listen\": \"[::]:18080\", \"upstream\": \"localhost:8080\"}\n]\n";
    Start::file(toxiproxy).config();
    assert_eq!(Start::file("[{").lines(), ["vaurien.toml: this is no JSON: unexpected EOF"]);
    for text in ["{}", " {\n\"backend\": \"a:1\",\n}"] {
        assert_eq!(Start::file(text).lines(), [what], "{text}");
    }
    Start::file("[http]\n[proxies.a]\nbackend = 'b:1'").config();
    assert_eq!(Start::file("[http").lines().len(), 1);
    assert!(Start::file("[http").lines()[0].starts_with("vaurien.toml:1: unclosed table"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().display().to_string();
    let absent = format!("{shown}/absent.toml");
    assert_eq!(
        Start::args(&format!("--config {absent}")).lines(),
        [format!("--config: cannot read `{absent}`: no such file or directory")]
    );
    let start = Start::with("--buffer 0").and_env("VAURIEN_CONFIG", &shown);
    assert_eq!(
        start.lines(),
        [
            format!("VAURIEN_CONFIG: cannot read `{shown}`: is a directory"),
            "--buffer: `0` is too small, a read takes 1 to 262144 bytes".to_owned(),
        ]
    );
}

#[test]
fn what_another_overrides_is_checked_as_well() {
    let start = Start::with("--handler delay --handler-error-warmup 1").and_file("handler = 'delya'\npool_size = 0");
    assert_eq!(start.lines().len(), 2);
    let unused = Start::with("--handler dummy --handler-delay-sleep -1");
    assert_eq!(unused.lines(), ["--handler-delay-sleep: invalid duration `-1`: it is negative, write 0 or more"]);
}
