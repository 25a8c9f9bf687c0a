//! Under which addresses others reach this machine.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// The address by which others reach this machine now, as far as one can guess it.
pub fn own() -> IpAddr {
    likely(&all())
}

/// The one of several that others most likely use.
pub fn likely(addresses: &[IpAddr]) -> IpAddr {
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first()).copied().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Its addresses, but those that only it can reach.
pub fn all() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut found = Vec::new();
    for address in interfaces.filter_map(|interface| interface.address) {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip()));
        if let Some(address) = v4.or_else(v6)
            && !found.contains(&address)
            && is_for_others(address)
        {
            found.push(address);
        }
    }
    found
}

/// Whether others can reach an address as it is written.
fn is_for_others(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}
