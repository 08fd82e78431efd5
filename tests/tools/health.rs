//! `--health` asks a running daemon whether it is well, and tells by its exit code.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use crate::world::{Backend, File, Program};
use crate::{assert_complains, printed};

fn daemon(arguments: &str) -> (Program, SocketAddr) {
    let vaurien = Program::start(&Backend::echo(), &format!("--http --http-port 0 {arguments}"));
    let address = vaurien.api().0;
    (vaurien, address)
}

#[test]
fn a_daemon_is_well() {
    let (_vaurien, address) = daemon("");
    for daemon in [format!("{address}"), format!("http://{address}/healthz"), format!("localhost:{}", address.port())] {
        assert_eq!(printed(&format!("--health {daemon}")), "", "{daemon}");
    }
}

#[test]
fn no_token_is_needed_and_no_name() {
    let (_vaurien, address) = daemon("--http-host 0.0.0.0 --http-token hush");
    assert_eq!(address.ip(), Ipv4Addr::UNSPECIFIED);
    // As in the daemon's own configuration: nobody can call every address.
    printed(&format!("--health {address}"));
    printed(&format!("--health --http-host 0.0.0.0 --http-port {}", address.port()));
}

#[test]
fn it_asks_where_the_configuration_says() {
    let (_vaurien, address) = daemon("");
    let port = address.port();
    printed(&format!("--health --http-port {port}"));
    let mut command = Program::command("--health");
    let ended = Program::run(command.env("VAURIEN_HTTP_PORT", port.to_string()));
    assert_eq!((ended.code, ended.lines), (Some(0), Vec::new()));
    // Whatever else is wrong with it is no matter.
    let file = File::new(format!("handler = 'dely'\n[http]\nport = {port}\ntoken_file = '/nowhere'\nbufer = 1\n"));
    printed(&format!("--health --config {} --backend nonsense", file.path().display()));
}

#[test]
fn within_a_command_it_asks_the_one_that_runs_it() {
    let backend = Backend::echo();
    let inner = format!("exec {} --health", env!("CARGO_BIN_EXE_vaurien"));
    let run = |inner: &str| {
        let mut command = Program::command("--http --backend");
        command.arg(backend.address().to_string()).args(["--", "sh", "-c", inner]);
        Program::run(&mut command)
    };
    let ended = run(&inner);
    assert_eq!(ended.code, Some(0), "{:?}", ended.lines);
    // Flags are stronger.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(&format!("{inner} --http-host 127.0.0.1 --http-port {}", closed.port()));
    let line = format!("vaurien: http://{closed}/healthz: connection refused: does it run with --http?");
    assert_eq!(ended.code, Some(1), "{:?}", ended.lines);
    assert!(ended.lines.contains(&line), "{:?}", ended.lines);
}

#[test]
fn what_is_not_there_is_code_1() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = format!("http://{closed}/healthz: connection refused: does it run with --http?");
    assert_complains(&format!("--health {closed}"), 1, &[&line]);
    let everywhere = format!("0.0.0.0:{}", closed.port());
    assert_complains(&format!("--health {everywhere}"), 1, &[&line]);
    let ended = Program::run(&mut Program::command("--health nobody.invalid:1"));
    assert_eq!((ended.code, ended.lines.len()), (Some(1), 1), "{:?}", ended.lines);
    assert!(
        ended.lines[0].starts_with("vaurien: http://nobody.invalid:1/healthz: failed to lookup"),
        "{:?}",
        ended.lines
    );
}

#[test]
fn what_is_ill_is_code_1() {
    for (reply, why) in [
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "answers 503 Service Unavailable"),
        ("", "no HTTP answer: connection closed before message completed"),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut request = [0; 1024];
            let len = client.read(&mut request).unwrap();
            client.write_all(reply.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        assert_complains(&format!("--health {address}"), 1, &[&format!("http://{address}/healthz: {why}")]);
        let request = asked.join().unwrap();
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
    }
}

#[test]
fn what_cannot_be_asked_is_code_2() {
    let no_port = "--health: `localhost` has no port, write `localhost:PORT`";
    assert_complains("--health localhost", 2, &[no_port]);
    assert_complains("--health localhost:0", 2, &["--health: `localhost:0` has the port 0, give the daemon's port"]);
    let line = "--http-port: `0` is any free port, say which the daemon has: `--health HOST:PORT`";
    assert_complains("--health --http-port 0", 2, &[line]);
    assert_complains("--health 8080", 2, &["--health: `8080` has no host, write `localhost:8080`"]);
    let off = "the HTTP API is off, say where the daemon has it: `--health HOST:PORT`";
    let file = File::new("[http]\nenabled = false\n");
    let line = format!("{}:2: http.enabled: {off}", file.path().display());
    assert_complains(&format!("--health --config {}", file.path().display()), 2, &[&line]);
    let nobody = format!("{}", Backend::nobody().address());
    let refused = format!("http://{nobody}/healthz: connection refused: does it run with --http?");
    for (value, code, line) in [
        ("false", 2, format!("VAURIEN_HTTP: {off}")),
        ("on", 2, "VAURIEN_HTTP: `on` is not true or false".to_owned()),
        (&*nobody, 1, refused),
    ] {
        let ended = Program::run(Program::command("--health").env("VAURIEN_HTTP", value));
        assert_eq!((ended.code, ended.lines), (Some(code), vec![format!("vaurien: {line}")]));
    }
    // Where it is asked is not known then.
    let line = "--config: cannot read `/nowhere/vaurien.toml`: no such file or directory";
    assert_complains("--health --config /nowhere/vaurien.toml", 2, &[line]);
    let line = "--http-port: `x` is not a whole number, 0 to 65535";
    assert_complains("--health --http-port x", 2, &[line]);
}
