//! Runs each command of the cookbook, `docs/cookbook.md`, and the line around a test command of the README: the output is as they quote it.
//!
//! The commands need real servers, so plain `cargo test` skips them; `tests/run.sh` installs the servers and runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod kitchen;
mod python;
mod recipe;
mod seen;

use std::fs;
use std::path::{Path, PathBuf};

use kitchen::Kitchen;
use recipe::{COOKBOOK, first_line, recipes};
use regex_lite::Regex;

/// Commands that are not run, because tests do not install Docker or Kubernetes. A test checks that the files they name exist.
const NEED_A_CLUSTER: [&str; 3] = [
    "docker compose --file examples/docker/compose.yaml up --build --detach",
    "kubectl apply --filename examples/kubernetes/sidecar.yaml",
    "kubectl port-forward deployment/application 8080:8080",
];

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
#[ignore = "needs redis-server, memcached, nginx, postgresql, curl and python3 with redis and pytest; tests/run.sh installs them"]
fn each_command_prints_what_the_cookbook_quotes() {
    let kitchen = Kitchen::new();
    let mut run = 0;
    let mut wrong = Vec::new();
    for recipe in recipes() {
        if recipe.lines.lines().all(|line| NEED_A_CLUSTER.contains(&line)) {
            continue;
        }
        let seen = recipe.seen.as_ref().unwrap_or_else(|| panic!("{}: a command without its output", recipe.title));
        let (code, output) = kitchen.cook(&recipe);
        if let Err(difference) = seen::compare(seen, &output) {
            wrong.push(format!("{}: {difference}\n{}\n{output}", recipe.title, recipe.lines));
        } else if code != Some(recipe.exit_code()) {
            wrong.push(format!("{}: exit code {code:?}\n{}\n{output}", recipe.title, recipe.lines));
        }
        run += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(run > 30, "{run}");
}

#[test]
#[ignore = "needs redis-server, memcached, nginx, postgresql and python3 with redis and pytest; tests/run.sh installs them"]
fn the_line_around_a_test_command_prints_what_the_readme_quotes() {
    let recipe = first_line();
    let (code, output) = Kitchen::new().cook(&recipe);
    // How often the client retries depends on the speed of the machine, and all counts depend on that.
    let counts = Regex::new(r"\d+").unwrap();
    let [seen, output] = [recipe.seen.unwrap(), output].map(|text| counts.replace_all(&text, "1").into_owned());
    assert_eq!((seen::compare(&seen, &output), code), (Ok(()), Some(0)), "{output}");
}

#[test]
fn commands_for_a_cluster_name_files_that_exist() {
    let lines: Vec<String> = recipes().iter().flat_map(|recipe| recipe.lines.lines()).map(str::to_owned).collect();
    for line in NEED_A_CLUSTER {
        assert!(lines.iter().any(|written| written == line), "not in the cookbook: {line}");
    }
    for line in lines.iter().filter(|line| line.starts_with("docker") || line.starts_with("kubectl")) {
        assert!(NEED_A_CLUSTER.contains(&line.as_str()), "add this to NEED_A_CLUSTER: {line}");
        for path in line.split(' ').filter(|word| word.starts_with("examples/")) {
            assert!(example(path).is_file(), "{path}");
        }
    }
    let pod = fs::read_to_string(example("examples/kubernetes/sidecar.yaml")).unwrap();
    assert!(
        pod.contains("kind: Deployment\nmetadata:\n  name: application\n") && pod.contains("containerPort: 8080\n")
    );
}

#[test]
fn every_section_has_a_command() {
    let titles: Vec<String> = recipes().into_iter().map(|recipe| recipe.title).collect();
    for title in COOKBOOK.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(titles.iter().any(|known| known == title), "no command: {title}");
    }
}
