//! Whom the server calls: what others say is no reason to reach into its own network.
//!
//! The address that is dialled is checked, not the name: a name may lead elsewhere the next time it is asked for. The
//! ranges are those of IANA's special-purpose registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::Url;

/// Addresses with the first so many bits of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    first: Ipv6Addr,
    bits: u32,
}

/// Of IPv4, what is not the world.
const NOT_THE_WORLD_4: [Net; 16] = [
    Net::of_v4(Ipv4Addr::UNSPECIFIED, 8),
    Net::of_v4(Ipv4Addr::new(10, 0, 0, 0), 8),
    Net::of_v4(Ipv4Addr::new(100, 64, 0, 0), 10),
    Net::of_v4(Ipv4Addr::new(127, 0, 0, 0), 8),
    Net::of_v4(Ipv4Addr::new(169, 254, 0, 0), 16),
    Net::of_v4(Ipv4Addr::new(172, 16, 0, 0), 12),
    Net::of_v4(Ipv4Addr::new(192, 0, 0, 0), 24),
    Net::of_v4(Ipv4Addr::new(192, 0, 2, 0), 24),
    Net::of_v4(Ipv4Addr::new(192, 31, 196, 0), 24),
    Net::of_v4(Ipv4Addr::new(192, 52, 193, 0), 24),
    Net::of_v4(Ipv4Addr::new(192, 88, 99, 0), 24),
    Net::of_v4(Ipv4Addr::new(192, 168, 0, 0), 16),
    Net::of_v4(Ipv4Addr::new(198, 18, 0, 0), 15),
    Net::of_v4(Ipv4Addr::new(198, 51, 100, 0), 24),
    Net::of_v4(Ipv4Addr::new(203, 0, 113, 0), 24),
    Net::of_v4(Ipv4Addr::new(224, 0, 0, 0), 3),
];
/// Of IPv6 only this is the world, but for what follows.
const THE_WORLD_6: Net = Net { first: Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), bits: 3 };
const NOT_THE_WORLD_6: [Net; 4] = [
    Net { first: Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), bits: 23 },
    Net { first: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), bits: 32 },
    Net { first: Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), bits: 16 },
    Net { first: Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), bits: 20 },
];

impl Net {
    /// `10.2.0.0/16`, `::1`; `None` where it is neither an address nor a range of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text.trim(), None),
        };
        match address.parse().ok()? {
            IpAddr::V4(v4) => {
                let bits = bits.unwrap_or(32);
                (bits <= 32).then(|| Self::of_v4(v4, bits))
            }
            IpAddr::V6(first) => {
                let bits = bits.unwrap_or(128);
                (bits <= 128).then_some(Self { first, bits })
            }
        }
    }

    const fn of_v4(first: Ipv4Addr, bits: u32) -> Self {
        Self { first: first.to_ipv6_mapped(), bits: bits.saturating_add(96) }
    }

    /// This machine.
    pub(crate) fn loopback() -> Vec<Self> {
        ["127.0.0.0/8", "::1"].into_iter().filter_map(Self::parse).collect()
    }

    fn holds(self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let differ = address.to_bits() ^ self.first.to_bits();
        differ.leading_zeros() >= self.bits
    }
}

/// See the file's first line.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    allowed: Arc<[Net]>,
}

impl Reach {
    pub(crate) fn new(allowed: &[Net]) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Whether the server may call somebody at this address.
    pub(crate) fn lets(&self, address: IpAddr) -> bool {
        let address = address.to_canonical(); // an IPv4 address in IPv6 is that address
        self.allowed.iter().any(|net| net.holds(address)) || is_the_world(address)
    }

