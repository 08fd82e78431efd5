//! The image's program needs nothing else in the image. Without Docker: what the Dockerfile runs to build it is run in a copy
//! of what `.dockerignore` leaves of the repository.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{path, read};

/// What of the repository Docker gets to see: its `.dockerignore` says no to all, and then yes to these.
fn context() -> Vec<String> {
    let ignored = read(".dockerignore");
    let mut lines = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    lines.map(|line| line.strip_prefix('!').unwrap().to_owned()).collect()
}

/// The lines of the Dockerfile, those that go on put together.
fn instructions() -> Vec<String> {
    let file = read("examples/docker/Dockerfile").replace("\\\n", "");
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn the_image_starts_the_program_alone() {
    let instructions = instructions();
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    let last: Vec<&str> = instructions[last..].iter().map(String::as_str).collect();
    let [from, copy, names, user, env, health, entry] = last[..] else { panic!("{last:#?}") };
    assert_eq!((from, user, env), ("FROM scratch", "USER 65534:65534", "ENV VAURIEN_HTTP=true"));
    assert!(copy.ends_with(" /vaurien") && names.ends_with(" /names/ /"), "{copy} {names}");
    assert!(health.ends_with(r#" CMD ["/vaurien", "--health"]"#), "{health}");
    assert_eq!(entry, r#"ENTRYPOINT ["/vaurien"]"#);
}

#[test]
fn an_image_starts_as_toxiproxys_does() {
    let instructions = instructions();
    let first = instructions.iter().position(|line| line == "FROM scratch AS toxiproxy").unwrap();
    let [copy, names, _, port, entry, arguments] = &instructions[first + 1..first + 7] else { panic!() };
    assert!(copy.ends_with(" /vaurien") && names.ends_with(" /names/ /"), "{copy} {names}");
    assert_eq!([port, entry, arguments], ["EXPOSE 8474", r#"ENTRYPOINT ["/toxiproxy"]"#, r#"CMD ["-host=0.0.0.0"]"#]);
}

#[test]
#[ignore = "needs musl-gcc and the Rust target for musl"]
fn its_program_is_static() {
    // Always the same folder, so that nothing is compiled twice.
    let folder = path("target/image");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for name in context() {
        assert!(Command::new("cp").arg("-a").arg(path(&name)).arg(&folder).status().unwrap().success());
    }

    let instructions = instructions();
    let build = instructions.iter().find(|line| line.contains("cargo build ")).unwrap();
    let (_, build) = build.split_once("cargo build ").unwrap();
    let (build, copy) = build.split_once(" && ").unwrap();
    let script = format!(
        "cargo build {build} && cd \"$CARGO_TARGET_DIR/..\" && {}",
        copy.replace("/usr/local/bin", "\"$ROOT\"")
    );
    let root = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(&folder).env("CARGO_TARGET_DIR", path("target")).env("ROOT", root.path());
    assert!(shell.status().unwrap().success());

    let vaurien = root.path().join("vaurien");
    assert!(is_static(&vaurien));
    assert!(!is_static(Path::new(env!("CARGO_BIN_EXE_vaurien"))), "what is not is seen");

    let run = |arguments: &[&str]| Command::new(&vaurien).args(arguments).env_clear().output().unwrap();
    let version = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), concat!("vaurien ", env!("CARGO_PKG_VERSION"), "\n"));
    let health = run(&["--health", "127.0.0.1:1"]);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
}

/// Whether nothing is loaded with it: it names no interpreter.
fn is_static(program: &Path) -> bool {
    let output = Command::new("readelf").args(["--program-headers", "--wide"]).arg(program).output().unwrap();
    let headers = String::from_utf8(output.stdout).unwrap();
    assert!(headers.contains("LOAD"), "{headers}");
    !headers.contains("INTERP")
}
