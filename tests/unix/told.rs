//! What options, variables, keys and requests say of Unix sockets, and what is shown of them.

use std::fs;

use super::world::Program;
use super::world::program::assert_complains;
use super::{Folder, lines, start};

#[test]
fn a_flag_a_variable_a_key_and_a_request_name_them() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let file = folder.path("vaurien.toml");
    fs::write(&file, format!("proxy = \"{}\"\nbackend = \"{backend}\"\n", folder.at("proxy"))).unwrap();
    let mut of_file = Program::command("--config");
    of_file.arg(&file);
    let mut of_variables = Program::command("");
    of_variables.env("VAURIEN_PROXY", folder.at("proxy")).env("VAURIEN_BACKEND", &backend);
    for mut command in [of_file, of_variables] {
        let mut vaurien = Program::spawn(command.args(["--http", "--http-port", "0"]));
        folder.connect("proxy").send("a\r\n").expect("+a\r\n");
        assert!(
            vaurien.seen().iter().any(|line| line.contains(&format!("ready: {} -> {backend}", folder.at("proxy"))))
        );
        let shown = vaurien.api().proxy("default");
        assert_eq!(shown["proxy"], folder.at("proxy"));
        assert_eq!(shown["backend"], backend);
        // What was read can be written.
        let body = format!(r#"{{"proxy": {}, "backend": {}}}"#, shown["proxy"], shown["backend"]);
        assert_eq!(vaurien.api().put("/v1/proxies/default", &body).status, 200);
        folder.connect("proxy").send("b\r\n").expect("+b\r\n");
        vaurien.signal("TERM");
        assert_eq!(vaurien.wait(), Some(0));
    }
}

#[test]
fn a_rule_for_clients_never_matches_one_on_a_unix_socket() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let file = folder.path("vaurien.toml");
    let text = format!(
        "proxy = \"{}\"\nbackend = \"{backend}\"\nprotocol = \"redis\"\n\
         rules = [\"client=0.0.0.0/0 => blackout\", \"client=::/0 => blackout\", \"GET => miss\"]\n",
        folder.at("proxy")
    );
    fs::write(&file, text).unwrap();
    let vaurien = Program::spawn(Program::command("--config").arg(&file));
    folder.connect("proxy").send("GET a\r\nPING\r\n").expect("$-1\r\n+PING\r\n");
    let counts = vaurien.stop();
    assert_eq!((counts.calls("rule-3.miss"), counts.calls("dummy"), counts.of("connection")), (1, 1, 1));
}

#[test]
fn a_ready_file_and_a_check_show_them() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let (at, ready) = (folder.at("proxy"), folder.path("ready"));
    let vaurien = start(&at, &backend, &format!("--ready-file {}", ready.display()));
    let text = fs::read_to_string(&ready).unwrap();
    assert_eq!(text.lines().next().unwrap(), format!("VAURIEN_PROXY={at}"));
    assert!(!text.contains("_HOST") && !text.contains("_PORT"), "{text}");
    vaurien.stop();
    let checked = Program::run(&mut Program::command(&format!("--proxy {at} --backend {backend} --check")));
    assert!(checked.stdout.starts_with(&format!("{at} -> {backend}, protocol tcp, handler dummy")), "{checked:?}");
    assert!(!folder.has("proxy"));
}

#[test]
fn what_needs_a_port_says_so() {
    let only = "is a Unix socket, which only a proxy and a backend can have, write `HOST:PORT`";
    assert_complains("--backend localhost:1 --toxiproxy unix:/x", 2, &[&format!("--toxiproxy: `unix:/x` {only}")]);
    assert_complains("--health=unix:/x", 2, &[&format!("--health: `unix:/x` {only}")]);
    assert_complains(
        "--backend localhost:1 --http --http-host unix:/x",
        2,
        &["--http-host: `unix:/x` is not a host, write a name or an IP address"],
    );
    assert_complains(
        "--backend localhost:1 --statsd-host unix:/x",
        2,
        &["--statsd-host: `unix:/x` is not a host, write a name or an IP address"],
    );
    assert_complains("--demo --proxy unix:/x", 2, &["--proxy: `unix:/x` is a Unix socket, the demo needs `HOST:PORT`"]);
    assert_complains(
        "--proxy unix:/x --backend localhost:1 -- echo {host}:{port}",
        125,
        &[
            "`{host}` in the command: a Unix socket has no host and no port, write `{proxy}`",
            "`{port}` in the command: a Unix socket has no host and no port, write `{proxy}`",
        ],
    );
    assert_complains(
        "--proxy /run/x.sock --backend unix:",
        2,
        &[
            "--proxy: `/run/x.sock` is a path, write `unix:/run/x.sock`",
            "--backend: `unix:` has no path, write `unix:/PATH`",
        ],
    );
    let long = "x".repeat(200);
    assert_complains(
        &format!("--proxy unix:/{long} --backend localhost:1"),
        2,
        &[&format!("--proxy: `unix:/{long}` has a path of 201 bytes, the system allows 107 for a socket")],
    );
}

#[test]
fn toxiproxys_api_makes_none_and_shows_those_that_there_are() {
    let folder = Folder::new();
    let backend = folder.serve("backend", lines);
    let vaurien = start(&folder.at("proxy"), &backend, "--toxiproxy localhost:0");
    let api = vaurien.toxiproxy();
    let shown = api.get("/proxies/default").json();
    assert_eq!((&shown["listen"], &shown["upstream"]), (&folder.at("proxy").into(), &backend.as_str().into()));
    let body = format!(r#"{{"name": "made", "listen": "{}", "upstream": "localhost:1"}}"#, folder.at("made"));
    let reply = api.post_body("/proxies", &body);
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(!folder.has("made"));
    // Its toxics act on them.
    let toxic = r#"{"type": "limit_data", "attributes": {"bytes": 4}}"#;
    assert_eq!(api.post_body("/proxies/default/toxics", toxic).status, 200);
    folder.connect("proxy").send("abcdef\r\n").expect("+abc");
    vaurien.stop();
}