    /// An address of HTTP without a user's name, and where it says a number, one that may be called.
    pub(crate) fn check(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("that is no address: {error}"))?;
        self.check_url(&url).map(|()| url)
    }

    pub(crate) fn check_url(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("'{}:' is neither http nor https", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address that is called has no user's name in it".to_owned());
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) if !self.lets(address) => Err(refused(host)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Why nobody is called there.
pub(crate) fn refused(host: &str) -> String {
    format!(
        "the server does not call {host}, which is no address of the public network: if it is one of your own, say so \
         with --allow ADDRESS or --allow ADDRESS/BITS"
    )
}

fn is_the_world(address: IpAddr) -> bool {
    let is_in = |nets: &[Net]| nets.iter().any(|net| net.holds(address));
    match address {
        IpAddr::V4(_) => !is_in(&NOT_THE_WORLD_4),
        IpAddr::V6(_) => THE_WORLD_6.holds(address) && !is_in(&NOT_THE_WORLD_6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(allowed: &[&str]) -> Reach {
        let nets: Vec<Net> = allowed.iter().filter_map(|text| Net::parse(text)).collect();
        assert_eq!(nets.len(), allowed.len());
        Reach::new(&nets)
    }

    /// Ways to write addresses that are nobody's business, as attackers do.
    const INSIDE: [&str; 56] = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://0x7f.1/",
        "http://127.0.0.1:22/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[0:0:0:0:0:ffff:a00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[64:ff9b:1::1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a00:1::1]/",
        "http://[2001::1]/",
        "http://[2001:db8::1]/",
        "http://[fc00::1]/",
        "http://[fd12:3456:789a::1]/",
        "http://[fe80::1]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[100::1]/",
        "http://[5f00::1]/",
        "http://[3fff::1]/",
        "http://[::7f00:1]/",
        "http://10.0.0.1/",
        "http://10.255.255.255/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.0.1/",
        "http://192.168.255.255/",
        "http://169.254.169.254/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://192.0.0.1/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://224.0.0.1/",
        "http://239.255.255.255/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://192.88.99.1/",
        "http://127。0。0。1/",
    ];

    #[test]
    fn what_is_inside_is_not_called_however_it_is_written() {
        let reach = reach(&[]);
        for url in INSIDE {
            assert!(reach.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn each_address_of_each_range_is_inside_and_its_neighbours_are_not() {
        let reach = reach(&[]);
        for net in NOT_THE_WORLD_4 {
            let first = net.first.to_ipv4_mapped().unwrap();
            let (from, size) = (u64::from(first.to_bits()), 1_u64 << (128 - net.bits));
            let at = |number: u64| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
            for number in [from, from + size / 2, from + size - 1] {
                assert!(!reach.lets(at(number)), "{}", at(number));
                let mapped = Ipv4Addr::from_bits(u32::try_from(number).unwrap()).to_ipv6_mapped();
                assert!(!reach.lets(mapped.into()), "{mapped}");
            }
        }
        for outside in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.0",
            "223.255.255.255",
        ] {
            assert!(reach.lets(outside.parse().unwrap()), "{outside}");
        }
        for outside in ["2606:4700::1111", "2a00::1", "2400:cb00::1"] {
            assert!(reach.lets(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn what_is_allowed_is_called() {
        let reach = reach(&["10.2.0.0/16", "::1", "127.0.0.1"]);
        for url in [
            "http://10.2.3.4/",
            "http://[::1]:3000/",
            "http://127.0.0.1/",
            "http://[::ffff:10.2.0.9]/",
        ] {
            assert!(reach.check(url).is_ok(), "{url}");
        }
        for url in ["http://10.3.0.1/", "http://127.0.0.2/"] {
            assert!(reach.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_address_is_of_http_and_of_nobody() {
        let reach = reach(&["127.0.0.0/8"]);
        for url in [
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "http://u:p@127.0.0.1/",
            "http://u@127.0.0.1/",
            "x",
            "",
        ] {
            assert!(reach.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_range_is_read_whole() {
        for wrong in ["", "10.0.0.0/33", "::1/129", "10.0.0", "10.0.0.0/x", "host"] {
            assert_eq!(Net::parse(wrong), None, "{wrong}");
        }
    }
}
