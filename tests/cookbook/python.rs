//! The Python test suite in `examples/python` passes while a real Redis fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::example;
use super::world::Program;
use super::world::servers::redis;

/// The folder where tests/run.sh installs Python with redis-py and pytest.
pub(crate) fn programs() -> PathBuf {
    example("target/judges/bin")
}

/// Writes no caches into the folders of the examples.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTEST_ADDOPTS", "-p no:cacheprovider")
}

/// Runs the suite behind vaurien with these options, and returns the report.
fn run_suite(options: &str, folder: &Path) -> Value {
    let redis = redis("");
    let mut vaurien = Program::command("--protocol redis --handler 10:error --seed 42 --expect error>=1");
    vaurien.args(["--backend", &redis.address().to_string()]).args(options.split_ascii_whitespace());
    for name in ["report.json", "report.xml", "report.html"] {
        vaurien.arg("--report").arg(folder.join(name));
    }
    vaurien.arg("--").arg(programs().join("python")).args(["-m", "pytest", "-x"]).arg(example("examples/python"));
    let output = quiet(&mut vaurien).env("CI", "true").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}\n{said}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" passed in ") && !said.contains("skipped"), "{said}");
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// How many calls of a run failed.
fn errors(run: &Value) -> u64 {
    let handlers = run["proxies"][0]["handlers"].as_array().unwrap();
    let error = handlers.iter().find(|handler| handler["name"] == "error").unwrap();
    error["faults"].as_u64().unwrap()
}

#[test]
#[ignore = "needs redis-server, and python3 with redis and pytest; tests/run.sh installs them"]
fn a_suite_is_green_while_its_calls_fail() {
    let folder = tempfile::tempdir().unwrap();
    let report = run_suite("", folder.path());
    let runs = report["runs"].as_array().unwrap();
    assert!(runs.len() == 1 && errors(&runs[0]) >= 1, "{report:#}");
    let cases = fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(cases.contains(r#"failures="0""#) && cases.contains("error&gt;=1"), "{cases}");
    assert!(folder.path().join("report.html").exists());
}

#[test]
#[ignore = "needs redis-server, and python3 with redis and pytest; tests/run.sh installs them"]
fn it_is_green_with_twenty_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let report = run_suite("--repeat 20", folder.path());
    let runs = report["runs"].as_array().unwrap();
    let seeds: Vec<u64> = runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, (42..62).collect::<Vec<_>>());
    assert!(runs.iter().all(|run| errors(run) >= 1), "{report:#}");
}
