//! Hosts and ports that stand by themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::net::host_port::{HostPort, is_ipv6, is_name, unbracketed};

/// A host by itself, without brackets, or what is wrong with it.
pub(super) fn read_host(text: &str) -> Result<String, String> {
    let host = unbracketed(text).filter(|inner| is_ipv6(inner)).unwrap_or(text);
    if !host.is_empty() && (is_name(host) || is_ipv6(host)) {
        return Ok(host.to_owned());
    }
    Err(format!("`{text}` is not a host, write a name or an IP address"))
}

/// A host that a request may be sent to, and its port; displayed as it is read: `chaos.example`, `[::1]:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// A name or an IP address, without brackets.
    pub name: String,
    /// Any port where there is none.
    pub port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `::1:80` is an address without a port here, which needs none.
        if let Ok(name) = read_host(text) {
            return Ok(Self { name, port: None });
        }
        match text.parse() {
            Ok(HostPort { host, port }) => Ok(Self { name: host, port: Some(port) }),
            Err(_) => Err(format!("`{text}` is not a host, write `chaos.example` or `chaos.example:8080`")),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", HostPort::new(&self.name, port)),
            None if self.name.contains(':') => write!(f, "[{}]", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// As [`read_host`], for a setting.
pub(super) fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read_host(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A port by itself, for a setting.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let port = u64::deserialize(deserializer)?;
    let wrong = |_| de::Error::custom(format_args!("`{port}` is not a port, a port is 0 to 65535"));
    u16::try_from(port).map_err(wrong)
}
