//! How a command, or a daemon's run, ended.

use serde::Serialize;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum End {
    /// The daemon was asked to stop.
    Stopped,
    /// The command ended by itself.
    Exited { code: u8 },
    /// A signal ended the command.
    Signalled { signal: i32 },
    /// The command took longer than `--timeout`, and was ended.
    TimedOut,
}

impl End {
    /// The exit code that tells of it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Exited { code } => code,
            Self::Signalled { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::TimedOut => 124,
        }
    }
}
