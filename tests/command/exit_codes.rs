//! The exit code is that of the command; failures of vaurien have codes of their own.

use std::net::TcpListener;

use super::world::{Backend, File, Program};
use super::{Ran, run, run_script};

#[test]
fn the_exit_code_is_that_of_the_command() {
    let backend = Backend::lines();
    for code in [0, 1, 2, 3, 42, 124, 125, 126, 127, 255] {
        run_script(&backend, "", &format!("exit {code}")).ends(code);
    }
}

#[test]
fn a_signal_is_128_plus_its_number() {
    let backend = Backend::lines();
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("INT", 2), ("SEGV", 11)] {
        run_script(&backend, "", &format!("kill -s {signal} $$")).ends(128 + number);
    }
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    let backend = Backend::lines();
    let none = run(&backend, "", &["there-is-no-such-command"]).ends(127);
    none.says("vaurien: `there-is-no-such-command`: command not found");
    run(&backend, "", &["./there-is-no-such-file"]).ends(127);
}

#[test]
fn a_command_that_cannot_be_executed_is_126() {
    let backend = Backend::lines();
    let file = File::new("no program");
    let path = file.path().to_str().unwrap();
    let ran = run(&backend, "", &[path]).ends(126);
    ran.says(&format!("vaurien: `{path}` cannot be executed: permission denied"));
    run(&backend, "", &["/"]).ends(126);
}

#[test]
fn a_script_without_an_interpreter_is_run_by_the_shell() {
    use std::os::unix::fs::PermissionsExt;
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ran = run(&backend, "", &[&script("plain", "echo \"$1\"; exit 5"), "said"]).ends(5);
    assert_eq!(ran.stdout, "said\n");
    let nobody = script("nobody", "#!/no/such/interpreter\n");
    run(&backend, "", &[&nobody]).ends(127).says("its interpreter does not exist");
}

#[test]
fn a_failure_of_vaurien_is_125() {
    let backend = Backend::lines();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("--proxy {}", taken.local_addr().unwrap());
    run_script(&backend, &proxy, "echo it ran").ends(125).says("vaurien: cannot listen on 127.0.0.1:").never_ran();
    run_script(&backend, "--handler delya", "echo it ran").ends(125).says("did you mean `delay`?").never_ran();
    run_script(&backend, "--no-such-option", "echo it ran").ends(125).never_ran();
    run_script(&backend, "--report /no/such/folder/report.json", "echo it ran")
        .ends(125)
        .says("/no/such/folder")
        .never_ran();
    run_script(&backend, "--demo", "echo it ran").ends(125).says("--demo").never_ran();
}

#[test]
fn two_dashes_without_a_command_are_an_error() {
    let ran = Ran::from(Program::command("--backend 127.0.0.1:1 --").output().unwrap()).ends(125);
    ran.says("vaurien: no command after `--`");
}

#[test]
fn an_expectation_matters_only_if_the_command_succeeded() {
    let backend = Backend::lines();
    run_script(&backend, "--handler error --expect error>=1", "exit 0").ends(3);
    run_script(&backend, "--handler error --expect error>=1", "exit 9").ends(9);
}

impl Ran {
    #[track_caller]
    fn never_ran(self) {
        assert_eq!(self.stdout, "", "{self:#?}");
    }
}
