//! Which addresses may be reached: by default none that only this machine or its network can see.

use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name or an address that leads into a private network.
#[derive(Debug, thiserror::Error)]
#[error("{0} is a private address; `allow_private` is off")]
struct Private(String);

/// A resolver of names that forgets the private addresses among what it found. The connection is made to what is checked here, so
/// a name that changes its mind gains nothing.
pub struct Guard {
    /// Whether they may be reached all the same.
    pub allow_private: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|at| allow_private || is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(Private(name.as_str().into()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Refuses what is no HTTP address, and private addresses written as numbers, which no resolver sees.
///
/// # Errors
/// REFUSED, with what is wrong.
pub fn check(url: &Url, allow_private: bool) -> Result<(), Failure> {
    let no = |message: String| Err(Failure::final_(ErrorClass::Refused, message));
    if !matches!(url.scheme(), "http" | "https") {
        return no(format!("only http and https are spoken, not {}", url.scheme()));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(ip) if !allow_private && !is_public(ip) => no(Private(ip.to_string()).to_string()),
        _ => Ok(()),
    }
}

/// Whether an address may be reached.
pub(super) fn may_be_reached(ip: IpAddr, allow_private: bool) -> bool {
    allow_private || is_public(ip)
}

/// The refusal of a name that leads into a private network.
pub(super) fn private(name: &str) -> Failure {
    Failure::final_(ErrorClass::Refused, Private(name.into()).to_string())
}

/// The refusal inside of a failed request, if that is why it failed.
pub fn refused(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(private) = error.downcast_ref::<Private>() {
            return Some(private.to_string());
        }
        cause = error.source();
    }
    None
}

/// Whether the whole internet can see the address: not this host, a private network, a carrier's, a link's (where clouds keep
/// their metadata), a test's, a group's, or one of IPv6 that wraps one of these.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match wrapped(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6.segments()),
        },
    }
}

/// 2000::/3 is all that is given out; in it, 2001::/23 belongs to protocols (Teredo among them) and 2001:db8::/32 to books.
fn is_public_v6(s: [u16; 8]) -> bool {
    s[0] & 0xe000 == 0x2000 && !(s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8))
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// The IPv4 address in an IPv6 one: mapped, compatible, behind NAT64, 6to4.
fn wrapped(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(low(s[6], s[7])),
        [0x2002, ..] => Some(low(s[1], s[2])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_whole_internet_sees_is_public() {
        for ip in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_in_any_spelling_is_seen() {
        for url in ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/"] {
            assert!(check(&url.parse().unwrap(), false).is_err(), "{url}");
            assert!(check(&url.parse().unwrap(), true).is_ok(), "{url}");
        }
        assert!(check(&"file:///etc/passwd".parse().unwrap(), true).is_err());
    }
}
