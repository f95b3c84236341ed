//! Whom an element of `ingress` or `egress` means (cilium pkg/policy/utils/parserules.go, pkg/policy/api/entity.go).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::identities::{Identities, Identity};
use crate::{
    labels::{CLUSTER, DEFAULT_CLUSTER, Label, Labels, NAMESPACE, Selector},
    lpm::everything,
    policy::{CidrSet, Entity, Entry},
    settings::Settings,
};

/// The other side of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// A known endpoint.
    Known(Identity),
    /// An address that belongs to no known endpoint.
    Unknown(IpAddr),
}

/// A set of peers.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Peers {
    /// Everybody.
    pub(crate) any: bool,
    /// Known endpoints, sorted.
    pub(crate) identities: Vec<Identity>,
    /// Addresses that belong to no known endpoint.
    pub(crate) ranges: Vec<CidrSet>,
}

impl Peers {
    pub(crate) fn contains(&self, who: Who) -> bool {
        self.any
            || match who {
                Who::Known(identity) => self.identities.binary_search(&identity).is_ok(),
                Who::Unknown(address) => self.ranges.iter().any(|range| {
                    range.cidr.contains(&address) && !range.except.iter().any(|except| except.contains(&address))
                }),
            }
    }

    fn is_empty(&self) -> bool {
        !self.any && self.identities.is_empty() && self.ranges.is_empty()
    }
}

/// Resolves peers; equal sets are one.
#[derive(Debug)]
pub(crate) struct Resolver<'w> {
    identities: &'w Identities<'w>,
    settings: &'w Settings,
    /// The labels of unknown addresses, by family (dual stack: never `reserved:world`).
    world: [Labels; 2],
    selected: HashMap<Selector, Arc<[Identity]>>,
    interned: HashSet<Arc<Peers>>,
}

impl<'w> Resolver<'w> {
    pub(crate) fn new(identities: &'w Identities<'w>, settings: &'w Settings) -> Self {
        let world = ["world-ipv4", "world-ipv6"].map(|key| {
            Labels::new([Label { source: "reserved".to_owned(), key: key.to_owned(), value: String::new() }])
        });
        Self { identities, settings, world, selected: HashMap::new(), interned: HashSet::new() }
    }

    /// The peers of an element, or `None` if it selects nobody.
    ///
    /// Without any list of peers everybody is meant, unless there are no ports either: `- {}` selects nobody. A list
    /// that is there but empty selects nobody, whatever else is written.
    pub(crate) fn resolve(&mut self, entry: &Entry, namespace: Option<&str>, deny: bool) -> Option<Arc<Peers>> {
        if is_some_and_empty(entry) {
            return None;
        }
        let names = entry.fqdns.as_ref().is_some_and(|names| !names.is_empty());
        let nobody_named = entry.endpoints.is_none()
            && entry.cidrs.is_none()
            && entry.cidr_sets.is_none()
            && entry.entities.is_none()
            && !names;
        let mut peers = Peers::default();
        if nobody_named {
            let portless = entry.ports.as_ref().is_none_or(Vec::is_empty);
            peers.any = !portless || (self.settings.deviations.empty_rule_allows && !deny);
        }
        self.endpoints(entry, namespace, &mut peers);
        for entity in entry.entities.iter().flatten() {
            self.entity(*entity, &mut peers);
        }
        let plain = entry.cidrs.iter().flatten().map(|cidr| CidrSet { cidr: cidr.trunc(), except: Vec::new() });
        let sets = entry.cidr_sets.iter().flatten().map(|set| CidrSet {
            cidr: set.cidr.trunc(),
            except: set.except.iter().map(|except| except.trunc()).collect(),
        });
        peers.ranges.extend(plain.chain(sets));
        (!peers.is_empty()).then(|| self.intern(peers))
    }

