//! What is logged, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is logged, and how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important events that are shown; default `info`.
    pub level: Level,
    /// How a line is written; default `text`.
    pub format: Format,
}

/// How important an event is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The daemon failed.
    Error,
    /// Something is not as it should be, and the daemon goes on.
    Warn,
    /// What the daemon was asked for.
    #[default]
    Info,
    /// What happened to each connection.
    Debug,
    /// Which handler each call was drawn for.
    Trace,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// How a line of the log is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
