//! `--tls-ca` prints the authority, which is made once.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use super::Program;

#[test]
fn programs_that_start_at_once_have_one_authority() {
    let folder = tempfile::tempdir().unwrap();
    let start = || -> Child {
        let mut command = Program::command("--tls-ca --tls-dir");
        command.arg(folder.path().join("a/b")).stdout(Stdio::piped()).spawn().unwrap()
    };
    let started: Vec<Child> = (0..10).map(|_| start()).collect();
    let printed = started.into_iter().map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    });
    let printed: BTreeSet<String> = printed.collect();
    assert_eq!(printed.len(), 1);
    let certificate = printed.first().unwrap();
    let [begin, end] = ["-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"];
    assert!(certificate.starts_with(begin) && certificate.ends_with(end), "{certificate}");
    assert_eq!(certificate.matches("BEGIN").count(), 1);
}

#[test]
fn only_the_certificate_is_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let print = || Program::run(Program::command("--tls-ca --tls-dir").arg(folder.path()));
    let first = print();
    assert_eq!((first.code, first.lines.len()), (Some(0), 0), "{first:?}");
    let key = folder.path().join("ca-key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let again = print();
    assert_eq!((again.code, &again.stdout), (Some(0), &first.stdout));
    let [warning] = &again.lines[..] else { panic!("{again:?}") };
    assert!(warning.contains(" WARN ") && warning.contains("`chmod 600 "), "{warning}");
    fs::write(&key, "").unwrap();
    let broken = print();
    assert_eq!((broken.code, broken.stdout.as_str()), (Some(2), ""));
    let [line] = &broken.lines[..] else { panic!("{broken:?}") };
    assert!(line.starts_with("vaurien: --tls-dir: `") && line.contains("no certificate in it"), "{line}");
}
