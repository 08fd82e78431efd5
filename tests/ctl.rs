//! `vaurien ctl` as a user runs it, beside a daemon.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod world;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use world::program::Ended;
use world::{Api, Backend, File, Program, eventually};

fn start(backend: &Backend, more: &str) -> Program {
    Program::start(backend, &format!("--http --http-port 0 --http-host 127.0.0.1 --protocol redis {more}"))
}

/// A daemon with the proxies `cache` and `web`.
fn start_two(backend: &Backend) -> Program {
    let proxy = |name| world::file::proxy(name, backend, "");
    File::new(format!("{}{}", proxy("cache"), proxy("web"))).start("")
}

/// `vaurien ctl` with these words for the daemon at `api`.
fn ctl(api: Api, words: &[&str]) -> Command {
    let mut command = Program::command("ctl");
    command.args(["--http", &api.0.to_string()]).args(words);
    command
}

/// What it prints.
#[track_caller]
fn says(api: Api, words: &[&str]) -> String {
    let ended = Program::run(&mut ctl(api, words));
    assert_eq!((ended.code, ended.lines.as_slice()), (Some(0), &[][..]), "{words:?}: {}", ended.stdout);
    ended.stdout
}

/// It ends with `code`, and says this alone.
#[track_caller]
fn complains(command: &mut Command, code: i32, line: &str) {
    let Ended { code: ended, stdout, lines } = Program::run(command);
    assert_eq!((ended, stdout.as_str(), lines), (Some(code), "", vec![format!("vaurien: {line}")]));
}

/// The words of each line.
fn cells(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}

#[test]
fn a_handler_is_changed_and_for_a_while() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    assert_eq!(says(api, &["handler", "error(kind=oom)"]), "default: handler error(kind=oom)\n");
    program.connect().send("GET a\r\n").expect("-OOM ");
    assert_eq!(says(api, &["handler", "default", "dummy", "--for", "30s"]), "default: handler dummy, for 30s\n");
    program.connect().send("GET a\r\n").expect("+GET a\r\n");
    says(api, &["handler", "hang", "--for", "1ms"]);
    eventually("the handler before is back", || api.proxy("default")["handler"] == "error(kind=oom)");
}

#[test]
fn rules_are_added_listed_and_removed() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    assert_eq!(says(api, &["rule", "list"]), "no rules\n");
    let said = says(api, &["rule", "add", "GET user:* times=3 => error(kind=oom)"]);
    assert_eq!(said, "default: added rule rule-1: GET user:* times=3 => error(kind=oom)\n");
    let said = says(api, &["rule", "add", "default", "SET name=writes => error", "--before", "first", "--for", "1h"]);
    assert_eq!(said, "default: added rule writes, for 1 h: SET name=writes => error\n".replace("1 h", &after(&said)));
    program.connect().send("GET user:1\r\n").expect("-OOM ");
    let list = says(api, &["rule", "list", "default"]);
    let rows = cells(&list);
    assert_eq!(rows[0], ["Name", "Rule", "Calls", "Faults", "Excluded", "Left", "Reverts in"]);
    assert_eq!(rows[1][..6], ["writes", "SET name=writes => error", "0", "0", "0", "-"]);
    assert_eq!(rows[2], ["rule-1", "GET user:* times=3 => error(kind=oom)", "1", "1", "0", "2", "-"]);
    assert_eq!(says(api, &["rule", "remove", "rule-1"]), "default: removed rule rule-1\n");
    assert_eq!(cells(&says(api, &["rule", "list"])).len(), 2);
}

/// The time that a line says.
fn after(line: &str) -> String {
    let (_, time) = line.split_once(", for ").unwrap();
    time.split_once([':', '\n']).unwrap().0.to_owned()
}

