//! Which machines may be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{RemoteAddress, RemoteError, ThisMachine};

/// The address at which the metadata of a machine in Amazon's cloud is; others use one that is of its link alone.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What `git` is told to take the name of the host for, so that nobody makes it another machine after it was looked at;
/// nothing where there is nothing to tell.
pub(super) async fn check(address: &RemoteAddress, here: ThisMachine) -> Result<Option<String>, RemoteError> {
    let Some((host, port)) = address.host() else { return Ok(None) };
    if here == ThisMachine::Allowed {
        return Ok(None);
    }
    let refused = || RemoteError::Host(host.to_owned());
    if let Ok(known) = host.parse::<IpAddr>() {
        return if is_of_this_machine(known) { Err(refused()) } else { Ok(None) };
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| RemoteError::UnknownHost { host: host.to_owned(), source })?;
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    if found.is_empty() || found.iter().copied().any(is_of_this_machine) {
        return Err(refused());
    }
    let shown = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let all: Vec<String> = found.iter().map(shown).collect();
    Ok(address.is_web().then(|| format!("{host}:{port}:{}", all.join(","))))
}

/// Whether an address is this machine's own, or of its link alone, where clouds tell a machine its secrets. That of a
/// private network is a usual place of a forge.
fn is_of_this_machine(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_multicast()
                || address.octets()[0] == Ipv4Addr::UNSPECIFIED.octets()[0]
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address == METADATA
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_only_this_machine_sees_is_refused() {
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0", "169.254.169.254", "[::ffff:127.0.0.1]", "localhost"]
        {
            let address = RemoteAddress::parse(&format!("http://{host}:1/x"), ThisMachine::Refused).unwrap();
            let refused = check(&address, ThisMachine::Refused).await;
            assert!(matches!(refused, Err(RemoteError::Host(_))), "{host}: {refused:?}");
            assert_eq!(check(&address, ThisMachine::Allowed).await.unwrap(), None);
        }
        for host in ["10.0.0.7", "192.0.2.1", "[2001:db8::1]"] {
            let address = RemoteAddress::parse(&format!("https://{host}/x"), ThisMachine::Refused).unwrap();
            assert_eq!(check(&address, ThisMachine::Refused).await.unwrap(), None, "{host}");
        }
    }
}
