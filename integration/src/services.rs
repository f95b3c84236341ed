//! Services as kube-proxy implements them: virtual addresses that the node's nftables translate, and names that
//! resolve to them.

use std::{
    fs::File,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    error::{Result, trying},
    pod::Pod,
    site::Site,
};

/// A service that stands.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name that pods resolve.
    pub name: String,
    /// Its virtual IPv4 address.
    pub v4: Ipv4Addr,
    /// Its virtual IPv6 address.
    pub v6: Ipv6Addr,
    /// Its port, which is the backends' port as well.
    pub port: u16,
}

impl Service {
    /// Its address in a family.
    #[must_use]
    pub fn address(&self, v6: bool) -> SocketAddr {
        let ip: IpAddr = if v6 { self.v6.into() } else { self.v4.into() };
        SocketAddr::new(ip, self.port)
    }
}

/// Makes the node's table. Packets of pods are translated as they come in, those of the node's own as they leave.
pub(crate) fn prepare(node: &Site) -> Result<()> {
    nft(
        node,
        "add table inet services\n\
         add chain inet services incoming { type nat hook prerouting priority dstnat; }\n\
         add chain inet services own { type nat hook output priority -100; }\n",
    )
}

pub(crate) fn make(node: &Site, number: u8, name: &str, port: u16, backends: &[&Pod]) -> Result<Service> {
    let v4 = Ipv4Addr::new(10, 96, 0, number);
    let v6 = Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, number.into());
    let (all4, all6) = (backends.iter().map(|pod| pod.v4.to_string()), backends.iter().map(|pod| pod.v6.to_string()));
    let (to4, to6) = (target(all4.collect()), target(all6.collect()));
    let mut rules = String::new();
    for chain in ["incoming", "own"] {
        let port = format!("meta l4proto {{ tcp, udp }} th dport {port}");
        rules += &format!("add rule inet services {chain} ip daddr {v4} {port} dnat ip to {to4}\n");
        rules += &format!("add rule inet services {chain} ip6 daddr {v6} {port} dnat ip6 to {to6}\n");
    }
    nft(node, &rules)?;
    let hosts = File::options().append(true).open(&node.hosts);
    let written = hosts.and_then(|mut hosts| write!(hosts, "{v4} {name}\n{v6} {name}\n"));
    trying("write the hosts file", written)?;
    Ok(Service { name: name.to_owned(), v4, v6, port })
}

/// One backend, or one after the other.
fn target(backends: Vec<String>) -> String {
    if let [only] = &backends[..] {
        return only.clone();
    }
    let map: Vec<String> = backends.iter().enumerate().map(|(index, backend)| format!("{index} : {backend}")).collect();
    format!("numgen inc mod {} map {{ {} }}", backends.len(), map.join(", "))
}

fn nft(node: &Site, rules: &str) -> Result<()> {
    node.run_with(&["nft", "-f", "-"], rules)?.ok().map(|_| ())
}
