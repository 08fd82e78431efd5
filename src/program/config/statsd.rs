//! Counters for statsd: whether they are sent, and where to.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::options::Scope;
use super::values::Values;
use crate::diagnostic::Diagnostics;
use crate::net::address::{host, port};

/// Where counters are sent, over UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statsd {
    /// A name or an IP address without brackets; default `localhost`.
    pub host: String,
    /// Default 8125.
    pub port: u16,
    /// What the counters' names begin with, before a dot; default `vaurien`.
    pub prefix: String,
}

/// The options of statsd.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct StatsdOptions {
    /// Send counters to statsd, over UDP
    enabled: bool,
    /// The host that they go to
    #[serde(deserialize_with = "host")]
    #[schemars(extend("x-unit" = "host"))]
    host: String,
    /// And its port
    #[serde(deserialize_with = "port_of_another")]
    port: u16,
    /// What their names begin with
    #[serde(deserialize_with = "prefix")]
    #[schemars(extend("x-unit" = "prefix"))]
    prefix: String,
}

impl Default for StatsdOptions {
    fn default() -> Self {
        Self { enabled: false, host: "localhost".to_owned(), port: 8125, prefix: "vaurien".to_owned() }
    }
}

fn port_of_another<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match port(deserializer)? {
        0 => Err(de::Error::custom("`0` is no port to send to, give 1 to 65535")),
        port => Ok(port),
    }
}

fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let prefix = String::deserialize(deserializer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !prefix.is_empty() && prefix.bytes().all(plain) {
        return Ok(prefix);
    }
    Err(de::Error::custom(format_args!("`{prefix}` is no prefix, use letters, digits, `.`, `_` and `-`")))
}

impl Statsd {
    /// What was asked for, if it was asked for.
    pub(super) fn of(program: &Values<'_>) -> Result<Option<Self>, Diagnostics> {
        let StatsdOptions { enabled, host, port, prefix } = program.build(&Scope::Statsd)?;
        Ok(enabled.then_some(Self { host, port, prefix }))
    }
}
