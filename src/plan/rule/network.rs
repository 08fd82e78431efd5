//! Networks of clients.

use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that begin alike: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// How many bits of the address count.
    bits: u32,
}

/// How many bits of `::ffff:10.0.0.1` come before those of the IPv4 address.
const MAPPED: u32 = 96;

/// An address as one number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let ((ours, size), (theirs, their_size)) = (number(self.address), number(address.to_canonical()));
        // Shifted by all of its bits, a number would stay as it is.
        size == their_size && (ours ^ theirs).checked_shr(size - self.bits).is_none_or(|differs| differs == 0)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let read = || {
            let address: IpAddr = address.parse().ok()?;
            let most = number(address).1;
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
            // Clients are known by their IPv4 address.
            Some(match bits.checked_sub(MAPPED) {
                Some(bits) if address.to_canonical() != address => Self { address: address.to_canonical(), bits },
                _ => Self { address, bits },
            })
        };
        read().ok_or_else(|| format!("`{text}` is no network, write `10.0.0.0/8` or an IP address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_begins_alike() {
        for (network, within, outside) in [
            ("10.0.0.0/8", &["10.0.0.1", "10.255.0.0", "::ffff:10.1.2.3"][..], &["11.0.0.0", "::a00:1"][..]),
            ("10.1.2.3/8", &["10.9.9.9"], &["9.9.9.9"]),
            ("127.0.0.1", &["127.0.0.1"], &["127.0.0.2"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("::/0", &["::1", "fe80::1"], &["1.2.3.4"]),
            ("::ffff:127.0.0.1", &["127.0.0.1", "::ffff:127.0.0.1"], &["127.0.0.2", "::1"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::"]),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(within.iter().all(|address| network.contains(address.parse().unwrap())), "{network:?}");
            assert!(outside.iter().all(|address| !network.contains(address.parse().unwrap())), "{network:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/", "10.0.0.0/-1", "::/129"] {
            let why = format!("`{text}` is no network, write `10.0.0.0/8` or an IP address");
            assert_eq!(text.parse::<Network>(), Err(why));
        }
    }

    #[test]
    fn a_wider_network_covers_a_narrower_one() {
        let covers = |wide: &str, narrow: &str| wide.parse::<Network>().unwrap().covers(&narrow.parse().unwrap());
        assert!(covers("10.0.0.0/8", "10.1.0.0/16") && covers("::/0", "::1"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8") && !covers("0.0.0.0/0", "::/0"));
    }
}
