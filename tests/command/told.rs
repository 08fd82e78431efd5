//! How the command finds the proxies, and its environment.

use std::io::Write;
use std::process::Stdio;

use super::world::{Backend, File};
use super::{Ran, around, run, run_script};

/// Says a line to the address that `sh` finds in `$1`, and shows the reply.
const CALL: &str = r#"exec 3<>"/dev/tcp/${1%:*}/${1##*:}"; printf 'hello\r\n' >&3; read -r reply <&3; echo "$reply""#;

#[test]
fn it_reaches_the_backend_through_the_proxy() {
    let backend = Backend::lines();
    let ran = run(&backend, "--handler dummy", &["bash", "-c", CALL, "call", "{proxy}"]).ends(0);
    assert_eq!(ran.stdout.trim_end(), "+hello");
    let by_variable = CALL.replace("$1", "$VAURIEN_PROXY").replace("{1", "{VAURIEN_PROXY");
    let ran = run(&backend, "", &["bash", "-c", &by_variable]).ends(0);
    assert_eq!(ran.stdout.trim_end(), "+hello");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn variables_and_placeholders_agree() {
    let backend = Backend::lines();
    let script =
        r#"echo "$VAURIEN_PROXY $VAURIEN_PROXY_HOST $VAURIEN_PROXY_PORT $VAURIEN_HTTP $VAURIEN_SEED"; echo "$0""#;
    let words = "{proxy} {host} {port} {http} {seed}";
    let ran = run(&backend, "--http --seed 42", &["sh", "-c", script, words]).ends(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], lines[1], "{ran:?}");
    let [proxy, host, port, http, seed] = lines[0].split(' ').collect::<Vec<_>>()[..] else { panic!("{ran:?}") };
    assert_eq!((format!("{host}:{port}").as_str(), seed), (proxy, "42"));
    assert!(proxy != http && port != "8000" && !http.ends_with(":8080"), "no port that may be taken: {ran:?}");
}

