//! A host with its port.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::address::{BadAddress, as_text, path_of};

/// `host:port`; the host is a name, an IPv4 address or, in brackets, an IPv6 address. Names are not resolved here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// 0 to listen on a free port.
    pub port: u16,
}

impl HostPort {
    /// `host` is a name or an IP address, without brackets.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl FromStr for HostPort {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let owned = || text.to_owned();
        if text.is_empty() {
            return Err(BadAddress::Empty);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(BadAddress::Url { text: owned(), meant: of_url(scheme, rest) });
        }
        if path_of(text).is_some() {
            return Err(BadAddress::Unix(owned()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, port),
            _ if text.parse::<u16>().is_ok() => return Err(BadAddress::PortAlone(owned())),
            _ => return Err(BadAddress::NoPort(owned())),
        };
        // `::1:80` may be either; an address needs a port, so that is how it is read.
        if host.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok() {
            return Err(BadAddress::Unbracketed { text: owned(), meant: format!("[{host}]:{port}") });
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(BadAddress::Unbracketed { text: owned(), meant: format!("[{text}]:PORT") });
        }
        if host.is_empty() {
            return Err(BadAddress::NoHost(owned()));
        }
        let bracketed = unbracketed(host);
        let good = bracketed.map_or_else(|| is_name(host), is_ipv6);
        if !good {
            return Err(BadAddress::BadHost { text: owned(), host: host.to_owned() });
        }
        // `parse` alone would take `+80`.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits => Ok(Self::new(bracketed.unwrap_or(host), port)),
            _ => Err(BadAddress::BadPort { text: owned(), port: port.to_owned() }),
        }
    }
}

/// `localhost:80` for the URL `http://user@localhost/path`.
fn of_url(scheme: &str, rest: &str) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    if address.parse::<HostPort>().is_ok() {
        return address.to_owned();
    }
    let port = match scheme {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        "redis" | "rediss" => "6379",
        "memcached" | "memcache" => "11211",
        _ => "PORT",
    };
    let host = if address.is_empty() { "HOST" } else { address };
    let has_port = unbracketed(host).is_none() && host.contains(':');
    if has_port { "HOST:PORT".to_owned() } else { format!("{host}:{port}") }
}

pub(crate) fn unbracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']'))
}

pub(crate) fn is_ipv6(host: &str) -> bool {
    // Behind a `%` is the zone of a link-local address.
    host.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// A name or an IPv4 address.
pub(crate) fn is_name(host: &str) -> bool {
    host.chars().all(|char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_'))
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

as_text!(HostPort);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for (text, host, port) in [
            ("localhost:8000", "localhost", 8000),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("[::1]:6379", "::1", 6379),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
            ("my_db-1.example.:65535", "my_db-1.example.", 65535),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!(address, HostPort::new(host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_what_would_be() {
        for (text, message) in [
            ("", "the address is empty, write `HOST:PORT`"),
            ("localhost", "`localhost` has no port, write `localhost:PORT`"),
            ("[::1]", "`[::1]` has no port, write `[::1]:PORT`"),
            ("redis://db:6379", "`redis://db:6379` is a URL, write `db:6379`"),
            ("http://localhost:80/a?b", "`http://localhost:80/a?b` is a URL, write `localhost:80`"),
            ("redis://:secret@[::1]/0", "`redis://:secret@[::1]/0` is a URL, write `[::1]:6379`"),
            ("https://a/b", "`https://a/b` is a URL, write `a:443`"),
            ("rediss://:secret@a/0", "`rediss://:secret@a/0` is a URL, write `a:6379`"),
            ("ftp://a", "`ftp://a` is a URL, write `a:PORT`"),
            ("http://", "`http://` is a URL, write `HOST:80`"),
            ("tcp://a:b", "`tcp://a:b` is a URL, write `HOST:PORT`"),
            ("db:http", "`db:http` has an invalid port `http`, a port is 0 to 65535"),
            ("db:65536", "`db:65536` has an invalid port `65536`, a port is 0 to 65535"),
            ("db:-1", "`db:-1` has an invalid port `-1`, a port is 0 to 65535"),
            ("db:+80", "`db:+80` has an invalid port `+80`, a port is 0 to 65535"),
            ("db:", "`db:` has an invalid port ``, a port is 0 to 65535"),
            (":8000", "`:8000` has no host, write `localhost:8000`, or `0.0.0.0:8000` for every interface"),
            ("::1", "`::1` is an IPv6 address without brackets, write `[::1]:PORT`"),
            ("::1:80", "`::1:80` is an IPv6 address without brackets, write `[::1]:80`"),
            ("fe80::1:abcd", "`fe80::1:abcd` is an IPv6 address without brackets, write `[fe80::1:abcd]:PORT`"),
            (
                "a b:80",
                "`a b:80` has an invalid host `a b`, write a name, an IPv4 address or an IPv6 address in brackets",
            ),
            (
                "a:b:80",
                "`a:b:80` has an invalid host `a:b`, write a name, an IPv4 address or an IPv6 address in brackets",
            ),
            (
                "[db]:80",
                "`[db]:80` has an invalid host `[db]`, write a name, an IPv4 address or an IPv6 address in brackets",
            ),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap_err().to_string(), message);
        }
    }
}
