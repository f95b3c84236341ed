//! Builds a world around one endpoint and its peers.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use portcullis_proxy::cli::explain::peers::{SpareAddresses, address, entity, reserved, transport_of};
use portcullis_rules::{
    labels::LabelSet,
    world::{Endpoint, EndpointId, NamedPort, ResolvedName, Secret, World},
};

use crate::case::{self, Input, Peer, Pod};

/// A world under construction.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// What has been built.
    pub(crate) world: World,
    namespaces: BTreeMap<String, case::Labels>,
    peers: Vec<(Peer, IpAddr)>,
    spare: SpareAddresses,
}

impl Surroundings {
    /// A world without anybody, with what a line says of the surroundings.
    ///
    /// # Errors
    /// Something that should be an address is none.
    pub(crate) fn around(input: &Input) -> Result<Self, String> {
        let mut made = Self { namespaces: input.namespaces.clone(), ..Self::default() };
        for (name, addresses) in &input.dns_cache {
            let addresses = addresses.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
            let name = portcullis_rules::names::normal(name);
            made.world.names.push(ResolvedName { name, addresses, ..ResolvedName::default() });
        }
        for (text, entity) in &input.externals {
            let address = address(text)?;
            let family = if address.is_ipv4() { "world-ipv4" } else { "world-ipv6" };
            made.settle(None, LabelSet::new([reserved(entity), reserved(family)]), vec![address], Vec::new());
        }
        for (name, value) in &input.secrets {
            let name = if name.contains('/') { name.clone() } else { format!("default/{name}") };
            made.world.secrets.push(Secret { name, value: value.clone() });
        }
        Ok(made)
    }

    /// Adds the endpoint whose policy is asked.
    pub(crate) fn subject(&mut self, pod: &Pod) -> EndpointId {
        let id = EndpointId(1);
        let labels = self.labels_of(pod);
        let at = self.spare.give();
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
                let at = self.spare.give();
                self.settle(None, labels, vec![at], ports(pod));
                at
            }
            Peer::Entity(name) => {
                let labels = entity(name).ok_or_else(|| format!("entity {name:?} is no single peer"))?;
                let at = self.spare.give();
                self.settle(None, labels, vec![at], Vec::new());
                at
            }
        };
        self.peers.push((peer.clone(), at));
        Ok(at)
    }

    fn labels_of(&self, pod: &Pod) -> LabelSet {
        let own = pod.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let of_namespace = self.namespaces.get(&pod.namespace).into_iter().flatten();
        let of_namespace = of_namespace.map(|(key, value)| (key.as_str(), value.as_str()));
        LabelSet::of_pod_in(&pod.namespace, of_namespace, &pod.service_account, own)
    }

    fn settle(&mut self, local: Option<EndpointId>, labels: LabelSet, addresses: Vec<IpAddr>, ports: Vec<NamedPort>) {
        let (name, namespace) = ("".into(), "".into());
        self.world.endpoints.push(Arc::new(Endpoint { local, name, namespace, labels, addresses, ports }));
    }
}

/// Ports by name; the name may carry the protocol behind a slash.
fn ports(pod: &Pod) -> Vec<NamedPort> {
    let port = |(name, port): (&String, &u16)| {
        let (name, transport) = name.split_once('/').unwrap_or((name, "TCP"));
        let transport = transport_of(transport).ok()?;
        Some(NamedPort { name: name.to_ascii_lowercase(), port: *port, transport })
    };
    pod.named_ports.iter().filter_map(port).collect()
}