    /// The part of some peers that is among certain known endpoints, or `None` if nobody is.
    pub(crate) fn narrow(&mut self, peers: &Peers, among: &[Identity]) -> Option<Arc<Peers>> {
        let kept = among.iter().copied().filter(|identity| peers.contains(Who::Known(*identity))).collect();
        let peers = Peers { any: false, identities: kept, ranges: Vec::new() };
        (!peers.is_empty()).then(|| self.intern(peers))
    }

    /// The identities that a selector selects, in order.
    pub(crate) fn select(&mut self, selector: Selector) -> Arc<[Identity]> {
        let identities = self.identities;
        let select = |selector: &Selector| identities.select(selector).into();
        Arc::clone(self.selected.entry(selector).or_insert_with_key(select))
    }

    fn endpoints(&mut self, entry: &Entry, namespace: Option<&str>, peers: &mut Peers) {
        for selector in entry.endpoints.iter().flatten() {
            let bound = selector.for_peer(namespace);
            for (labels, range) in self.world.iter().zip(everything()) {
                if bound.matches(labels) {
                    peers.ranges.push(CidrSet { cidr: range, except: Vec::new() });
                }
            }
            peers.identities.extend_from_slice(&self.select(bound));
        }
    }

    fn entity(&self, entity: Entity, peers: &mut Peers) {
        let [ipv4, ipv6] = everything().map(|cidr| CidrSet { cidr, except: Vec::new() });
        match entity {
            Entity::All => peers.any = true,
            Entity::World => peers.ranges.extend([ipv4, ipv6]),
            Entity::WorldIpv4 => peers.ranges.push(ipv4),
            Entity::WorldIpv6 => peers.ranges.push(ipv6),
            _ => {}
        }
        let kube_dns = self.settings.deviations.kube_dns_entity;
        peers.identities.extend(self.identities.filter(|labels| is(entity, labels, kube_dns)));
    }

    fn intern(&mut self, mut peers: Peers) -> Arc<Peers> {
        peers.identities.sort_unstable();
        peers.identities.dedup();
        if let Some(known) = self.interned.get(&peers) {
            return Arc::clone(known);
        }
        let peers = Arc::new(peers);
        self.interned.insert(Arc::clone(&peers));
        peers
    }
}

/// Whether a list of peers is there but empty. `toFQDNs: []` counts as absent.
fn is_some_and_empty(entry: &Entry) -> bool {
    entry.endpoints.as_ref().is_some_and(Vec::is_empty)
        || entry.cidrs.as_ref().is_some_and(Vec::is_empty)
        || entry.cidr_sets.as_ref().is_some_and(Vec::is_empty)
        || entry.entities.as_ref().is_some_and(Vec::is_empty)
}

/// Whether labels are of an entity.
fn is(entity: Entity, labels: &Labels, kube_dns: bool) -> bool {
    let reserved = |keys: &[&str]| keys.iter().any(|key| labels.has_reserved(key));
    match entity {
        Entity::All => true,
        Entity::World => reserved(&["world", "world-ipv4", "world-ipv6"]),
        Entity::WorldIpv4 => reserved(&["world-ipv4"]),
        Entity::WorldIpv6 => reserved(&["world-ipv6"]),
        Entity::Cluster => {
            reserved(&["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"])
                || labels
                    .iter()
                    .any(|label| label.source == "k8s" && label.key == CLUSTER && label.value == DEFAULT_CLUSTER)
        }
        Entity::Host => reserved(&["host"]),
        Entity::RemoteNode => reserved(&["remote-node"]),
        Entity::KubeApiServer => reserved(&["kube-apiserver"]),
        Entity::Ingress => reserved(&["ingress"]),
        Entity::Init => reserved(&["init"]),
        Entity::Health => reserved(&["health"]),
        Entity::Unmanaged => reserved(&["unmanaged"]),
        Entity::None => false,
        Entity::KubeDns => {
            kube_dns && labels.get(NAMESPACE) == Some("kube-system") && labels.get("k8s-app") == Some("kube-dns")
        }
    }
}
