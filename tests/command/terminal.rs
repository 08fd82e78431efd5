//! A command at a terminal is in the foreground.

use super::Ran;
use super::world::{Backend, eventually};

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

/// Runs its arguments at a terminal of their own, which hangs up once the file of the environment's `BEGUN` is there, and
/// waits for their end.
const HANGUP: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
while not os.path.exists(os.environb[b"BEGUN"]):
    pass
os.close(terminal)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

/// Runs `arguments`, with `$0` for the program in front of a backend, at a terminal that hangs up once the script has
/// written its first line. Answers the lines, in which it notes each SIGHUP, and the exit code.
fn hangs_up(arguments: &[&str], script: &str) -> (Vec<String>, Option<i32>) {
    let backend = Backend::lines();
    let folder = tempfile::tempdir().unwrap();
    let (begun, lines) = (folder.path().join("begun"), folder.path().join("lines"));
    let mut python = std::process::Command::new("python3");
    python.args(["-c", HANGUP, "/usr/bin/env", "--default-signal"]).args(arguments);
    python.args([env!("CARGO_BIN_EXE_vaurien"), "--backend", &backend.address().to_string()]);
    python.args(["--log-level", "error", "--", "sh", "-c", script]);
    let mut python = python.env("BEGUN", &begun).env("LINES_FILE", &lines).spawn().unwrap();
    let mut status = None;
    eventually("it ends", || {
        status = python.try_wait().unwrap();
        status.is_some()
    });
    // The session's leader may have ended before the command.
    eventually("the command ends", || std::fs::read_to_string(&lines).is_ok_and(|lines| lines.contains("ended")));
    let lines = std::fs::read_to_string(lines).unwrap();
    (lines.lines().map(str::to_owned).collect(), status.unwrap().code())
}

/// Counts hangups for a second after the first one.
const NOTES: &str = "n=1000; trap 'echo hangup >>\"$LINES_FILE\"; [ $n -gt 50 ] && n=50' HUP; echo >\"$BEGUN\"; \
                     while [ $n -gt 0 ]; do sleep 0.02; n=$((n-1)); done; echo ended >>\"$LINES_FILE\"; exit 6";

#[test]
#[ignore = "needs python3"]
fn it_is_told_when_the_terminal_hangs_up() {
    assert_eq!(hangs_up(&[], NOTES), (vec!["hangup".to_owned(), "ended".to_owned()], Some(6)));
}

#[test]
#[ignore = "needs python3"]
fn a_hangup_that_the_terminal_has_sent_to_it_is_not_sent_twice() {
    // The shell leads the session, and the terminal sends its foreground group SIGHUP when that ends.
    let (lines, _) = hangs_up(&["sh", "-c", "\"$0\" \"$@\"; exit"], NOTES);
    assert_eq!(lines, ["hangup", "ended"]);
}

#[test]
#[ignore = "needs python3"]
fn an_alarm_that_was_set_for_the_program_reaches_it() {
    let backend = Backend::lines();
    let mut python = std::process::Command::new("python3");
    let alarm = "import os, signal, sys; signal.alarm(1); os.execv(sys.argv[1], sys.argv[1:])";
    python.args(["-c", alarm, "/usr/bin/env", "--default-signal", env!("CARGO_BIN_EXE_vaurien"), "--backend"]);
    python.arg(backend.address().to_string()).args(["--timeout", "20", "--", "sh", "-c"]);
    python.arg("trap 'echo alarm; exit 6' ALRM; while :; do sleep 0.02; done");
    let ran = Ran::from(python.output().unwrap()).ends(6);
    assert_eq!(ran.stdout, "alarm\n");
}

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
