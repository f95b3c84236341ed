//! A world made up around one endpoint and its peers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use portcullis_rules::{
    labels::{Label, Labels},
    world::{Endpoint, EndpointId, Port, ResolvedName, Secret, Transport, World},
};

use super::case::{self, Input, Peer, Pod};

/// First of the addresses that are given out to those that have none (RFC 4193, a random prefix).
const FIRST: u128 = 0xfd6a_3c51_9e07_0000_0000_0000_0000_0000;

/// A world under construction.
#[derive(Debug, Default)]
pub(crate) struct Town {
    /// What has been built.
    pub(crate) world: World,
    namespaces: BTreeMap<String, case::Labels>,
    peers: Vec<(Peer, IpAddr)>,
    given: u128,
}

impl Town {
    /// A world without anybody, with what a line says of the surroundings.
    ///
    /// # Errors
    /// Something that should be an address is none.
    pub(crate) fn around(input: &Input) -> Result<Self, String> {
        let mut town = Self { namespaces: input.namespaces.clone(), ..Self::default() };
        for (name, addresses) in &input.dns_cache {
            let addresses = addresses.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
            let name = portcullis_rules::names::normal(name);
            town.world.names.push(ResolvedName { name, addresses, ..ResolvedName::default() });
        }
        for (text, entity) in &input.externals {
            let address = address(text)?;
            let family = if address.is_ipv4() { "world-ipv4" } else { "world-ipv6" };
            town.settle(None, Labels::new([reserved(entity), reserved(family)]), vec![address], Vec::new());
        }
        for (name, value) in &input.secrets {
            let name = if name.contains('/') { name.clone() } else { format!("default/{name}") };
            town.world.secrets.push(Secret { name, value: value.clone() });
        }
        Ok(town)
    }

    /// Adds the endpoint whose policy is asked.
    pub(crate) fn subject(&mut self, pod: &Pod) -> EndpointId {
        let id = EndpointId(1);
        let labels = self.labels_of(pod);
        let at = self.give();
        self.settle(Some(id), labels, vec![at], ports(pod));
        id
    }

    /// Adds a peer, once; its address.
    ///
    /// # Errors
    /// The entity is none that a single peer can be, or the address is none.
    pub(crate) fn peer(&mut self, peer: &Peer) -> Result<IpAddr, String> {
        if let Some((_, address)) = self.peers.iter().find(|(known, _)| known == peer) {
            return Ok(*address);
        }
        let at = match peer {
            Peer::Ip(text) => address(text)?,
            Peer::Pod(pod) => {
                let labels = self.labels_of(pod);
                let at = self.give();
                self.settle(None, labels, vec![at], ports(pod));
                at
            }
            Peer::Entity(name) => {
                let labels = entity(name).ok_or_else(|| format!("entity {name:?} is no single peer"))?;
                let at = self.give();
                self.settle(None, labels, vec![at], Vec::new());
                at
            }
        };
        self.peers.push((peer.clone(), at));
        Ok(at)
    }

    fn labels_of(&self, pod: &Pod) -> Labels {
        let own = pod.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let of_namespace = self.namespaces.get(&pod.namespace).into_iter().flatten();
        let of_namespace = of_namespace.map(|(key, value)| (key.as_str(), value.as_str()));
        Labels::of_pod_in(&pod.namespace, of_namespace, &pod.service_account, own)
    }

    /// An address that nobody has.
    pub(crate) fn give(&mut self) -> IpAddr {
        self.given += 1;
        Ipv6Addr::from(FIRST + self.given).into()
    }

    fn settle(&mut self, local: Option<EndpointId>, labels: Labels, addresses: Vec<IpAddr>, ports: Vec<Port>) {
        let (name, namespace) = ("".into(), "".into());
        self.world.endpoints.push(Arc::new(Endpoint { local, name, namespace, labels, addresses, ports }));
    }
}

/// The labels of a peer that an entity names.
pub(crate) fn entity(name: &str) -> Option<Labels> {
    const SINGLE: &[&str] = &["host", "remote-node", "health", "init", "ingress", "unmanaged"];
    // Seen from elsewhere, the API server runs on another node.
    if name == "kube-apiserver" {
        return Some(Labels::new([reserved(name), reserved("remote-node")]));
    }
    SINGLE.contains(&name).then(|| Labels::new([reserved(name)]))
}

fn reserved(key: &str) -> Label {
    Label { source: "reserved".to_owned(), key: key.to_owned(), value: String::new() }
}

/// Ports by name; the name may carry the protocol behind a slash.
fn ports(pod: &Pod) -> Vec<Port> {
    let port = |(name, port): (&String, &u16)| {
        let (name, transport) = name.split_once('/').unwrap_or((name, "TCP"));
        let transport = transport_of(transport).ok()?;
        Some(Port { name: name.to_ascii_lowercase(), port: *port, transport })
    };
    pod.named_ports.iter().filter_map(port).collect()
}

/// A transport by its name in any case; TCP where it is empty.
pub(crate) fn transport_of(name: &str) -> Result<Transport, String> {
    if name.is_empty() {
        return Ok(Transport::Tcp);
    }
    let found = Transport::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let known = Transport::ALL.map(Transport::as_str).join(", ");
        format!("unknown protocol {name:?}: write one of {known}")
    })
}

/// An address; an IPv4-mapped one as IPv4.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| format!("{text:?} is no address"))
}
