//! Which addresses the server asks for somebody who may name any.
//!
//! An address of a channel is asked from where the server is, so whoever sets one could reach what only the server reaches.
//! The guard looks at what a name means when it is connected to, not before: a name may mean another address each time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::abroad;

/// Addresses that tell machines of a cloud who they are, beside those that are local to a link.
const METADATA: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

/// Lets addresses of the internet through, and those of one's own networks where the settings say so. Those that are local
/// to a link, which clouds use for secrets of their machines, are never asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) allows_private: bool,
}

/// An address that is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("an address begins with https:// or http://, and names a host and no user")]
    Form,
    #[error(
        "the address is one of a network of its own, which this server asks only with the setting `private_targets`"
    )]
    Private,
}

impl Guard {
    /// What asks only whom the guard lets through, as far as names go; addresses without one are to be
    /// [checked](Self::check) before.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`] when this system cannot ask anybody.
    pub(crate) fn client(self) -> Result<Client, reqwest::Error> {
        // A proxy of the environment would lead around the guard.
        abroad::client(|http| http.no_proxy().dns_resolver(self))
    }

    /// Refuses an address that is never asked, whatever its name means.
    pub(crate) fn check(self, url: &Url) -> Result<(), Refused> {
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user {
            return Err(Refused::Form);
        }
        let address: Option<IpAddr> = match url.host().ok_or(Refused::Form)? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        };
        if address.is_some_and(|address| !self.lets_through(address)) { Err(Refused::Private) } else { Ok(()) }
    }

    fn lets_through(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return false;
        }
        match address {
            IpAddr::V4(address) => self.lets_through_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(address) => self.lets_through_v4(address),
                None => self.lets_through_v6(address),
            },
        }
    }

    fn lets_through_v4(self, address: Ipv4Addr) -> bool {
        let [first, second, third, _] = address.octets();
        let is_shared = first == 100 && (64..128).contains(&second);
        let is_own = address.is_loopback() || address.is_private() || is_shared;
        let is_nobodys = first == 0
            || first >= 240
            || address.is_link_local()
            || address.is_multicast()
            || address.is_documentation()
            || (first == 192 && second == 0 && third == 0)
            || (first == 198 && (18..20).contains(&second));
        !is_nobodys && (!is_own || self.allows_private)
    }

    fn lets_through_v6(self, address: Ipv6Addr) -> bool {
        let is_own = address.is_loopback() || address.is_unique_local();
        let is_documentation = address.segments()[..2] == [0x2001, 0xdb8];
        let is_nobodys =
            address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local() || is_documentation;
        !is_nobodys && (!is_own || self.allows_private)
    }
}

/// The address of the older kind that one of the newer kind leads to, by way of a translator.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(of(high, low)),
        _ => None,
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|found| guard.lets_through(found.ip())).collect();
            if found.is_empty() {
                return Err(Refused::Private.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Guard = Guard { allows_private: false };
    const OPEN: Guard = Guard { allows_private: true };

    fn check(guard: Guard, url: &str) -> Result<(), Refused> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn the_internet_is_asked() {
        for host in ["hooks.slack.com", "1.1.1.1", "[2606:4700::1111]", "example.com:8443"] {
            assert_eq!(check(CLOSED, &format!("https://{host}/x?y=z")), Ok(()), "{host}");
        }
    }

    #[test]
    fn networks_of_ones_own_are_asked_where_that_is_set() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1:9000",
            "100.64.0.1",
            "[::1]",
            "[fd12::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::7f00:1]",
        ] {
            let url = format!("http://{host}/");
            assert_eq!((check(CLOSED, &url), check(OPEN, &url)), (Err(Refused::Private), Ok(())), "{host}");
        }
    }

    #[test]
    fn what_tells_secrets_of_machines_is_never_asked() {
        for host in [
            "169.254.169.254",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "[::]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
        ] {
            let url = format!("http://{host}/latest/meta-data");
            assert_eq!(check(OPEN, &url), Err(Refused::Private), "{host}");
        }
    }

    #[test]
    fn other_schemes_and_users_are_refused() {
        for url in ["file:///etc/passwd", "ftp://example.com/", "https://ada:secret@example.com/", "data:,x"] {
            assert_eq!(check(OPEN, url), Err(Refused::Form), "{url}");
        }
    }

    #[tokio::test]
    async fn what_a_name_means_is_looked_at() {
        let found = CLOSED.resolve("localhost".parse().unwrap()).await;
        assert!(found.err().is_some_and(|error| error.to_string() == Refused::Private.to_string()));
        assert!(OPEN.resolve("localhost".parse().unwrap()).await.unwrap().all(|found| found.ip().is_loopback()));
    }
}
