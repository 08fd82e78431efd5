//! A command at a terminal is in the foreground.

use super::Ran;
use super::world::Backend;

/// Runs its arguments at a terminal of their own, types what the environment's `TYPE` has once `begun` is there, and shows
/// what appears.
const TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen, typed = b"", False
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    seen += some
    if not typed and b"begun" in seen:
        os.write(terminal, os.environb[b"TYPE"])
        typed = True
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn at_a_terminal(types: &str, script: &str) -> Ran {
    let backend = Backend::lines();
    let mut python = std::process::Command::new("python3");
    python.args(["-c", TERMINAL, "/usr/bin/env", "--default-signal", env!("CARGO_BIN_EXE_vaurien"), "--backend"]);
    python.arg(backend.address().to_string());
    python.args(["--log-level", "error", "--", "sh", "-c", script]).env("TYPE", types);
    Ran::from(python.output().unwrap())
}

#[test]
#[ignore = "needs python3"]
fn it_reads_what_is_typed() {
    let ran = at_a_terminal("hello\n", "test -t 0 && echo begun; read -r line; echo \"read $line\"; exit 4").ends(4);
    assert!(ran.stdout.contains("read hello\r\n"), "{ran:?}");
}

#[test]
#[ignore = "needs python3"]
fn an_interrupt_that_is_typed_reaches_it_once() {
    let script = "trap 'echo interrupted' INT; trap 'echo ended; exit 5' EXIT; echo begun; \
                  n=0; while [ $n -lt 100 ]; do sleep 0.01; n=$((n+1)); done";
    let ran = at_a_terminal("\u{3}", script).ends(5);
    assert_eq!(ran.stdout.matches("interrupted\r\n").count(), 1, "{ran:?}");
}

#[test]
#[ignore = "needs python3"]
fn it_may_exit_on_end_of_file() {
    let ran = at_a_terminal("\u{3}", "echo begun; exec sleep 1000").ends(128 + 2);
    assert!(ran.stdout.contains("begun"), "{ran:?}");
}
