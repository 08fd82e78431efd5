//! How a run ended.

use serde::Serialize;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(crate) enum End {
    /// The daemon was asked to stop.
    Stopped,
    /// The command exited by itself.
    Exited { code: u8 },
    /// A signal ended the command.
    Signalled { signal: i32 },
    /// The command took longer than `--timeout` and was stopped.
    TimedOut,
}
