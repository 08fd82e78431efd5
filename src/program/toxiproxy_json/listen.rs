//! Where a proxy listens, as Go reads addresses: without a host on all of them, without a port on a free one.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::net::host_port::{HostPort, is_ipv6, is_name};

/// All addresses of both families.
pub(crate) fn everywhere(port: u16) -> HostPort {
    HostPort::new(Ipv6Addr::UNSPECIFIED.to_string(), port)
}

/// The address that `text` says, or what Go says of it.
pub(crate) fn read(text: &str) -> Result<HostPort, String> {
    if text.is_empty() {
        return Ok(everywhere(0));
    }
    let (host, port) = split(text).map_err(|why| format!("address {text}: {why}"))?;
    let port = match port.parse::<u32>() {
        Err(_) if port.is_empty() => 0,
        Err(_) => return Err(format!("lookup tcp/{port}: unknown port")),
        Ok(number) => u16::try_from(number).map_err(|_| format!("address {port}: invalid port"))?,
    };
    if host.is_empty() || host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified()) {
        return Ok(everywhere(port));
    }
    if is_name(host) || is_ipv6(host) { Ok(HostPort::new(host, port)) } else { Err(no_such_host(host)) }
}

/// What Go says of a name that no server knows.
pub(crate) fn no_such_host(host: &str) -> String {
    format!("lookup {host}: no such host")
}

/// Host and port, as Go splits them.
fn split(text: &str) -> Result<(&str, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("missing ']' in address")?;
        return match rest.strip_prefix(':') {
            Some(port) if port.contains(':') => Err("too many colons in address"),
            Some(port) => Ok((host, port)),
            None => Err("missing port in address"),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or("missing port in address")?;
    match () {
        () if host.contains(':') => Err("too many colons in address"),
        () if text.contains('[') => Err("unexpected '[' in address"),
        () if text.contains(']') => Err("unexpected ']' in address"),
        () => Ok((host, port)),
    }
}

/// Where a proxy listens, in one address: that of all, or the first, IPv4 before IPv6.
pub(crate) fn shown(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let everywhere = addresses.iter().find(|address| address.ip() == Ipv6Addr::UNSPECIFIED);
    everywhere.or_else(|| addresses.iter().find(|address| address.is_ipv4())).or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        for (text, address) in [
            ("", "[::]:0"),
            (":8666", "[::]:8666"),
            ("0.0.0.0:8666", "[::]:8666"),
            ("[::]:8666", "[::]:8666"),
            ("localhost:0", "localhost:0"),
            ("localhost:", "localhost:0"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), address, "{text}");
        }
        for (text, message) in [
            ("local373", "address local373: missing port in address"),
            ("[::1]", "address [::1]: missing port in address"),
            ("[::1", "address [::1: missing ']' in address"),
            ("::1:80", "address ::1:80: too many colons in address"),
            ("a]:80", "address a]:80: unexpected ']' in address"),
            ("localhost:70000", "address 70000: invalid port"),
            ("localhost:redis", "lookup tcp/redis: unknown port"),
            ("a b:80", "lookup a b: no such host"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()));
        }
    }

    #[test]
    fn one_address_stands_for_all() {
        let shown = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            super::shown(&addresses).map(|address| address.to_string())
        };
        assert_eq!(shown(&["[::1]:80", "127.0.0.1:80"]).as_deref(), Some("127.0.0.1:80"));
        assert_eq!(shown(&["0.0.0.0:80", "[::]:80"]).as_deref(), Some("[::]:80"));
        assert_eq!(shown(&["[::1]:80"]).as_deref(), Some("[::1]:80"));
        assert_eq!(shown(&[]), None);
    }
}
