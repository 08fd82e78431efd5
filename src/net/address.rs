//! Where to listen and where to connect.

use std::fmt;
use std::str::FromStr;

use super::host_port::HostPort;
use super::unix_path::{MAX_PATH, UnixPath};

/// What a Unix socket is written with.
pub(super) const UNIX: &str = "unix:";

/// Where a proxy listens, or where its backend does: `host:port`, or `unix:/path`.
///
/// ```
/// use vaurien::Address;
///
/// let address: Address = "unix:/run/redis.sock".parse()?;
/// assert!(matches!(&address, Address::Unix(path) if path.as_str() == "/run/redis.sock"));
/// assert_eq!(address.to_string(), "unix:/run/redis.sock");
/// assert_eq!("localhost:6379".parse(), Ok(Address::new("localhost", 6379)));
/// # Ok::<(), vaurien::BadAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A name or an IP address, and a port.
    Tcp(HostPort),
    /// A Unix socket.
    Unix(UnixPath),
}

/// A text that is no address, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Nothing at all.
    #[error("the address is empty, write `HOST:PORT`")]
    Empty,
    /// `http://host:port` and the like.
    #[error("`{text}` is a URL, write `{meant}`")]
    Url {
        /// The whole text.
        text: String,
        /// Its host and its port.
        meant: String,
    },
    /// A port alone.
    #[error("`{0}` has no host, write `localhost:{0}`")]
    PortAlone(String),
    /// Nothing behind the host.
    #[error("`{0}` has no port, write `{0}:PORT`")]
    NoPort(String),
    /// What stands behind the host is no port.
    #[error("`{text}` has an invalid port `{port}`, a port is 0 to 65535")]
    BadPort {
        /// The whole text.
        text: String,
        /// What is behind its last colon.
        port: String,
    },
    /// Nothing before the colon.
    #[error("`{0}` has no host, write `localhost{0}`, or `0.0.0.0{0}` for every interface")]
    NoHost(String),
    /// An IPv6 address whose end cannot be told from the port.
    #[error("`{text}` is an IPv6 address without brackets, write `{meant}`")]
    Unbracketed {
        /// The whole text.
        text: String,
        /// The same in brackets.
        meant: String,
    },
    /// No name and no IP address.
    #[error("`{text}` has an invalid host `{host}`, write a name, an IPv4 address or an IPv6 address in brackets")]
    BadHost {
        /// The whole text.
        text: String,
        /// What is before its last colon.
        host: String,
    },
    /// A path without what says that it is one.
    #[error("`{0}` is a path, write `unix:{0}`")]
    BarePath(String),
    /// A Unix socket where only TCP serves.
    #[error("`{0}` is a Unix socket, which only a proxy and a backend can have, write `HOST:PORT`")]
    Unix(String),
    /// Nothing behind `unix:`.
    #[error("`{0}` has no path, write `unix:/PATH`")]
    NoPath(String),
    /// A path with a character that no path has.
    #[error("`{}` has a NUL character, which no path has", .0.escape_debug())]
    Nul(String),
    /// A path that does not fit into the address of a socket.
    #[error("`{text}` has a path of {len} bytes, the system allows {MAX_PATH} for a socket")]
    LongPath {
        /// The whole text.
        text: String,
        /// How long its path is, in bytes.
        len: usize,
    },
    /// An abstract name on a system that has none.
    #[error("`{0}` is an abstract name, which only Linux has, write `unix:/PATH`")]
    Abstract(String),
}

impl Address {
    /// TCP; `host` is a name or an IP address, without brackets.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp(HostPort::new(host, port))
    }

    /// As URLs and the `Host` of HTTP name it: without the port if that is `default_port`, and without the zone of a link-local
    /// address, which means something on this host alone (RFC 6874). A Unix socket is on this host.
    pub(crate) fn authority(&self, default_port: u16) -> String {
        let Some(HostPort { host, port }) = self.tcp() else { return "localhost".to_owned() };
        let host = match host.split_once('%') {
            Some((address, _)) => format!("[{address}]"),
            None if host.contains(':') => format!("[{host}]"),
            None => host.clone(),
        };
        if *port == default_port { host } else { format!("{host}:{port}") }
    }

    /// Its host and its port, if it has them.
    #[must_use]
    pub fn tcp(&self) -> Option<&HostPort> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }

    /// Its host, which for a Unix socket is this machine.
    pub(crate) fn host(&self) -> &str {
        self.tcp().map_or("localhost", |address| &address.host)
    }

    /// Whether it stands for any free port.
    pub(crate) fn is_any_port(&self) -> bool {
        self.tcp().is_some_and(|address| address.port == 0)
    }

    /// Whether both are the same, as far as their texts and the file system tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.port == other.port && one.host.eq_ignore_ascii_case(&other.host),
            (Self::Unix(one), Self::Unix(other)) => one.is_same(other),
            _ => false,
        }
    }
}

