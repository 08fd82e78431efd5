//! The program takes the command lines of the jobs for CI servers, of the image and of the unit, and they mean what is said of
//! them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use vaurien::program::cli::Exit;
use vaurien::program::config::Config;
use vaurien::{Registry, Seconds};

use super::{documents, list, path, read, string, strings};

/// What the shell makes of `script`: the arguments of the `vaurien` in it. Nothing else is there to be run.
fn arguments(script: &str) -> Vec<OsString> {
    let folder = tempfile::tempdir().unwrap();
    let vaurien = folder.path().join("vaurien");
    fs::write(&vaurien, "#!/bin/sh\nprintf '%s\\0' \"$@\"\n").unwrap();
    fs::set_permissions(&vaurien, fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = Command::new("/bin/bash");
    let output = shell.args(["-euc", script]).env_clear().env("PATH", folder.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{script}\n{output:?}");
    let arguments = output.stdout.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0);
    arguments.map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// What `script` gives for this flag, each time.
fn given(script: &str, flag: &str) -> Vec<String> {
    let arguments = arguments(script);
    let pairs = arguments.windows(2).filter(|pair| pair[0] == flag);
    pairs.map(|pair| pair[1].clone().into_string().unwrap()).collect()
}

fn checked(script: &str) -> Result<Config, Exit> {
    Config::from_args([vec!["vaurien".into()], arguments(script)].concat(), [], &Registry::default())
}

/// The scripts that call the program. There is one in each of two jobs.
fn that_call_it<'a>(scripts: impl IntoIterator<Item = &'a str>) -> [&'a str; 2] {
    let scripts: Vec<_> = scripts.into_iter().filter(|script| script.starts_with("vaurien ")).collect();
    scripts.try_into().unwrap()
}

/// Of a script for each push and one for the night. Answers the files that each reports to.
fn mean_a_run_and_a_nightly_one(scripts: [&str; 2], backend: &str) -> [Vec<String>; 2] {
    let configs = scripts.map(|script| checked(script).unwrap_or_else(|exit| panic!("{script}\n{exit}")));
    for (config, script) in configs.iter().zip(scripts) {
        let (proxy, run) = (&config.proxies[0], &config.run);
        assert_eq!(
            (proxy.listen.to_string(), proxy.backend.to_string()),
            ("localhost:0".to_owned(), backend.to_owned())
        );
        assert_eq!((run.wait_backend, run.timeout), (Some(Seconds::from_secs(30)), Some(Seconds::from_secs(600))));
        assert_eq!(given(script, "--expect"), ["error>=1"]);
        assert_eq!(run.command, ["env", "REDIS_URL=redis://{proxy}/0", "pytest"]);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let wrong = checked(&script.replace("--timeout", "--time-out"));
        assert!(wrong.is_err_and(|exit| exit.to_string().contains("--time-out")));
    }
    let [once, nightly] = &configs;
    assert_eq!((once.run.times(), once.seed, once.proxies[0].mix.to_string().as_str()), (1, 42, "10:error"));
    assert_eq!(
        (nightly.run.times(), nightly.proxies[0].mix.to_string().as_str()),
        (20, "10:error,10:delay,1:blackout")
    );
    assert!(!scripts[1].contains("--seed"), "each night has its own");
    scripts.map(|script| given(script, "--report"))
}

#[test]
fn those_of_github_do() {
    let text = read("examples/github-actions.yml");
    let jobs = &documents(&text)[0]["jobs"];
    let steps = ["tests", "nightly"].map(|job| list(&jobs[job]["steps"]));
    let runs = steps.iter().flat_map(|steps| steps.iter()).filter(|step| step.contains_mapping_key("run"));
    let reports = mean_a_run_and_a_nightly_one(that_call_it(runs.map(|step| string(&step["run"]))), "localhost:6379");
    for (steps, reports) in steps.into_iter().zip(reports) {
        // What is reported is kept, whatever became of the run.
        let last = steps.last().unwrap();
        assert_eq!(string(&last["if"]), "always()");
        assert_eq!(string(&last["with"]["path"]).lines().collect::<Vec<_>>(), reports);
    }
    assert_eq!(string(&jobs["nightly"]["if"]), "github.event_name == 'schedule'");
    for event in ["push", "pull_request", "schedule"] {
        assert!(documents(&text)[0]["on"].contains_mapping_key(event), "{event}");
    }
}

#[test]
fn those_of_gitlab_do() {
    let text = read("examples/gitlab-ci.yml");
    let jobs = &documents(&text)[0];
    let scripts = ["tests", "nightly"].into_iter().flat_map(|job| strings(&jobs[job]["script"]));
    let kept = &jobs[".with-redis"]["artifacts"];
    assert_eq!(string(&kept["when"]), "always");
    for reports in mean_a_run_and_a_nightly_one(that_call_it(scripts), "redis:6379") {
        assert_eq!(reports, [string(&kept["reports"]["junit"]), string(&kept["paths"][0])]);
    }
    assert_eq!(string(&jobs["nightly"]["rules"][0]["if"]), "$CI_PIPELINE_SOURCE == \"schedule\"");
}

#[test]
fn a_job_of_gitlab_is_never_without_one_that_it_needs() {
    let text = read("examples/gitlab-ci.yml");
    let jobs = &documents(&text)[0];
    let always = &documents("[when: on_success]")[0];
    for job in ["tests", "nightly"] {
        let template = string(&jobs[job]["extends"]);
        for needed in strings(&jobs[template]["needs"]) {
            // GitLab leaves a job that has no rules out of the pipelines of merge requests, and refuses what is left.
            assert_eq!(&jobs[needed]["rules"], always, "{job} needs {needed}");
        }
    }
    let pipelines = list(&jobs["workflow"]["rules"]);
    assert_eq!(string(&pipelines.last().unwrap()["when"]), "always", "scheduled, and for merge requests");
}

#[test]
fn that_of_the_image_does() {
    let file = read("examples/docker/Dockerfile").replace("\\\n#", "");
    let line = file.lines().find(|line| line.contains("docker run --rm ")).unwrap();
    let (options, arguments) = line.split_once(" vaurien ").unwrap();
    let config = checked(&format!("vaurien {arguments}")).unwrap_or_else(|exit| panic!("{line}\n{exit}"));
    let proxy = &config.proxies[0];
    assert_eq!((proxy.listen.tcp().unwrap().host.as_str(), proxy.backend.tcp().unwrap().port), ("0.0.0.0", 6379));
    assert!(options.contains(&format!("--add-host {}:host-gateway", proxy.backend.tcp().unwrap().host)), "{options}");
    // Nobody but this machine gets at what is behind the proxy.
    let published: Vec<&str> =
        options.split(" --publish ").skip(1).map(|rest| rest.split(' ').next().unwrap()).collect();
    assert_eq!(published, [format!("127.0.0.1:{0}:{0}", proxy.listen.tcp().unwrap().port)]);
    // The health check would not know of these.
    assert!(!arguments.contains("--http") && !arguments.contains("--config"), "{arguments}");
}

#[test]
fn that_of_the_unit_does() {
    let unit = read("examples/systemd/vaurien.service");
    let of = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    assert_eq!(of("ExecReload="), format!("{} --check", of("ExecStart=")));
    assert_eq!(of("ExecStart="), "/usr/local/bin/vaurien");
    // All else is in the file.
    let (name, _) = of("Environment=").split_once('=').unwrap();
    let file = path("examples/docker/vaurien.toml").display().to_string();
    let config = Config::from_args(["vaurien".into()], [(name.into(), file.into())], &Registry::default()).unwrap();
    assert_eq!(config.proxies[0].mix.to_string(), "20:delay,2:error");
}