#[test]
fn toxics_are_added_listed_and_removed() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    assert_eq!(says(api, &["toxic", "list"]), "no toxics\n");
    let said = says(api, &["toxic", "add", "upstream:latency(latency=1ms)"]);
    assert_eq!(said, "default: added toxic latency_upstream: upstream:latency(latency=1ms)\n");
    says(api, &["toxic", "add", "default", "far=latency(latency=2ms)", "--for", "1ms"]);
    program.connect().send("GET a\r\n").expect("+GET a\r\n");
    eventually("the second is gone", || cells(&says(api, &["toxic", "list"])).len() == 2);
    let list = says(api, &["toxic", "list"]);
    let row = cells(&list).remove(1);
    assert_eq!(row[..2], ["latency_upstream", "upstream:latency(latency=1ms)"]);
    assert_eq!(says(api, &["toxic", "remove", "latency_upstream"]), "default: removed toxic latency_upstream\n");
    assert_eq!(says(api, &["toxic", "list"]), "no toxics\n");
}

#[test]
fn a_proxy_is_disabled_enabled_and_reset() {
    let program = start(&Backend::lines(), "");
    let (api, address) = (program.api(), program.address());
    assert_eq!(says(api, &["disable"]), "default: disabled\n");
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_eq!(says(api, &["enable"]), "default: handler dummy\n");
    program.connect().send("GET a\r\n").expect("+GET a\r\n");
    says(api, &["disable", "--for", "1ms"]);
    eventually("it listens again", || std::net::TcpStream::connect(address).is_ok());
    says(api, &["handler", "hang"]);
    says(api, &["rule", "add", "GET => error"]);
    assert_eq!(says(api, &["reset", "default"]), "default: handler dummy\n");
    assert_eq!(says(api, &["rule", "list"]), "no rules\n");
}

#[test]
fn proxies_connections_and_calls_are_tables() {
    let backend = Backend::lines();
    let program = start(&backend, "--rule SET=>error(kind=oom)");
    let api = program.api();
    assert_eq!(says(api, &["connections"]), "no connections\n");
    assert_eq!(says(api, &["calls"]), "no calls\n");
    let mut client = program.connect();
    client.send("GET user:17\r\n").expect("+GET user:17\r\n");
    client.send("GET user:18\r\n").expect("+GET user:18\r\n");
    client.send("SET a\r\n").read_until("\r\n");

    let list = says(api, &["list"]);
    let rows = cells(&list);
    let header = ["Name", "Listen", "Backend", "Protocol", "Enabled", "Handler", "Rules", "Toxics", "Calls", "Faults"];
    assert_eq!(rows[0], header);
    let (listen, backend) = (program.address().to_string(), backend.address().to_string());
    assert_eq!(rows[1], ["default", &listen, &backend, "redis", "yes", "dummy", "1", "0", "3", "1"]);
    // Every line is as wide, up to its last figure.
    let widths: Vec<_> = list.lines().map(str::len).collect();
    assert_eq!(widths[0], widths[1], "{list}");

    let connections = says(api, &["connections"]);
    let rows = cells(&connections);
    assert_eq!(rows[1][0], client.local_address().to_string());
    assert_eq!((rows[1][2], rows[1][3], rows[1][6]), ("-", "1", "3"), "{connections}");

    let calls = says(api, &["calls", "default"]);
    let rows = cells(&calls);
    assert_eq!(rows[0], ["Shape", "Rule", "Calls", "p50", "p99"]);
    assert_eq!(rows[1][..3], ["GET user:*", "GET user:* => error(kind=err)", "2"]);
    assert_eq!(rows[2], ["SET a", "SET a => error(kind=err)", "1", "-", "-"]);

    let tcp = Program::start(&Backend::lines(), "--http --http-port 0 --http-host 127.0.0.1");
    let note = "with protocol tcp, calls have no command and no key to tell them apart\n";
    assert_eq!(says(tcp.api(), &["calls"]), note);
}

