//! The report: on standard error, in files and in GitHub Actions.

use std::fs;

use super::world::Backend;
use super::{Ran, run, run_script};

/// One call. Any bytes count as its reply.
const CALL: &str =
    r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'get a\r\n' >&3; head -c 3 <&3 >/dev/null"#;

fn one_call(options: &str) -> Ran {
    run(&Backend::lines(), &format!("--protocol redis {options}"), &["bash", "-c", CALL])
}

#[test]
fn every_format_has_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let report = |name: &str| format!(" --report {}", file(name).display());
    let options = "--seed 42 --handler error --expect error==1".to_owned()
        + &report("a.json")
        + &report("a.xml")
        + &report("a.html");
    let ran = one_call(&options).ends(0);
    assert!(ran.stderr.lines().any(|line| line.split_ascii_whitespace().eq(["error", "1", "1"])), "{ran:#?}");

    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(file("a.json")).unwrap()).unwrap();
    assert_eq!((&json["version"], &json["exit_code"], &json["runs"][0]["seed"]), (&1.into(), &0.into(), &42.into()));
    let handler = &json["runs"][0]["proxies"][0]["handlers"][0];
    assert_eq!((&handler["name"], &handler["calls"], &handler["faults"]), (&"error".into(), &1.into(), &1.into()));
    assert_eq!(json["runs"][0]["expectations"][0]["met"], true);

    let junit = fs::read_to_string(file("a.xml")).unwrap();
    assert!(junit.contains(r#"tests="2""#) && junit.contains(r#"failures="0""#), "{junit}");
    let page = fs::read_to_string(file("a.html")).unwrap();
    assert!(page.contains("Passed") && page.contains("error==1") && page.contains("get a"), "{page}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left there");
}

#[test]
fn a_repeated_command_has_each_run_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let options = format!("--repeat 5 --seed 1 --report {}", path.display());
    run_script(&Backend::lines(), &options, "test $VAURIEN_SEED != 3").ends(1);
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let ends: Vec<_> = json["runs"].as_array().unwrap().iter().map(|run| (&run["seed"], &run["code"])).collect();
    assert_eq!(ends, [(&1.into(), &0.into()), (&2.into(), &0.into()), (&3.into(), &1.into())]);
    assert_eq!((&json["repeat"], &json["exit_code"]), (&5.into(), &1.into()));
}

#[test]
fn the_waited_time_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    one_call(&format!("--handler delay --handler-delay-sleep 40ms --report {}", path.display())).ends(0);
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let waited = &json["runs"][0]["proxies"][0]["handlers"][0]["waited"];
    let [p50, p99, max] = ["p50_seconds", "p99_seconds", "max_seconds"].map(|key| waited[key].as_f64().unwrap());
    assert!(p50 >= 0.04 && p99 >= p50 && max >= p99, "{waited}");
}

#[test]
fn with_json_logs_each_line_is_an_object_and_nothing_is_lost() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--log-format json --handler error --expect error>=1 --seed 9", "exit 4").ends(4);
    for line in ran.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    ran.says("again: ").says("--seed 9").says("NOT met");
}

#[test]
fn on_github_it_is_in_the_summary_and_in_annotations() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary.md");
    let mut vaurien = super::around(&Backend::lines(), "--handler error --expect error>=1", &["true"]);
    vaurien.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let ran = Ran::from(vaurien.output().unwrap()).ends(3);
    ran.says("::error title=vaurien::expected error>=1, counted 0; no connections, the command finds");
    assert!(fs::read_to_string(summary).unwrap().contains("| error | 0 | 0 |"));
}

#[test]
fn a_report_that_cannot_be_written_fails_a_run_that_passed() {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.json");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let options = format!("--report {}", full.display());
    run_script(&backend, &options, "exit 0").ends(125).says("cannot write the report");
    run_script(&backend, &options, "exit 6").ends(6).says("cannot write the report");
}

#[test]
fn the_line_to_repeat_a_run_takes_secrets_from_variables() {
    let ran = run_script(&Backend::lines(), "--http --http-token hush-hush", "true").ends(0);
    ran.never_says("hush").says("again: VAURIEN_HTTP_TOKEN=\"$VAURIEN_HTTP_TOKEN\" ");
}

#[test]
fn a_command_that_never_ran_is_reported_too() {
    let folder = tempfile::tempdir().unwrap();
    let (json, junit) = (folder.path().join("a.json"), folder.path().join("a.xml"));
    let options = format!("--report {} --report {}", json.display(), junit.display());
    run_script(&Backend::lines(), &options, "true").ends(0);
    run(&Backend::lines(), &options, &["there-is-no-such-command"]).ends(127);
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&report["exit_code"], &report["runs"]), (&127.into(), &serde_json::json!([])));
    assert_eq!(report["error"], "`there-is-no-such-command`: command not found");
    let junit = fs::read_to_string(junit).unwrap();
    assert!(junit.contains(r#"errors="1""#) && junit.contains("command not found"), "{junit}");
}

#[test]
fn a_proxy_that_was_removed_is_in_it() {
    let backend = Backend::lines();
    let file = super::world::File::new(super::world::file::proxy("cache", &backend, "") + "[http]\n");
    let script = r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'get a\r\n' >&3; read -r reply <&3
exec 3>&-; exec 3<>"/dev/tcp/${VAURIEN_HTTP%:*}/${VAURIEN_HTTP##*:}"
printf 'DELETE /v1/proxies/cache HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3 >/dev/null"#;
    let mut vaurien = super::Program::command(&format!("--config {} --expect cache.dummy==1", file.path().display()));
    Ran::from(vaurien.args(["--", "bash", "-c", script]).output().unwrap()).ends(0);
}
