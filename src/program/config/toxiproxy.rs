//! The settings of Toxiproxy's API.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::diagnostic::shown;
use crate::net::host_port::HostPort;

/// Where Toxiproxy listens unless it is told otherwise.
const PORT: u16 = 8474;

/// Toxiproxy's API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Toxiproxy {
    /// Where it listens.
    pub listen: HostPort,
    /// Whether `/metrics` has the bytes of proxies.
    pub(crate) proxy_metrics: bool,
    /// Whether `/metrics` has the figures of the program.
    pub(crate) runtime_metrics: bool,
}

impl Toxiproxy {
    /// Without metrics, as Toxiproxy has it unless it is asked for them.
    pub(super) fn new(listen: HostPort) -> Self {
        Self { listen, proxy_metrics: false, runtime_metrics: false }
    }

    /// Whether there is `/metrics`.
    pub(crate) fn has_metrics(&self) -> bool {
        self.proxy_metrics || self.runtime_metrics
    }
}

/// Whether and where the API is served: an address, or true for Toxiproxy's own.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Served(pub(super) Option<HostPort>);

impl FromStr for Served {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(Self(Some(HostPort::new("localhost", PORT)))),
            "false" => Ok(Self(None)),
            address => address.parse().map(|address| Self(Some(address))).map_err(|error| format!("{error}")),
        }
    }
}

impl Serialize for Served {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Served {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(Self::default()),
            Value::Bool(is_served) => is_served.to_string(),
            Value::String(text) => text,
            other => return Err(de::Error::custom(format_args!("{} is no address, write `HOST:PORT`", shown(&other)))),
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Served {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Served".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "string"], "x-unit": "host:port" })
    }
}
