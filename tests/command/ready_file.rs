//! `--ready-file`: a file that exists while everything listens.

use std::fs;
use std::process::Command;

use super::world::{Backend, Program};
use super::{Ran, run_script};

#[test]
fn it_exists_while_the_daemon_listens() {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready");
    fs::write(&path, "of an earlier one").unwrap();
    let program = Program::start(&backend, &format!("--ready-file {} --http --http-port 0 --seed 5", path.display()));
    let text = fs::read_to_string(&path).unwrap();
    let address = program.address().to_string();
    assert!(text.starts_with(&format!("VAURIEN_PROXY={address}\nVAURIEN_PROXY_HOST=127.0.0.1\n")), "{text}");
    assert!(text.contains(&format!("\nVAURIEN_HTTP={}\nVAURIEN_SEED=5\n", program.api().0)), "{text}");
    program.stop();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_shell_reads_it_and_another_vaurien_ignores_it() {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready");
    let program = Program::start(&backend, &format!("--ready-file {} --http --http-port 0", path.display()));
    let script = r#"set -a; . "$1"; echo "$VAURIEN_PROXY"; exec "$0" --backend "$2" -- sh -c 'echo "$VAURIEN_PROXY"'"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_vaurien")]).arg(&path).arg(backend.address().to_string());
    let ran = Ran::from(shell.output().unwrap()).ends(0);
    let [outer, inner] = ran.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{ran:#?}") };
    assert_eq!(outer, program.address().to_string());
    assert_ne!(inner, outer);
}

#[test]
fn a_command_runs_while_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready");
    let options = format!("--ready-file {} --repeat 2", path.display());
    let ran = run_script(&Backend::lines(), &options, &format!("cat {}", path.display())).ends(0);
    assert_eq!(ran.stdout.matches("VAURIEN_SEED=").count(), 2, "{ran:#?}");
    assert!(!path.exists());
}

#[test]
fn one_that_cannot_be_written_is_an_error() {
    let ran = run_script(&Backend::lines(), "--ready-file /no/such/folder/ready", "echo ran").ends(125);
    ran.says("vaurien: cannot write `/no/such/folder/ready`");
}
