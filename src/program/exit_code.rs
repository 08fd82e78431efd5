//! What the program exits with. Scripts and CI servers rely on these: a code keeps its meaning.

use crate::program::command::{CannotRun, End};

/// The daemon failed while it was running.
pub(crate) const FAILED: u8 = 1;

/// The command line, a variable or the file is wrong.
pub(crate) const WRONG_USE: u8 = 2;

/// The command succeeded, but an expectation was not met, that of a call for the faults that were asked for among them.
pub(crate) const UNMET: u8 = 3;

/// The command took longer than `--timeout`. As `timeout` has it.
const TIMED_OUT: u8 = 124;

/// The program itself failed, so the command has no exit code; 1 and 2 are left to the command. As `env` and `timeout` have it.
pub(crate) const OWN_FAILURE: u8 = 125;

/// The command exists and cannot be executed. As shells have it.
const NOT_EXECUTABLE: u8 = 126;

/// The command does not exist. As shells have it.
const NOT_FOUND: u8 = 127;

/// Added to the number of the signal that ended the command. As shells have it.
const SIGNAL: i32 = 128;

/// The exit code for a run that ended so.
pub(crate) fn of_end(end: End) -> u8 {
    match end {
        End::Stopped => 0,
        End::Exited { code } => code,
        End::Signalled { signal } => u8::try_from(SIGNAL + signal).unwrap_or(u8::MAX),
        End::TimedOut => TIMED_OUT,
    }
}

/// The exit code for a failure of the program itself.
pub(crate) fn of_failure(error: &anyhow::Error, runs_a_command: bool) -> u8 {
    match error.downcast_ref() {
        Some(CannotRun::NotFound(_) | CannotRun::NoInterpreter(_)) => NOT_FOUND,
        Some(CannotRun::NotExecutable(..)) => NOT_EXECUTABLE,
        None if runs_a_command => OWN_FAILURE,
        None => FAILED,
    }
}