#[test]
fn with_json_answers_are_as_they_are() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let same = |words: &[&str], path: &str| {
        let said: Value = serde_json::from_str(&says(api, words)).unwrap();
        assert_eq!(said, api.get(path).json(), "{words:?}");
    };
    same(&["--json", "list"], "/v1/proxies");
    same(&["rule", "list", "--json"], "/v1/proxies/default/rules");
    same(&["connections", "--json"], "/v1/proxies/default/connections");
    same(&["calls", "--json"], "/v1/proxies/default/calls");
    let said: Value = serde_json::from_str(&says(api, &["handler", "hang", "--json"])).unwrap();
    assert_eq!((&said["handler"], &said["applied"]["now"]), (&json!("hang"), &json!(["handler", "handlers"])));
    says(api, &["toxic", "add", "latency(latency=1ms)"]);
    assert_eq!(says(api, &["toxic", "remove", "latency_downstream", "--json"]), "", "the API answers nothing");
    let events = says(api, &["events", "--json"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, api.events());
}

/// A child that is ended when it is dropped.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an event says behind its time.
fn said(line: &str) -> &str {
    let (time, said) = line.split_once(' ').unwrap();
    assert!(time.len() == "2026-11-25T17:46:41.044Z".len() && time.ends_with('Z'), "{line}");
    said
}