impl From<HostPort> for Address {
    fn from(address: HostPort) -> Self {
        Self::Tcp(address)
    }
}

impl PartialEq<HostPort> for Address {
    fn eq(&self, other: &HostPort) -> bool {
        self.tcp() == Some(other)
    }
}

/// What is behind `unix:`. Digits alone are a port of a host of that name.
pub(super) fn path_of(text: &str) -> Option<&str> {
    text.strip_prefix(UNIX).filter(|rest| rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_digit()))
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match path_of(text) {
            Some(path) => path.parse().map(Self::Unix),
            None if text.starts_with(['/', '@']) || text.starts_with("./") => {
                Err(BadAddress::BarePath(text.to_owned()))
            }
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// Serializes as text, and reads it.
macro_rules! as_text {
    ($address:ident) => {
        impl serde::Serialize for $address {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $address {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $address {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($address).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "x-unit": "host:port" })
            }
        }
    };
}

pub(super) use as_text;

as_text!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for (text, path) in [
            ("localhost:8000", None),
            // A host may have this name.
            ("unix:8000", None),
            ("unix:/run/x.sock", Some("/run/x.sock")),
            ("unix:run/x y", Some("run/x y")),
            ("unix:./8000", Some("./8000")),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let Address::Unix(read) = &address else {
                assert_eq!(path, None, "{text}");
                continue;
            };
            assert_eq!(Some(read.as_str()), path);
        }
    }

    #[test]
    fn an_authority_is_without_the_default_port() {
        for (text, of_http, of_https) in [
            ("a.example:80", "a.example", "a.example:80"),
            ("a.example:443", "a.example:443", "a.example"),
            ("127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:80", "[::1]", "[::1]:80"),
            ("[fe80::1%eth0]:8080", "[fe80::1]:8080", "[fe80::1]:8080"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!([80, 443].map(|port| address.authority(port)), [of_http, of_https]);
        }
    }

    #[test]
    fn what_is_no_address_says_what_would_be() {
        let (long, fits) = ("x".repeat(MAX_PATH + 1), "x".repeat(MAX_PATH));
        assert!(format!("unix:{fits}").parse::<Address>().is_ok());
        let too_long =
            format!("`unix:{long}` has a path of {} bytes, the system allows {MAX_PATH} for a socket", long.len());
        for (text, message) in [
            ("unix:", "`unix:` has no path, write `unix:/PATH`"),
            ("unix:@", "`unix:@` has no path, write `unix:/PATH`"),
            ("unix:///run/x", "`unix:///run/x` is a URL, write `unix:/run/x`"),
            ("unix://x", "`unix://x` is a URL, write `unix:x`"),
            ("unix://", "`unix://` is a URL, write `unix:/PATH`"),
            ("/run/x.sock", "`/run/x.sock` is a path, write `unix:/run/x.sock`"),
            ("./x", "`./x` is a path, write `unix:./x`"),
            ("unix:a\0b", "`unix:a\\0b` has a NUL character, which no path has"),
            (&format!("unix:{long}"), &too_long),
            ("unix:99999", "`unix:99999` has an invalid port `99999`, a port is 0 to 65535"),
            ("", "the address is empty, write `HOST:PORT`"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn where_only_tcp_serves_a_path_is_a_mistake() {
        assert_eq!(
            "unix:/x".parse::<HostPort>().unwrap_err().to_string(),
            "`unix:/x` is a Unix socket, which only a proxy and a backend can have, write `HOST:PORT`"
        );
    }
}
