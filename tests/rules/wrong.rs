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
            "--rule: `GET => eror`: unknown handler `eror` (known: abort, blackout, corrupt, cut, delay, dummy, error, hang, \
             miss, reply, reset, slow, transient), did you mean `error`?",
        ),
        (
            &["--rule", "header.x=1 => error", "--protocol", "redis"],
            &[],
            "--rule: `header.x=1 => error`: `header.x` needs protocol http, this proxy has redis",
        ),
        (
            &["--protocol", "redis"],
            &[("VAURIEN_RULE", "* => dummy\nGET => error\n")],
            "VAURIEN_RULE: `GET => error` is never reached: `* => dummy` takes all of its calls, put it behind",
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
    let why = "unknown key `match.comand` in a rule (known: command, key, method, path, header, query, client, connection), did you mean `command`?";
    assert_eq!((code, lines), (Some(2), vec![format!("vaurien: {path}:5: {why}")]));
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
