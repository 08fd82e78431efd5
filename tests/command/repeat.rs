//! `--repeat`: the command runs several times, each with the next seed.

use super::run_script;
use super::world::Backend;

#[test]
fn seeds_follow_each_other() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--repeat 4 --seed 42", "echo $VAURIEN_SEED").ends(0);
    assert_eq!(ran.stdout, "42\n43\n44\n45\n");
    ran.says("4 of 4 runs passed, seeds 42 to 45");
}

#[test]
fn the_first_failure_ends_it_and_says_how_to_repeat_it() {
    let backend = Backend::lines();
    let ran = run_script(
        &backend,
        "--repeat 20 --seed=42 --handler 10:error --allow-no-calls",
        "echo $VAURIEN_SEED; test $VAURIEN_SEED != 44",
    )
    .ends(1);
    assert_eq!(ran.stdout, "42\n43\n44\n");
    let again = ran.stderr.lines().rev().find_map(|line| Some(line.split_once("again: ")?.1.to_owned())).unwrap();
    assert!(again.ends_with("--seed 44 -- sh -c 'echo $VAURIEN_SEED; test $VAURIEN_SEED != 44'"), "{again}");
    assert!(again.contains("--handler 10:error") && !again.contains("--repeat"), "{again}");
    assert_eq!(again.matches("--seed").count(), 1, "{again}");
    let output = std::process::Command::new("sh").args(["-c", &again]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), b"44\n".to_vec()));
}

#[test]
fn the_line_to_repeat_a_run_overrides_a_variable() {
    let backend = Backend::lines();
    let mut vaurien = super::around(&backend, "--seed 1", &["false"]);
    let ran = super::Ran::from(vaurien.env("VAURIEN_REPEAT", "5").output().unwrap()).ends(1);
    ran.says("again: ").says(" --seed 1 --repeat 1 -- false");
}

#[test]
fn an_unmet_expectation_ends_it_too() {
    let backend = Backend::lines();
    let ran = run_script(&backend, "--repeat 3 --seed 1 --expect calls>0", "echo ran").ends(3);
    assert_eq!(ran.stdout, "ran\n");
}

#[test]
fn each_run_has_its_own_counters() {
    let backend = Backend::lines();
    let call =
        r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'a\r\n' >&3; head -c 4 <&3 >/dev/null"#;
    let options = "--repeat 3 --seed 1 --expect calls==1 --expect connections==1";
    super::run(&backend, options, &["bash", "-c", call]).ends(0);
}

#[test]
fn zero_runs_are_an_error() {
    let backend = Backend::lines();
    run_script(&backend, "--repeat 0", "true").ends(125).says("--repeat: `0` runs nothing, give 1 or more");
}

#[test]
fn it_can_keep_going_and_names_each_seed_that_failed() {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let script = "echo $VAURIEN_SEED; test $VAURIEN_SEED != 43 && test $VAURIEN_SEED != 45";
    let options = format!("--repeat 4 --seed 42 --keep-going --report {}", path.display());
    let ran = run_script(&backend, &options, script).ends(1);
    assert_eq!(ran.stdout, "42\n43\n44\n45\n");
    let again = ran.stderr.lines().find_map(|line| line.strip_prefix("again: ")).unwrap().to_owned();
    assert!(again.contains(" --seed 43 -- sh") && !again.contains("--keep-going"), "the first one: {again}");
    ran.says("2 of 4 runs failed").says("failing seeds: 43 (exit code 1), 45 (exit code 1)");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((report["runs"].as_array().unwrap().len(), &report["exit_code"]), (4, &1.into()));
    let ran = run_script(&backend, "--repeat 2 --seed 1 --keep-going --expect calls>0", "exit 0").ends(3);
    ran.says("failing seeds: 1 (calls>0 not met), 2 (calls>0 not met)");
    run_script(&backend, "--repeat 2 --seed 1 --keep-going", "true").ends(0).never_says("failing");
}

#[test]
fn an_expectation_can_be_of_all_runs_together() {
    let backend = Backend::lines();
    let call =
        r#"exec 3<>"/dev/tcp/$VAURIEN_PROXY_HOST/$VAURIEN_PROXY_PORT"; printf 'a\r\n' >&3; head -c 4 <&3 >/dev/null"#;
    let total = |options: &str| super::run(&backend, &format!("--seed 1 {options}"), &["bash", "-c", call]);
    total("--repeat 3 --expect calls==1 --expect-total calls==3")
        .ends(0)
        .says("over all runs: expected calls==3: met, 3");
    total("--repeat 3 --expect-total calls>3").ends(3).says("over all runs: expected calls>3: NOT met, 3");
    for once in ["", "--repeat 1 "] {
        let ran = total(&format!("{once}--expect-total calls>3")).ends(3);
        ran.says("over all runs: expected calls>3: NOT met, 1").says("--expect-total 'calls>3' --seed 1 ");
    }
    total("--repeat 3 --expect-total cals>3").ends(125).says("did you mean `calls`?");
    // After a failure, runs are missing.
    let ran = super::run_script(&backend, "--repeat 3 --seed 1 --expect-total calls>3", "false").ends(1);
    ran.never_says("over all runs");
}
