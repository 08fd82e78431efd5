//! The names and the file of Toxiproxy's programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::world::program::Ended;
use super::*;

/// A folder in which the program has the names of Toxiproxy's.
struct Names(tempfile::TempDir);

impl Names {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["toxiproxy", "toxiproxy-server", "toxiproxy-cli"] {
            symlink(env!("CARGO_BIN_EXE_vaurien"), folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.0.path().join(name));
        command.args(arguments).env_remove("LOG_LEVEL").env_remove("TOXIPROXY_URL");
        command
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("toxiproxy.json");
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command of `toxiproxy-cli` with the server at `api`.
    fn cli(&self, api: Api, line: &str) -> Ended {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        Program::run(self.command("toxiproxy-cli", &words).env("TOXIPROXY_URL", format!("http://{}", api.0)))
    }

    /// The same for one that is right.
    #[track_caller]
    fn does(&self, api: Api, line: &str) -> String {
        let ended = self.cli(api, line);
        assert_eq!((ended.code, ended.lines.as_slice()), (Some(0), &[][..]), "{line}: {}", ended.stdout);
        ended.stdout
    }
}

#[test]
fn the_server_takes_toxiproxys_flags() {
    let (names, backend) = (Names::new(), Backend::echo());
    let list = json!([{
        "name": "redis:6379", "listen": "127.0.0.1:0", "upstream": backend.address().to_string(), "enabled": true,
        "toxics": [{ "type": "limit_data", "attributes": { "bytes": 2 } }],
    }]);
    let file = names.file(&list.to_string());
    let config = format!("-config={}", file.display());
    for (name, host) in [("toxiproxy-server", "-host=127.0.0.1"), ("toxiproxy", "--host=localhost")] {
        let mut program = Program::spawn(&mut names.command(name, &[host, "-port", "0", &config, "-seed", "5"]));
        assert_eq!(program.seed(), "5");
        let api = program.toxiproxy();
        // An answer implies that the file was read.
        assert_eq!(api.get("/version").status, 200);
        assert_eq!(api.get("/metrics").status, 404);
        let proxy = api.get("/proxies/redis:6379").json();
        let address: SocketAddr = proxy["listen"].as_str().unwrap().parse().unwrap();
        assert_eq!(Client::connect(address).send("hello\n").read_to_end().0, b"he");
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0));
    }
}

#[test]
fn the_version_the_help_and_wrong_flags() {
    let names = Names::new();
    for flag in ["-version", "--version"] {
        let ended = Program::run(&mut names.command("toxiproxy-server", &[flag]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "toxiproxy-server version 2.12.0\n"));
    }
    for flag in ["--version", "-version", "-v"] {
        let ended = Program::run(&mut names.command("toxiproxy-cli", &[flag]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "toxiproxy-cli version 2.12.0\n"), "{flag}");
    }
    let help = Program::run(&mut names.command("toxiproxy-server", &["-help"]));
    assert!(help.code == Some(0) && help.stdout.contains("-proxy-metrics"), "{help:?}");
    for (arguments, line) in [
        (&["-x"][..], "flag provided but not defined: -x"),
        (&["-port=x"], "invalid value \"x\" for -port: a port is 0 to 65535"),
        (&["-config=/no/such.json"], "--config: cannot read `/no/such.json`: no such file or directory"),
        (&["more"], "`more` is no flag"),
    ] {
        let ended = Program::run(&mut names.command("toxiproxy-server", arguments));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(ended.lines[0], format!("toxiproxy-server: {line}"));
    }
}

#[test]
fn metrics_are_served_when_they_are_asked_for() {
    let (names, backend) = (Names::new(), Backend::echo());
    let flags = ["-port=0", "-proxy-metrics"];
    let program = Program::spawn(&mut names.command("toxiproxy-server", &flags));
    let api = program.toxiproxy();
    let address = create(api, "a", backend.address());
    assert_passes(&mut Client::connect(address));
    let upstream = backend.address();
    for name in ["received", "sent"] {
        for direction in ["upstream", "downstream"] {
            let line = format!(
                "toxiproxy_proxy_{name}_bytes_total{{direction=\"{direction}\",listener=\"{address}\",proxy=\"a\",upstream=\"{upstream}\"}} 6"
            );
            let text = api.ask("PUT", "/metrics", "", "").body;
            assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
        }
    }
    assert!(!api.get("/metrics").body.contains("process_"));
    let program = Program::spawn(&mut names.command("toxiproxy-server", &["-port=0", "-runtime-metrics"]));
    let text = program.toxiproxy().get("/metrics").body;
    assert!(text.contains("process_") && !text.contains("toxiproxy_proxy"), "{text}");
}