#[test]
fn events_are_a_line_each_and_can_be_followed() {
    let program = start(&Backend::lines(), "--handler error(kind=oom)");
    let api = program.api();
    assert_eq!(says(api, &["events"]), "");
    program.connect().send("GET a\r\n").read_until("\r\n");
    eventually("the event is there", || api.events().len() == 1);
    let first = "default: error answer, connection 1, call 1: GET a";
    assert_eq!(said(says(api, &["events"]).trim_end()), first);

    // Following begins with the next event, or where it is told to.
    let follow = |more: &[&str]| {
        let mut command = ctl(api, &[&["events", "-f"][..], more].concat());
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        (Follower(child), lines)
    };
    let (mut since, mut old) = follow(&["--since", "0"]);
    assert_eq!(said(&old.next().unwrap()), first);
    let reply = api.ask("PATCH", "/v1/proxies/default", "Vaurien-Label: test_pay\r\n", r#"{"handler": "dummy"}"#);
    assert_eq!(reply.status, 200);
    assert_eq!(said(&old.next().unwrap()), "default: plan dummy [test_pay]");
    // A daemon that stops ends the stream.
    program.stop();
    assert_eq!(old.next(), None);
    assert_eq!(since.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_stops_early_ends_it() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let mut command = ctl(api, &["events", "-f", "--since", "0"]);
    let mut child = Follower(command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap());
    drop(child.0.stdout.take());
    let mut ended = None;
    eventually("it ends", || {
        api.patch("/v1/proxies/default", r#"{"handler": "dummy"}"#);
        ended = child.0.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn of_several_proxies_one_has_to_be_named() {
    let program = start_two(&Backend::lines());
    let api = program.api();
    for words in [&["handler", "delay"][..], &["rule", "list"], &["toxic", "remove", "a"], &["reset"], &["calls"]] {
        complains(&mut ctl(api, words), 2, "which proxy? the daemon has several: cache, web");
    }
    assert_eq!(says(api, &["handler", "web", "delay"]), "web: handler delay\n");
    assert_eq!(cells(&says(api, &["list"])).len(), 3);
    let unknown = "there is no proxy `wep` (there are: cache, web), did you mean `web`?";
    complains(&mut ctl(api, &["reset", "wep"]), 1, unknown);
    complains(&mut ctl(api, &["handler", "web"]), 2, "`web` is a proxy: what is it to get? see --help");
}

#[test]
fn a_refusal_is_told_as_the_api_tells_it() {
    let program = start(&Backend::lines(), "");
    let api = program.api();
    let (rule, path) = (["rule", "add", "GET error"], "/v1/proxies/default/rules");
    let refused = api.post_body(path, r#"{"rule": "GET error"}"#).json();
    let error = refused["errors"][0]["description"].as_str().unwrap();
    let Ended { code, lines, .. } = Program::run(&mut ctl(api, &rule));
    assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?}");
    assert!(lines[0].ends_with(error), "{lines:?}");
    complains(&mut ctl(api, &["rule", "remove", "pay"]), 1, "`default` has no rule `pay`, it has none");
    complains(&mut ctl(api, &["handler", "delay", "--for", "0"]), 1, "for: `0` would end at once, give more than 0");
}

#[test]
fn a_daemon_that_is_not_there_is_told() {
    let nobody = Backend::nobody();
    let api = Api(nobody.address());
    complains(&mut ctl(api, &["list"]), 1, &format!("{}: connection refused: does it run with --http?", api.0));
    let other = Backend::new(|stream| {
        let mut stream = world::Client::from(stream);
        stream.read_until("\r\n\r\n");
        stream.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    let line = "HTTP 404: is this the HTTP API of vaurien?";
    complains(&mut ctl(Api(other.address()), &["list"]), 1, line);
}

/// A server that answers each request, whose line it is given, with these bytes, and closes.
fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Backend {
    Backend::new(move |stream| {
        let mut reader = BufReader::new(&stream);
        let head: Vec<String> =
            reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        // A body that is left unread would end the connection before its answer is read.
        reader.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
        (&stream).write_all(answer(&head[0]).as_bytes()).unwrap();
    })
}

fn with_body(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_server_that_is_not_vaurien_is_told() {
    let all: [&[&str]; 12] = [
        &["list"],
        &["handler", "p", "delay"],
        &["rule", "add", "p", "GET => error"],
        &["rule", "remove", "p", "a"],
        &["toxic", "add", "p", "noop"],
        &["toxic", "list", "p"],
        &["rule", "list", "p"],
        &["enable", "p"],
        &["reset", "p"],
        &["connections", "p"],
        &["calls", "p"],
        &["events"],
    ];
    for body in ["hello", "", "[]", "{}", "null"] {
        let anything = answering(move |_| with_body("200 OK", body));
        // Only the first answer is right.
        let almost = answering(move |line| {
            let is_list = line.starts_with("GET /v1/proxies HTTP");
            with_body("200 OK", if is_list { r#"{"proxies": {"p": {}}}"# } else { body })
        });
        for words in all {
            for more in [&[][..], &["--json"]] {
                let words = [words, more].concat();
                let line = "this is not the HTTP API of vaurien";
                complains(&mut ctl(Api(anything.address()), &words), 1, line);
                if words[0] != "list" {
                    complains(&mut ctl(Api(almost.address()), &words), 1, line);
                }
            }
        }
    }
}

#[test]
fn a_terminal_takes_no_command_from_a_server() {
    let hostile = answering(|line| match line.split(' ').next().unwrap() {
        "GET" if line.contains("/events") => {
            let event = r#"{"event":"opaque","time":"\u001b]0;x\u0007","proxy":"a","why":"b","connection":"c"}"#;
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {event}\n\ndata: \u{9b}1m\n\n")
        }
        "GET" => with_body("200 OK", r#"{"proxies": {"a\u001b[1m": {"name": "\u001b"}, "p\nq": {}, "p": {}}}"#),
        "POST" => {
            let error = r#"{"location": "body", "name": "\u001b", "description": "\u009b1m\nb"}"#;
            with_body("400 Bad Request", &format!(r#"{{"errors": [{error}]}}"#))
        }
        _ => with_body("500 No", "\u{1b}[2J"),
    });
    let api = Api(hostile.address());
    for words in [&["list"][..], &["events"], &["events", "--json"]] {
        let said = says(api, words);
        assert!(!said.contains(|char: char| char.is_control() && char != '\n'), "{said:?}");
    }
    let several = r"which proxy? the daemon has several: a\u{1b}[1m, p\nq, p";
    complains(&mut ctl(api, &["calls"]), 2, several);
    let unknown = r"there is no proxy `nope` (there are: a\u{1b}[1m, p\nq, p)";
    complains(&mut ctl(api, &["calls", "nope"]), 1, unknown);
    complains(&mut ctl(api, &["rule", "add", "p", "GET => error"]), 1, r"\u{1b}: \u{9b}1m\nb");
    complains(&mut ctl(api, &["enable", "p"]), 1, r"HTTP 500: \u{1b}[2J");
}

#[test]
fn an_answer_that_does_not_end_is_not_read_to_its_end() {
    for (head, words, why) in [
        ("HTTP/1.1 200 OK\r\n\r\n", &["list"][..], "the answer is longer than 16 MiB"),
        ("HTTP/1.1 500 No\r\n\r\n", &["events"], "the answer is longer than 16 MiB"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            &["events", "-f"],
            "a line is longer than 1 MiB",
        ),
    ] {
        let endless = Backend::new(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b'a'; 8192]).is_ok() {}
        });
        let address = endless.address();
        complains(&mut ctl(Api(address), words), 1, &format!("{address}: {why}"));
    }
}

#[test]
fn a_name_that_is_there_already_is_to_be_removed_first() {
    let program = start(&Backend::lines(), "--rule SET=>error --toxic far=noop");
    let api = program.api();
    for words in [["rule", "add", "GET name=rule-1 => error"], ["toxic", "add", "far=latency(latency=1ms)"]] {
        let ended = Program::run(&mut ctl(api, &words));
        assert_eq!((ended.code, ended.lines.len()), (Some(1), 1), "{ended:?}");
        assert!(ended.lines[0].ends_with("already: give another, or remove it first"), "{ended:?}");
    }
}

#[test]
fn wrong_arguments_are_told_in_a_line() {
    let api = Api(Backend::nobody().address());
    let commands = "list, handler, rule, toxic, enable, disable, reset, connections, calls, events";
    for (words, line) in [
        (&[][..], format!("no command: {commands}")),
        (&["lst"], format!("unknown command `lst` (known: {commands}), did you mean `list`?")),
        (&["rule"], "no command: add, list, remove".to_owned()),
        (&["toxic", "ad"], "unknown command `ad` (known: add, list, remove), did you mean `add`?".to_owned()),
        (&["handler"], "MIX is missing, see --help".to_owned()),
        (&["rule", "add"], "RULE is missing, see --help".to_owned()),
        (&["handler", "a", "b", "c"], "`c` is one word too many: quote what belongs together".to_owned()),
        (&["list", "--jsn"], "unknown option `--jsn`, see --help".to_owned()),
        (&["handler", "delay", "--for"], "`--for` needs a value, see --help".to_owned()),
        (&["events", "--since", "x"], "--since: `x` is not an event's number".to_owned()),
        (&["list", "--http", "nowhere"], String::new()),
    ] {
        if line.is_empty() {
            let ended = Program::run(Program::command("ctl --http nowhere list").env_remove("VAURIEN_HTTP"));
            assert_eq!((ended.code, ended.lines.len()), (Some(2), 1), "{ended:?}");
            assert!(ended.lines[0].starts_with("vaurien: --http: "), "{ended:?}");
            continue;
        }
        complains(&mut ctl(api, words), 2, &line);
    }
}

#[test]
fn help_is_a_command_as_well_and_ctl_comes_first() {
    let api = Api(Backend::nobody().address());
    assert_eq!(Program::run(&mut Program::command("ctl help")).stdout, says(api, &["--help"]));
    complains(&mut Program::command("--http ctl list"), 2, "`ctl` comes first: `vaurien ctl …`");
}

#[test]
fn an_answer_that_cannot_be_written_is_told() {
    let program = start(&Backend::lines(), "");
    let full = std::fs::File::create("/dev/full").unwrap();
    let ended = ctl(program.api(), &["list"]).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("cannot write the answer: No space left"));
}

#[test]
fn a_shell_may_name_a_daemon_for_ctl() {
    let program = start(&Backend::lines(), "");
    let mut other = Program::command("--backend localhost:9 --check");
    let ended = Program::run(other.env("VAURIEN_HTTP", program.api().0.to_string()));
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.lines[0].contains("is where `vaurien ctl` finds a daemon, add `--http` to serve the API"),
        "{ended:?}"
    );
}

#[test]
fn the_token_is_that_of_the_daemon() {
    let program = start(&Backend::lines(), "--http-token hush");
    let api = program.api();
    let missing = "the token is missing, send `Authorization: Bearer TOKEN` with that of `--http-token`";
    complains(&mut ctl(api, &["list"]), 1, missing);
    let wrong = "the token is wrong, send `Authorization: Bearer TOKEN` with that of `--http-token`";
    complains(&mut ctl(api, &["list", "--http-token", "loud"]), 1, wrong);
    says(api, &["list", "--http-token", "hush"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hush\n").unwrap();
    says(api, &["list", "--http-token-file", path.to_str().unwrap()]);
    for (variable, value) in [("VAURIEN_HTTP_TOKEN", "hush"), ("VAURIEN_HTTP_TOKEN_FILE", path.to_str().unwrap())] {
        let ended = Program::run(ctl(api, &["list"]).env(variable, value));
        assert_eq!(ended.code, Some(0), "{variable}: {ended:?}");
    }
    complains(ctl(api, &["list"]).env("VAURIEN_HTTP_TOKEN", ""), 2, "VAURIEN_HTTP_TOKEN: the token is empty");
}

#[test]
fn variables_say_where_the_daemon_is() {
    let program = start(&Backend::lines(), "");
    let address = program.api().0;
    let (text, port) = (address.to_string(), address.port().to_string());
    let list = |variables: &[(&str, &str)]| {
        let mut command = Program::command("ctl list");
        Program::run(command.envs(variables.iter().copied())).code
    };
    assert_eq!(list(&[("VAURIEN_HTTP", &text)]), Some(0));
    assert_eq!(list(&[("VAURIEN_HTTP", &format!("http://{text}/"))]), Some(0));
    // For a daemon it may say that the API is on.
    let host = ("VAURIEN_HTTP_HOST", "0.0.0.0");
    assert_eq!(list(&[("VAURIEN_HTTP", "true"), host, ("VAURIEN_HTTP_PORT", &port)]), Some(0));
    assert_eq!(list(&[("VAURIEN_HTTP_PORT", "x")]), Some(2));
    // The command of a vaurien reaches that one.
    let mut around = Program::command("--http --proxy 127.0.0.1:0 --backend");
    around.arg(Backend::lines().address().to_string());
    let ended =
        Program::run(around.args(["--", env!("CARGO_BIN_EXE_vaurien"), "ctl", "handler", "--for", "1m", "hang"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("default: handler hang, for "), "{ended:?}");
}

#[test]
fn the_help_names_every_command() {
    let help = Program::run(&mut Program::command("ctl --help"));
    assert_eq!(help.code, Some(0), "{help:?}");
    for command in ["list", "handler", "rule", "toxic", "enable", "disable", "reset", "connections", "calls", "events"]
    {
        let line = |line: &str| line.trim_start().starts_with(&format!("{command} "));
        assert!(help.stdout.lines().any(line), "{command}: {}", help.stdout);
    }
    let help = Program::run(&mut Program::command("ctl rule add -h"));
    assert!(help.code == Some(0) && help.stdout.contains("vaurien ctl rule add"), "{help:?}");
    for help in ["--help", "-h"] {
        let help = Program::run(&mut Program::command(help));
        assert_eq!(help.stdout.lines().filter(|line| line.contains("vaurien ctl")).count(), 1, "{}", help.stdout);
    }
}