#[test]
fn braces_of_a_shell_or_of_python_can_be_kept() {
    let backend = Backend::lines();
    let ran = run(&backend, "", &["sh", "-c", "for port in 1 2; do echo ${port}; done"]).ends(0);
    assert_eq!(ran.stdout, "1\n2\n");
    let ran = run(&backend, "", &["sh", "-c", r#"echo "$0""#, r#"print(f"{{host}}:{{port}}")"#]).ends(0);
    assert_eq!(ran.stdout, "print(f\"{host}:{port}\")\n");
    // What is not replaced needs no proxy.
    let kept = "${http} {{http}} ${port.none} {{port.none}}";
    let ran = run(&backend, "", &["sh", "-c", r#"echo "$0""#, kept]).ends(0);
    assert_eq!(ran.stdout, "${http} {http} ${port.none} {port.none}\n");
}

#[test]
fn values_of_variables_are_kept() {
    let backend = Backend::lines();
    let mut vaurien = around(&backend, "", &["sh", "-c", r#"echo "$OF_MY_OWN""#]);
    let ran = Ran::from(vaurien.env("OF_MY_OWN", "{port} ${port} {{port}}").output().unwrap()).ends(0);
    assert_eq!(ran.stdout, "{port} ${port} {{port}}\n");
}

#[test]
fn several_proxies_have_variables_of_their_own() {
    let backend = Backend::lines();
    let at = backend.address();
    let file = File::new(format!(
        "[proxies.cache]\nbackend = \"{at}\"\n[proxies.the-api]\nbackend = \"{at}\"\nproxy = \"[::1]:0\"\n"
    ));
    let config = format!("--config {}", file.path().display());
    let script = r#"echo "$VAURIEN_PROXY_CACHE $VAURIEN_PROXY_THE_API $VAURIEN_PROXY_THE_API_HOST $VAURIEN_PROXY_THE_API_PORT ${VAURIEN_PROXY-unset}"; echo "$0""#;
    let mut vaurien = super::Program::command(&config);
    vaurien.args(["--", "sh", "-c", script, "{proxy.cache} {proxy.the-api} {host.the-api} {port.the-api} unset"]);
    let ran = Ran::from(vaurien.output().unwrap()).ends(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], lines[1], "{ran:?}");
    assert!(lines[0].contains("[::1]:") && lines[0].contains(" ::1 "), "{ran:?}");

    let wrong = |words: &str| {
        Ran::from(super::Program::command(&config).args(["--", "echo", words]).output().unwrap()).ends(125)
    };
    wrong("{proxy}").says("`{proxy}` in the command: there are 2 proxies, write `{proxy.cache}`");
    wrong("{port.cahce}").says("did you mean `cache`?");
    wrong("{http}").says("there is no HTTP API, add `--http`");
    wrong("{toxiproxy}").says("there is no API of Toxiproxy, add `--toxiproxy`");
}

#[test]
fn two_names_for_one_variable_are_an_error() {
    let backend = Backend::lines();
    let proxy = |name| format!("[proxies.{name}]\nbackend = \"{}\"\nproxy = \"127.0.0.1:0\"\n", backend.address());
    let file = File::new(proxy("a-b") + &proxy("a_b"));
    let mut vaurien = super::Program::command(&format!("--config {}", file.path().display()));
    let ran = Ran::from(vaurien.args(["--", "true"]).output().unwrap()).ends(125);
    ran.says("VAURIEN_PROXY_A_B would have two values");
}

#[test]
fn its_streams_are_its_own() {
    let backend = Backend::lines();
    let mut vaurien = around(&backend, "--handler error --allow-no-calls", &["sh", "-c", "cat; echo oops >&2"]);
    let mut child = vaurien.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from standard input").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap()).ends(0);
    assert_eq!(ran.stdout, "from standard input", "vaurien says nothing there");
    assert!(ran.stderr.lines().any(|line| line == "oops"), "{ran:?}");
}

#[test]
fn the_rest_of_its_environment_is_as_it_was() {
    let backend = Backend::lines();
    let script = "echo $OF_MY_OWN $(ulimit -Sn); kill -s PIPE $$; echo on";
    let limited = "ulimit -Sn 256; exec \"$0\" \"$@\"";
    let vaurien = around(&backend, "", &["sh", "-c", script]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", limited]).arg(vaurien.get_program()).args(vaurien.get_args()).env("OF_MY_OWN", "mine");
    // SIGPIPE ends the command as usual, although vaurien ignores it.
    let ran = Ran::from(shell.output().unwrap()).ends(128 + 13);
    assert_eq!(ran.stdout, "mine 256\n");
}

#[test]
fn a_nested_vaurien_has_its_own_options() {
    let backend = Backend::lines();
    let inner = r#""$0" --backend "$1" -- sh -c 'echo "$VAURIEN_PROXY $VAURIEN_SEED"; echo "${VAURIEN_HTTP-no API}"'; echo "$VAURIEN_PROXY""#;
    let command = ["sh", "-c", inner, env!("CARGO_BIN_EXE_vaurien"), &backend.address().to_string()];
    let ran = run(&backend, "--http --seed 7", &command).ends(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    let [within, api, without] = lines[..] else { panic!("{ran:#?}") };
    let (within, seed) = within.split_once(' ').unwrap();
    assert!(within != without && within.starts_with("127.0.0.1:"), "{ran:#?}");
    assert_eq!((seed, api), ("7", "no API"), "the seed is the same, and all else its own");
}

#[test]
fn options_about_the_command_are_not_inherited() {
    let backend = Backend::lines();
    let mut vaurien = around(
        &backend,
        "--seed 1",
        &["sh", "-c", "env | grep -c -E 'VAURIEN_(REPEAT|EXPECT|TIMEOUT)' || true; echo $VAURIEN_HANDLER"],
    );
    vaurien.env("VAURIEN_REPEAT", "2").env("VAURIEN_EXPECT", "calls==0").env("VAURIEN_TIMEOUT", "1h");
    let ran = Ran::from(vaurien.env("VAURIEN_HANDLER", "delay").output().unwrap()).ends(0);
    assert_eq!(ran.stdout, "0\ndelay\n".repeat(2));
}

#[test]
fn a_placeholder_of_a_disabled_proxy_is_an_error() {
    let backend = Backend::lines();
    let file = File::new(format!("backend = \"{}\"\nenabled = false\n", backend.address()));
    let mut vaurien = super::Program::command(&format!("--config {}", file.path().display()));
    Ran::from(vaurien.args(["--", "echo", "{proxy}"]).output().unwrap()).ends(125).says("disabled");
}

#[test]
fn a_ready_line_comes_before_it() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--seed 5", "echo now >&2").ends(0);
    let ready = ran.stderr.lines().position(|line| line.contains("ready: ") && line.contains("seed 5"));
    let now = ran.stderr.lines().position(|line| line == "now");
    assert!(ready.is_some() && ready < now, "{ran:?}");
}

#[test]
fn warnings_of_the_start_stand_at_its_end_as_well() {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut vaurien = around(&backend, &format!("--repeat 2 --report {}", report.display()), &["true"]);
    let ran = Ran::from(vaurien.env("VAURIEN_EXPCET", "error>=1").output().unwrap()).ends(0);
    let warning = "`VAURIEN_EXPCET` is no variable of vaurien, did you mean `VAURIEN_EXPECT`?";
    let ran = ran.says(&format!("WARN {warning}"));
    assert!(ran.stderr.lines().any(|line| line == format!("warning: {warning}")), "{ran:#?}");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["warnings"], serde_json::json!([warning]), "{report}");
    }
}