#[test]
fn a_list_is_a_configuration_file() {
    let (names, backend) = (Names::new(), Backend::echo());
    let list = json!([
        { "name": "a b", "listen": "127.0.0.1:0", "upstream": backend.address().to_string() },
        { "name": "off", "listen": "127.0.0.1:0", "upstream": "somewhere:1", "enabled": false },
    ]);
    let mut command = Program::command("--http --http-port 0 --config");
    let program = Program::spawn(command.arg(names.file(&list.to_string())));
    let ours = program.api();
    assert_passes(&mut ours.client("a%20b"));
    assert_eq!(ours.proxy("off")["enabled"], json!(false));

    // Beside one of its own.
    let mut command = Program::command("--proxy 127.0.0.1:0 --http --http-port 0 --config");
    command.arg(names.file(&list.to_string())).args(["--backend", &backend.address().to_string()]);
    let program = Program::spawn(&mut command);
    for name in ["default", "a%20b"] {
        assert_passes(&mut program.api().client(name));
    }
}

#[test]
fn a_command_finds_the_api_and_its_proxies_are_expected() {
    let (names, backend) = (Names::new(), Backend::echo());
    let cli = names.0.path().join("toxiproxy-cli");
    let script = "\"$0\" -h \"$VAURIEN_TOXIPROXY\" create -l localhost:0 -u \"$1\" redis:6379";
    for (expectation, code) in [("\"redis:6379\".connections=0", 0), ("\"redis:6379\".connections>=1", 3)] {
        let mut command = Program::command("--toxiproxy localhost:0 --expect");
        command.args([expectation, "--", "sh", "-c", script]).arg(&cli).arg(backend.address().to_string());
        let ended = Program::run(&mut command);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), "Created new proxy redis:6379\n"), "{ended:?}");
    }
}

