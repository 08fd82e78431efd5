//! The settings of statsd.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::host::{host, port};

/// Where counters are sent, over UDP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-heading" = "statsd"))]
#[non_exhaustive]
pub struct Statsd {
    /// Send counters to statsd over UDP
    pub(crate) enabled: bool,
    /// Host to send counters to
    #[serde(deserialize_with = "host")]
    #[schemars(extend("x-unit" = "host"))]
    pub host: String,
    /// Port to send counters to
    #[serde(deserialize_with = "target_port")]
    pub port: u16,
    /// Prefix of the counters' names
    #[serde(deserialize_with = "prefix")]
    #[schemars(extend("x-unit" = "prefix"))]
    pub prefix: String,
}

impl Default for Statsd {
    fn default() -> Self {
        Self { enabled: false, host: "localhost".to_owned(), port: 8125, prefix: "vaurien".to_owned() }
    }
}

fn target_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match port(deserializer)? {
        0 => Err(de::Error::custom("`0` is not a port to send to, give 1 to 65535")),
        port => Ok(port),
    }
}

fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let prefix = String::deserialize(deserializer)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !prefix.is_empty() && prefix.bytes().all(plain) {
        return Ok(prefix);
    }
    Err(de::Error::custom(format_args!("`{prefix}` is not a prefix, use letters, digits, `.`, `_` and `-`")))
}
