//! The settings of the log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is shown; default `info`.
    pub level: Level,
    /// The format of a line; default `text`.
    pub format: Format,
}

/// The severity of a line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A failure of the daemon.
    Error,
    /// A problem that the daemon survives.
    Warn,
    /// Starts, changes and stops.
    #[default]
    Info,
    /// Each connection.
    Debug,
    /// The handler of each call.
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

/// The format of a line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