#[test]
fn a_mistake_in_a_list_is_one_of_the_configuration() {
    let names = Names::new();
    for (text, told) in [
        ("[{", "this is no JSON: unexpected EOF"),
        ("[{\"name\":\"a\"}]", "proxy `a`: `upstream` is missing, write `\"upstream\": \"HOST:PORT\"`"),
        (
            "[{\"name\":\"a\",\"upstream\":\"b:1\",\"listen\":\"c\"}]",
            "proxy `a`: listen: address c: missing port in address, write `HOST:PORT`",
        ),
        (
            "[{\"name\":\"a\",\"upstream\":\"b:1\",\"toxics\":[{\"name\":\"t\",\"type\":\"latncy\"}]}]",
            "proxy `a`: toxic `t`: unknown type `latncy` (known: latency, bandwidth, slow_close, timeout, reset_peer, slicer, \
             limit_data, loss, corrupt, noop), did you mean `latency`?",
        ),
        (
            "[{\"name\":\"a\",\"upstream\":\"localhost\"}]",
            "proxy `a`: upstream: `localhost` is no address, write `HOST:PORT`",
        ),
    ] {
        let file = names.file(text);
        let ended =
            Program::run(&mut names.command("toxiproxy-server", &["-port=0", "-config", &file.display().to_string()]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.lines.len() == 1 && ended.lines[0].ends_with(told), "{ended:?}");
        assert!(ended.lines[0].starts_with(&format!("toxiproxy-server: {}: ", file.display())), "{ended:?}");
    }
}

#[test]
fn a_port_in_use_is_told_in_the_words_of_the_list() {
    let (names, taken) = (Names::new(), Backend::echo());
    let list = json!([{ "name": "a", "listen": taken.address().to_string(), "upstream": "b:1" }]);
    let file = names.file(&list.to_string());
    let ended = Program::run(Program::command("--config").arg(file));
    let told = "the port is in use: give another `listen`, or port 0 for a free one";
    assert!(ended.code == Some(1) && ended.lines.iter().any(|line| line.ends_with(told)), "{ended:?}");
}

#[test]
fn what_has_no_effect_in_a_list_is_a_warning() {
    let names = Names::new();
    let list = json!([{ "name": "a", "listen": "localhost:0", "upstream": "b:1", "enabeld": false,
        "toxics": [{ "type": "latency", "attributes": { "latnecy": 5 } }] }]);
    let file = names.file(&list.to_string());
    let warnings = [
        "proxy `a`: the key `enabeld` is unknown and has no effect, did you mean `enabled`?",
        "proxy `a`: toxic `latency_downstream`: the attribute `latnecy` is unknown and has no effect, did you mean `latency`?",
    ];
    let checked = Program::run(Program::command("--check --config").arg(&file));
    assert_eq!((checked.code, checked.lines.len()), (Some(0), 2), "{checked:?}");
    for (line, warning) in checked.lines.iter().zip(warnings) {
        assert!(line.contains("WARN") && line.ends_with(&format!("{}: {warning}", file.display())), "{line}");
    }
    let mut program = Program::spawn(Program::command("--config").arg(&file));
    program.signal("TERM");
    program.wait();
    for warning in warnings {
        assert_eq!(program.seen().iter().filter(|line| line.ends_with(warning)).count(), 1, "{:#?}", program.seen());
    }
}

#[test]
fn a_list_is_printed_as_tables_that_say_the_same() {
    let names = Names::new();
    let list = json!([
        { "name": "redis:6379", "listen": ":16379", "upstream": "localhost:6379",
          "toxics": [{ "type": "latency", "name": "my toxic", "toxicity": 0.5, "attributes": { "latency": 5 } }] },
        { "name": "my \"db\".x", "listen": "localhost:15432", "upstream": "db:5432", "enabled": false },
    ]);
    let file = names.file(&list.to_string());
    let run = |arguments: &str, file: &PathBuf| {
        let ended = Program::run(Program::command(arguments).arg("--config").arg(file));
        assert_eq!((ended.code, ended.lines.as_slice()), (Some(0), &[][..]), "{arguments}");
        ended.stdout
    };
    for more in ["", "--seed 5 --http", "--backend localhost:1 --handler 20:delay --proxy localhost:2 --seed 1"] {
        let text = run(&format!("--print-config {more}"), &file);
        assert!(text.contains("[proxies.\"redis:6379\"]") && text.contains("[proxies.\"my \\\"db\\\".x\"]"), "{text}");
        let toml = names.0.path().join("a.toml");
        fs::write(&toml, &text).unwrap();
        assert_eq!(run("--check", &toml), run(&format!("--check {more}"), &file), "{text}");
        let values = |text: &str| {
            text.lines().map(|line| line.split("  #").next().unwrap().trim_end().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values(&run("--print-config", &toml)), values(&text));
    }
}

#[test]
fn an_address_that_is_wrong_is_one_mistake() {
    for address in ["8475", ":8475", "localhost", "http://localhost:8475"] {
        let ended = Program::run(&mut Program::command(&format!("--toxiproxy={address} --check")));
        assert_eq!((ended.code, ended.lines.len()), (Some(2), 1), "{ended:?}");
        assert!(ended.lines[0].starts_with("vaurien: --toxiproxy: "), "{ended:?}");
    }
}

#[test]
fn both_apis_on_one_address_are_refused() {
    let ended = Program::run(&mut Program::command("--check --http --http-port 8474 --toxiproxy"));
    let told = "vaurien: --toxiproxy: the HTTP API listens on `localhost:8474` as well, give one another port";
    assert_eq!((ended.code, ended.lines.as_slice()), (Some(2), &[told.to_owned()][..]));
    for right in ["--check --http --http-port 0 --toxiproxy localhost:0", "--check --http --toxiproxy"] {
        assert_eq!(Program::run(&mut Program::command(right)).code, Some(0), "{right}");
    }
}

#[test]
fn the_port_of_the_api_is_taken() {
    let (names, backend) = (Names::new(), Backend::echo());
    let port = format!("-port={}", backend.address().port());
    let ended = Program::run(&mut names.command("toxiproxy-server", &["-host=127.0.0.1", &port]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.lines.iter().any(|line| line.contains("for Toxiproxy's API")), "{ended:?}");
}

#[test]
fn the_cli_does_what_it_is_told() {
    let (names, program, backend) = (Names::new(), start(), Backend::echo());
    let (api, upstream) = (program.toxiproxy(), backend.address());
    assert_eq!(names.does(api, "list"), "no proxies\n");
    assert_eq!(names.does(api, &format!("create -l localhost:0 -u {upstream} redis")), "Created new proxy redis\n");
    assert_eq!(
        names.does(api, &format!("create a/b --listen=localhost:0 --upstream={upstream}")),
        "Created new proxy a/b\n"
    );
    let listen = api.get("/proxies/redis").json()["listen"].as_str().unwrap().to_owned();
    assert_passes(&mut Client::connect(listen.parse().unwrap()));

    let add = "toxic add -t latency -tox 0.5 -a latency=100 -a jitter=5 redis";
    assert_eq!(names.does(api, add), "Added downstream latency toxic 'latency_downstream' on proxy 'redis'\n");
    let add = "toxic add -type=bandwidth -n slow -upstream -a rate=0 redis";
    assert_eq!(names.does(api, add), "Added upstream bandwidth toxic 'slow' on proxy 'redis'\n");
    let update = "toxic update -n slow -a rate=7 redis";
    assert_eq!(names.does(api, update), "Updated toxic 'slow' on proxy 'redis'\n");
    let inspected = names.does(api, "inspect redis");
    assert_eq!(
        inspected,
        format!(
            "Name: redis\nListen: {listen}\nUpstream: {upstream}\nEnabled: enabled\nupstream toxics:\n  \
             slow: type=bandwidth stream=upstream toxicity=1 attributes=[rate=7]\ndownstream toxics:\n  \
             latency_downstream: type=latency stream=downstream toxicity=0.5 attributes=[latency=100 jitter=5]\n"
        )
    );
    let list = names.does(api, "list");
    let row: Vec<&str> = list.lines().nth(2).unwrap().split_ascii_whitespace().collect();
    assert_eq!(row, ["redis", &listen, &upstream.to_string(), "enabled", "2"]);
    assert_eq!(names.does(api, "toxic remove -n slow redis"), "Removed toxic 'slow' on proxy 'redis'\n");
    assert_eq!(names.does(api, "toggle redis"), "Proxy redis is now disabled\n");
    assert_eq!(names.does(api, "toggle redis"), "Proxy redis is now enabled\n");
    assert_eq!(names.does(api, "delete a/b"), "Deleted proxy a/b\n");
    assert!(names.does(api, "help").contains("toxic add"));
    // The flag before the variable.
    let list =
        Program::run(names.command("toxiproxy-cli", &["-h", &api.0.to_string(), "ls"]).env("TOXIPROXY_URL", "x:1"));
    assert!(list.code == Some(0) && list.stdout.contains("redis"), "{list:?}");
}

#[test]
fn the_cli_tells_what_is_wrong_in_one_line() {
    let (names, program) = (Names::new(), start());
    let api = program.toxiproxy();
    create(api, "known", Backend::nobody().address());
    names.does(api, "toxic add -t latency -n slow known");
    names.does(api, "toxic add -t latency -u known");
    for (line, code, told) in [
        (
            "toxic add -t latency -a latnecy=5 known",
            2,
            "-a: latency has no attribute `latnecy` (known: latency, jitter), did you mean `latency`?",
        ),
        ("toxic add -t noop -a rate=5 known", 2, "-a: noop has no attribute `rate` (it has none)"),
        ("toxic update -n slow -a rate=5 known", 2, "-a: latency has no attribute `rate` (known: latency, jitter)"),
        (
            "toxic update -n slow -t bandwidth -a rate=5 known",
            2,
            "-t: toxic 'slow' has the type latency, not bandwidth: remove it and add another",
        ),
        ("toxic update -n none known", 1, "HTTP 404: toxic not found"),
        (
            "toxic add -t latency -n slow known",
            1,
            "HTTP 409: toxic already exists: 'slow' on proxy 'known', give another name with -n",
        ),
        (
            "toxic add -t latency -u known",
            1,
            "HTTP 409: toxic already exists: 'latency_upstream' on proxy 'known', give another name with -n",
        ),
        ("inspect none", 1, "HTTP 404: proxy not found"),
        ("toggle none", 1, "HTTP 404: proxy not found"),
        ("toxic add -t latency none", 1, "HTTP 404: proxy not found"),
        ("create -l localhost:0 a", 2, "the flag -upstream is missing"),
        ("create -x", 2, "flag provided but not defined: -x"),
        ("delete", 2, "the name of the proxy is missing"),
        ("delete a b", 2, "`b` is one word too many"),
        ("toxic add -t latency -a latency a", 2, "-a: `latency` is not KEY=NUMBER"),
        ("toxic add -t latency -upstream -downstream a", 2, "-upstream and -downstream: give one of them"),
        ("lst", 2, "unknown command `lst` (known: list, inspect, create, toggle, delete, toxic)"),
    ] {
        let ended = names.cli(api, line);
        let expected = vec![format!("toxiproxy-cli: {told}")];
        assert_eq!((ended.code, ended.stdout.as_str(), ended.lines), (Some(code), "", expected), "{line}");
    }
    let nobody = Backend::nobody();
    let ended = names.cli(Api(nobody.address()), "list");
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 1), "{ended:?}");
}
