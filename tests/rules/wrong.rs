//! Rules that cannot be, and where they are written.

use super::world::{Backend, File, Program};

/// What the program says to these arguments.
fn says(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, Vec<String>) {
    let mut command = Program::command("--backend localhost:6379");
    let ended = Program::run(command.args(arguments).envs(variables.iter().copied()));
    (ended.code, ended.stdout, ended.lines)
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (arguments, variables, line) in [
        (
            &["--rule", "GET => eror", "--check"][..],
            &[][..],
            "--rule: `GET => eror`: unknown handler `eror` (known: abort, blackout, corrupt, cut, delay, dummy, error, goaway, hang, \
             miss, reply, reset, slow, tls, transient), did you mean `error`?",
        ),
        (
            &["--rule", "header.x=1 => error", "--protocol", "redis"],
            &[],
            "--rule: `header.x=1 => error`: `header.x` needs protocol http, this proxy has redis",
        ),
        (
            &["--protocol", "redis"],
            &[("VAURIEN_RULE", "* => dummy\nGET => error\n")],
            "VAURIEN_RULE: `GET => error` is never reached: `* => dummy` takes all of its calls, move this rule before it",
        ),
        (
            &["--rule", "GET => error"],
            &[],
            "--rule: `GET => error`: the command cannot be told with protocol tcp, which knows `client`, `connection` and counts only",
        ),
        (
            &["--rule", "GET => error", "--rule", "", "--protocol", "redis"],
            &[],
            "--rule: ``: a rule needs a `=>` and a handler, write `GET /pay* => error`",
        ),
        (
            &["--rule", "*.json => error", "--protocol", "http"],
            &[],
            "--rule: `*.json => error`: `*.json` is compared with the method, write `path=*.json`",
        ),
        (
            &["--rule", "connection=1 name=default => error"],
            &[],
            "--rule: `connection=1 name=default => error`: a proxy is named `default` as well, write `name=…` with another",
        ),
    ] {
        assert_eq!(says(arguments, variables), (Some(2), String::new(), vec![format!("vaurien: {line}")]));
    }
    let file = File::new(
        "backend = \"a:1\"\nprotocol = \"redis\"\nrules = [\n  \"GET => error\",\n  { match = { comand = \"SET\" }, handler = \"error\" },\n]\n",
    );
    let path = file.path().to_str().unwrap();
    let (code, _, lines) = says(&["--config", path], &[]);
    let why = "unknown key `match.comand` in a rule (known: command, key, service, method, path, header, query, client, connection), did you mean `command`?";
    assert_eq!((code, lines), (Some(2), vec![format!("vaurien: {path}:5: {why}")]));
}

#[test]
fn all_mistakes_of_a_table_are_told_at_once() {
    let file = File::new(
        "backend = \"a:1\"\nprotocol = \"redis\"\nrules = [\n  { name = \"a b\", time = 3, match = { comand = \"SET\" }, handler = \"error\" },\n]\n",
    );
    let path = file.path().to_str().unwrap();
    let (code, _, mut lines) = says(&["--config", path], &[]);
    lines.sort();
    let whys =
        ["invalid name `a b`: write 1 to", "unknown key `match.comand` in a rule", "unknown key `time` in a rule"];
    assert_eq!((code, lines.len()), (Some(2), whys.len()), "{lines:#?}");
    for (line, why) in lines.iter().zip(whys) {
        assert!(line.starts_with(&format!("vaurien: {path}:4: {why}")), "{line}");
    }
}

#[test]
fn kinds_are_those_of_the_protocol() {
    for (options, own) in [
        (
            &["--protocol", "redis", "--rule", "GET => error(kind=READONLY)"][..],
            "`kind`: `READONLY` is not one of err, loading, busy, readonly, oom, moved, ask, tryagain, clusterdown, masterdown, noauth, wrongpass, noscript, misconf, did you mean `readonly`?",
        ),
        (
            &["--handler", "error(kind=OOM)", "--protocol", "memcache"],
            "`kind`: `OOM` is not one of server_error, client_error, error, oom, busy, did you mean `oom`?",
        ),
        (
            &["--handler", "error", "--handler-error-kind", "OOM", "--protocol", "memcache"],
            "--handler-error-kind: `OOM` is not one of server_error, client_error, error, oom, busy, did you mean `oom`?",
        ),
    ] {
        let (code, _, lines) = says(options, &[]);
        assert!(code == Some(2) && lines.iter().any(|line| line.ends_with(own)), "{own}: {lines:#?}");
    }
}

#[test]
fn what_can_hardly_be_meant_is_a_warning() {
    for (protocol, rule, why) in [
        ("http", "PSOT /pay => error", "`PSOT` is no method of HTTP, did you mean `POST`?"),
        (
            "grpc",
            "Pay* => error",
            "`Pay*` is compared with the method of HTTP, which is POST with gRPC: write `method=Pay*`",
        ),
        ("redis", "SET x => miss", "`miss` never acts on SET, whose replies cannot say that there is nothing"),
    ] {
        let (code, _, lines) = says(&["--check", "--protocol", protocol, "--rule", rule], &[]);
        assert_eq!((code, lines.len()), (Some(0), 1), "{lines:#?}");
        assert!(lines[0].ends_with(&format!("WARN --rule: `{rule}`: {why}")), "{lines:#?}");
    }
    let (code, _, lines) = says(&["--protocol", "http", "--rule", "GET http://x/pay => error"], &[]);
    let why = "--rule: `GET http://x/pay => error`: `http://x/pay` is no path, write `/pay`, and `header.host=x` for the host";
    assert_eq!((code, lines), (Some(2), vec![format!("vaurien: {why}")]));
}

#[test]
fn flags_replace_the_whole_list_of_the_file() {
    let file = File::new("backend = \"a:1\"\nprotocol = \"redis\"\nrules = [\"GET => error\", \"SET => hang\"]\n");
    let path = file.path().to_str().unwrap();
    let (code, checked, _) = says(&["--config", path, "--check"], &[]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = checked.lines().take(3).collect();
    assert_eq!(lines[1..], ["  rule rule-1: GET => error", "  rule rule-2: SET => hang"]);
    assert!(lines[0].ends_with("protocol redis, 2 rules, handler dummy"), "{checked}");
    let flags = ["--config", path, "--check", "--rule", "DEL => 20:delay,5:error", "--rule", "PING name=p => reset"];
    let (_, checked, _) = says(&flags, &[("VAURIEN_RULE", "X => error")]);
    let lines: Vec<&str> = checked.lines().skip(1).take(2).collect();
    assert_eq!(lines, ["  rule rule-1: DEL => 20:delay,5:error", "  rule p: PING name=p => reset"]);
    let (_, printed, _) =
        says(&["--config", path, "--print-config"], &[("VAURIEN_RULE", "DEL => delay\n\nGET => error")]);
    assert!(printed.contains("rules = [\"DEL => delay\", \"GET => error\"]  # VAURIEN_RULE"), "{printed}");
    assert!(printed.contains("[handlers.delay]\n") && !printed.contains("[handlers.hang]"), "{printed}");
}

#[test]
fn settings_of_handlers_are_those_of_the_proxy() {
    let backend = Backend::lines();
    let program = super::start(&backend, "redis", &["GET => delay"], "--handler-delay-sleep 50ms");
    let begun = std::time::Instant::now();
    assert_eq!(super::pass(&mut program.connect(), &["GET a"]), [true]);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(50));
}
