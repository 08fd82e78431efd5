//! Those whose formats they are accept the files, and refuse a copy with a mistake. What asks them is installed by
//! `tests/run.sh`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{path, read};

/// A program of the virtual environment that `tests/run.sh` makes.
fn judge(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path("target/judges/bin").join(name));
    command.args(arguments);
    command
}

/// Asks of the file, and then of a copy in which `from` is `to`; answers what is said of them.
fn both(judge: &dyn Fn() -> Command, file: &str, (from, to): (&str, &str)) -> [Output; 2] {
    let text = read(file);
    let wrong = text.replace(from, to);
    assert_ne!(text, wrong, "{file} has no {from}");
    [text, wrong].map(|text| {
        let folder = tempfile::tempdir().unwrap();
        // Some go by the name.
        let copy = folder.path().join(Path::new(file).file_name().unwrap());
        fs::write(&copy, text).unwrap();
        judge().arg(copy).output().unwrap()
    })
}

/// The file is accepted, and the copy is not, for a reason in which `reason` is.
#[track_caller]
fn is_accepted(judge: &dyn Fn() -> Command, file: &str, mistake: (&str, &str), reason: &str) {
    let [right, wrong] = both(judge, file, mistake);
    assert!(right.status.success(), "{file}: {right:?}");
    assert!(!wrong.status.success(), "{file} with {mistake:?}: {wrong:?}");
    let said = String::from_utf8([wrong.stdout, wrong.stderr].concat()).unwrap();
    assert!(said.contains(reason), "{said}");
}

#[test]
#[ignore = "needs check-jsonschema"]
fn by_the_schemas_of_compose_github_and_gitlab() {
    let by = |schema: &'static str| move || judge("check-jsonschema", &["--builtin-schema", schema]);
    let compose = by("vendor.compose-spec");
    is_accepted(&compose, "examples/docker/compose.yaml", ("read_only:", "readonly:"), "'readonly' was unexpected");
    let github = by("vendor.github-workflows");
    is_accepted(&github, "examples/github-actions.yml", ("runs-on:", "runson:"), "jobs.nightly");
    is_accepted(&github, ".github/workflows/release.yml", ("runs-on:", "runson:"), "jobs.tests");
    let gitlab = by("vendor.gitlab-ci");
    is_accepted(&gitlab, "examples/gitlab-ci.yml", ("timeout: 4 hours", "timeout: 4"), "4 is not of type 'string'");
}

#[test]
#[ignore = "needs kubernetes-validate"]
fn by_the_schemas_of_kubernetes() {
    let strict = || judge("kubernetes-validate", &["--strict"]);
    for file in ["examples/kubernetes/sidecar.yaml", "examples/kubernetes/service.yaml"] {
        is_accepted(&strict, file, ("startupProbe:", "startProbe:"), "'startProbe' was unexpected");
        is_accepted(&strict, file, ("runAsUser: 65534", "runAsUser: nobody"), "'nobody' is not of type 'integer'");
    }
}

#[test]
#[ignore = "needs hadolint"]
fn by_hadolint() {
    let hadolint = || judge("hadolint", &["--no-color", "--failure-threshold", "style"]);
    is_accepted(&hadolint, "examples/docker/Dockerfile", ("HEALTHCHECK", "HEALTCHECK"), "unexpected 'H'");
    is_accepted(&hadolint, "examples/docker/Dockerfile", ("rust:1-slim-bookworm", "rust"), "DL3006");
}

const UNIT: &str = "examples/systemd/vaurien.service";
const PROGRAM: &str = "/usr/local/bin/vaurien";

#[test]
#[ignore = "needs systemd-analyze"]
fn by_systemd() {
    // The program is not where the unit has it.
    let verify = |mistake: (&str, &str)| {
        let unit = read(UNIT).replace(PROGRAM, env!("CARGO_BIN_EXE_vaurien")).replace(mistake.0, mistake.1);
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("vaurien.service");
        fs::write(&copy, unit).unwrap();
        let output = Command::new("systemd-analyze").arg("verify").arg(copy).output().unwrap();
        // Of other units it may have something to say.
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        said.lines().filter(|line| line.contains("vaurien.service")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(verify(("", "")), "");
    assert!(
        verify(("Restart=on-failure", "Restart=on-failures")).contains("Failed to parse service restart specifier")
    );
    assert!(verify(("ExecStart=/", "ExecStart=/nowhere/")).contains("is not executable"));
}

#[test]
#[ignore = "needs systemd-analyze"]
fn by_what_systemd_thinks_safe() {
    // Of 100, where less is safer: 11 in systemd 252, and later ones look at more. What is left are the network, which it is
    // there for, and the system's own files.
    let safe = || {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--threshold=15"]);
        command
    };
    is_accepted(&safe, UNIT, ("SystemCallFilter", "#"), "Overall exposure level for vaurien.service: 2");
}
